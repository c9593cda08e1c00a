// The results: loaded in the background, shown in one step. Old ones stay, dimmed, until the new ones are there.
// A photo of several garments is answered with one list after the other, as they come.

const TRIES = 4;
const PATIENCE_S = 10; // a server that wants to be left alone for longer is shown as busy
const LATER = [429, 503]; // ask again by itself
const TROUBLES = { 401: "key", 403: "key", 413: "large", 415: "unread", 429: "busy", 503: "busy" }; // status -> notice
const NEXT = "\n<!-- next -->\n";

export class Results {
  /** `notices` holds a template for each trouble. `onShown` gets the element with what the server says of the search,
   * `onList` one that came after it. */
  constructor(region, notices, { onShown, onList }) {
    this.region = region;
    this.notices = notices;
    this.onShown = onShown;
    this.onList = onList;
    this.running = null;
  }

  /** Show the results for `form`; a later call cancels this one. */
  async load(form) {
    this.running?.abort();
    const running = (this.running = new AbortController());
    this.region.setAttribute("aria-busy", "true");
    let shown = false;
    try {
      const response = await this.#fetch(form, running.signal);
      for await (const html of parts(response)) {
        if (running !== this.running) return;
        const outcome = outcomeOf(html, response.status);
        if (shown) this.onList(outcome);
        else this.#show(outcome);
        shown = true;
      }
      if (!shown) throw new Refused(response.status);
    } catch (error) {
      if (running !== this.running || error.name === "AbortError") return;
      if (!shown) this.#failed(form, error.status); // the lists that are missing are asked for when somebody wants them
    }
    if (running !== this.running) return;
    this.running = null;
    this.region.removeAttribute("aria-busy");
  }

  /** Show an element that was shown before. */
  put(outcome) {
    this.running?.abort();
    this.running = null;
    this.region.removeAttribute("aria-busy");
    this.region.replaceChildren(outcome);
    this.onShown(outcome);
  }

  async #fetch(form, signal) {
    for (let tries = 1; ; tries += 1) {
      const to = `${document.documentElement.dataset.root}/results`;
      const response = await fetch(to, { method: "POST", body: form, signal, headers: { Accept: "text/html" } });
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      if (LATER.includes(response.status) && tries < TRIES && seconds <= PATIENCE_S) {
        await new Promise((done) => setTimeout(done, seconds * 1000 * (0.5 + Math.random())));
        signal.throwIfAborted();
        continue;
      }
      if (!response.headers.get("Content-Type")?.startsWith("text/html")) throw new Refused(response.status);
      return response;
    }
  }

  #show(outcome) {
    this.region.replaceChildren(outcome);
    this.region.removeAttribute("aria-busy");
    if (this.next) this.notice(this.next);
    this.next = "";
    this.onShown(outcome);
  }

  /** Nobody answers, or a proxy in place of the shop: the old results stay below a notice of what to do. */
  #failed(form, status) {
    const notice = this.notice(status ? (TROUBLES[status] ?? "refused") : "gone");
    notice.querySelector("[data-again]")?.addEventListener("click", () => this.load(form));
    const says = notice.querySelector("[data-status]");
    if (says) says.textContent = status;
  }

  /** Show a notice above the results, in place of an earlier one. */
  notice(name) {
    this.region.querySelector("[data-failed]")?.remove();
    const template = this.notices.find(({ dataset }) => dataset.notice === name);
    const notice = template.content.firstElementChild.cloneNode(true);
    notice.dataset.failed = name;
    this.region.prepend(notice);
    return notice;
  }

  /** Show a notice above the results that come next. */
  noticeLater(name) {
    this.next = name;
  }
}

/** On a narrow screen, the way down to the results of what somebody chose above them. */
export class Arrival {
  constructor(region) {
    this.region = region;
    this.from = null; // where the page stood when it was chosen
    this.due = false;
  }

  /** Results are about to come that people want to see. */
  await() {
    this.from = scrollY;
  }

  /** Whether to go there: unless somebody scrolls, types or goes by keyboard, or the results are in view. */
  decide() {
    const { from, region } = this;
    this.from = null;
    const still = from !== null && Math.abs(scrollY - from) < 8 && !document.querySelector(":focus-visible");
    const below = region.getBoundingClientRect().top > innerHeight / 3;
    this.due = still && below && matchMedia("(max-width: 899px)").matches;
  }

  scroll() {
    if (!this.due) return;
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth";
    this.region.scrollIntoView({ block: "start", behavior });
  }
}

/** An answer that is no list of products. */
class Refused extends Error {
  constructor(status) {
    super(`status ${status}`);
    this.status = status;
  }
}

/** The lists of an answer, each as soon as it is whole. */
async function* parts(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    text += value ?? "";
    for (let at; (at = text.indexOf(NEXT)) >= 0; text = text.slice(at + NEXT.length)) yield text.slice(0, at);
    if (!done) continue;
    if (text.trim()) yield text;
    return;
  }
}

function outcomeOf(html, status) {
  const outcome = new DOMParser().parseFromString(html, "text/html").querySelector(".outcome");
  if (!outcome) throw new Refused(status);
  return document.adoptNode(outcome);
}
