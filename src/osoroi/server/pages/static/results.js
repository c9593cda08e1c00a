// The results: loaded in the background, shown in one step. Old ones stay, dimmed, until the new ones are there.

const TRIES = 4;

export class Results {
  /** `onShown` gets the element with what the server says of the search. */
  constructor(region, gone, onShown) {
    this.region = region;
    this.gone = gone;
    this.onShown = onShown;
    this.running = null;
  }

  /** Show the results for `form`; a later call cancels this one. */
  async load(form) {
    this.running?.abort();
    const running = (this.running = new AbortController());
    this.region.setAttribute("aria-busy", "true");
    try {
      const html = await this.#fetch(form, running.signal);
      if (running !== this.running) return;
      this.#show(html);
    } catch (error) {
      if (running !== this.running || error.name === "AbortError") return;
      this.#failed(form);
    }
    this.running = null;
    this.region.removeAttribute("aria-busy");
  }

  async #fetch(form, signal) {
    for (let tries = 1; ; tries += 1) {
      const response = await fetch("/results", { method: "POST", body: form, signal, headers: { Accept: "text/html" } });
      if (response.status === 503 && tries < TRIES) {
        const seconds = Number(response.headers.get("Retry-After")) || 1;
        await new Promise((done) => setTimeout(done, seconds * 1000 * (0.5 + Math.random())));
        signal.throwIfAborted();
        continue;
      }
      if (!response.headers.get("Content-Type")?.startsWith("text/html")) throw new Error(`status ${response.status}`);
      return response.text();
    }
  }

  #show(html) {
    const parsed = new DOMParser().parseFromString(html, "text/html");
    const outcome = parsed.querySelector(".outcome");
    if (!outcome) throw new Error("no results in the answer");
    this.region.replaceChildren(document.adoptNode(outcome));
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
