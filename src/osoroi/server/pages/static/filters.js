// The filters of the form, and the switch for saliency: what is set, and how many products each choice has.

export class Filters {
  constructor(form) {
    this.form = form;
  }

  get #inputs() {
    return [...this.form.querySelectorAll('#filters input, [name="saliency"]')];
  }

  /** The fields of the address. */
  pairs() {
    const given = (input) => (input.type === "number" ? input.value : input.checked);
    return this.#inputs.filter(given).map((input) => [input.name, input.value]);
  }

  /** Set what an address says. */
  restore(query) {
    for (const input of this.#inputs) {
      if (input.type === "number") input.value = query.get(input.name) ?? "";
      else input.checked = query.getAll(input.name).includes(input.value);
    }
  }

  /** Take all filters back; the switch stays. */
  clear() {
    for (const input of this.form.querySelectorAll("#filters input")) {
      if (input.type === "number") input.value = "";
      else input.checked = false;
    }
  }

  /** Offer to clear where anything is set. */
  update() {
    const clear = this.form.querySelector("#clear");
    if (clear) clear.hidden = !this.pairs().some(([name]) => name !== "saliency");
  }

  /** Show the counts that came with results. */
  count(outcome) {
    for (const item of outcome.querySelectorAll("[data-for]")) {
      const count = this.form.querySelector(`[data-count="${CSS.escape(item.dataset.for)}"]`);
      if (count) count.textContent = item.textContent;
    }
  }
}
