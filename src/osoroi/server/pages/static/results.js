// The results: loaded in the background, shown in one step. Old ones stay, dimmed, until the new ones are there.
// A photo of several garments is answered with one list after the other, as they come.

const TRIES = 4;
const NEXT = "\n<!-- next -->\n";

export class Results {
  /** `onShown` gets the element with what the server says of the search, `onList` one that came after it. */
  constructor(region, gone, { onShown, onList }) {
    this.region = region;
    this.gone = gone;
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
        const outcome = outcomeOf(html);
        if (shown) this.onList(outcome);
        else this.#show(outcome);
        shown = true;
      }
      if (!shown) throw new Error("no results in the answer");
    } catch (error) {
      if (running !== this.running || error.name === "AbortError") return;
      if (!shown) this.#failed(form); // the lists that are missing are asked for when somebody wants them
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
      if (response.status === 503 && tries < TRIES) {
        const seconds = Number(response.headers.get("Retry-After")) || 1;
        await new Promise((done) => setTimeout(done, seconds * 1000 * (0.5 + Math.random())));
        signal.throwIfAborted();
        continue;
      }
      if (!response.headers.get("Content-Type")?.startsWith("text/html")) throw new Error(`status ${response.status}`);
      return response;
    }
  }

  #show(outcome) {
    this.region.replaceChildren(outcome);
    this.region.removeAttribute("aria-busy");
    this.onShown(outcome);
  }

  /** Nobody answers: the old results stay below a note that offers to try again. */
  #failed(form) {
    this.region.querySelector("[data-failed]")?.remove();
    const note = this.gone.content.firstElementChild.cloneNode(true);
    note.dataset.failed = "";
    note.querySelector("[data-again]").addEventListener("click", () => this.load(form));
    this.region.prepend(note);
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

function outcomeOf(html) {
  const outcome = new DOMParser().parseFromString(html, "text/html").querySelector(".outcome");
  if (!outcome) throw new Error("no results in the answer");
  return document.adoptNode(outcome);
}
