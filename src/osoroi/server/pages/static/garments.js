// The garments of a photo as buttons over it, each in the middle of its garment and clear of the others.

const APART = 4; // pixels between two buttons

export class Garments {
  /** `element` holds the buttons, which the server writes; it is laid over `stage`. */
  constructor(stage, element) {
    this.stage = stage;
    this.element = element;
    this.carried = "";
    this.width = this.height = 0;
    stage.append(element);
    new ResizeObserver(() => this.place()).observe(stage);
  }

  get buttons() {
    return [...this.element.children];
  }

  get count() {
    return this.element.children.length;
  }

  /** The box of a garment as it was found, or null. */
  box(number) {
    return this.#button(number)?.dataset.box.split(",").map(Number) ?? null;
  }

  name(number) {
    return this.#button(number)?.getAttribute("aria-label") ?? "";
  }

  /** Take the buttons of another photo; `carried` is what the server wants back. */
  fill(content, carried) {
    this.element.replaceChildren(...content.children);
    this.carried = carried;
    this.place();
  }

  clear() {
    this.element.replaceChildren();
    this.carried = "";
  }

  /** Say which garment is searched with; 0 for none. */
  mark(number) {
    const person = this.#button(number)?.dataset.person;
    for (const button of this.buttons) {
      if (Number(button.dataset.garment) === number) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      button.classList.toggle("aside", this.count > 8 && number > 0 && button.dataset.person !== person);
    }
    this.place();
  }

  /** `box` is where the chosen garment was moved to. */
  place(moved = this.moved) {
    this.moved = moved;
    const { clientWidth, clientHeight } = this.stage;
    if (!this.width || !clientWidth) return;
    const placed = [];
    const spots = this.buttons.map((button) => this.#spot(button, clientWidth / this.width, clientHeight / this.height));
    for (const spot of spots.sort((one, other) => one.top - other.top)) {
      this.#clear(spot, placed, clientHeight);
      placed.push(spot);
      spot.button.style.left = `${spot.left}px`;
      spot.button.style.top = `${spot.top}px`;
    }
  }

  #button(number) {
    return this.element.querySelector(`[data-garment="${Number(number)}"]`);
  }

  /** The middle of a garment, inside the photo; that of the chosen one at the top of its box, whose middle is dragged. */
  #spot(button, across, down) {
    const chosen = button.hasAttribute("aria-current");
    const [left, top, right, bottom] = (chosen && this.moved) || button.dataset.box.split(",").map(Number);
    const [width, height] = [button.offsetWidth, button.offsetHeight];
    const x = ((left + right) / 2) * across - width / 2;
    const small = (bottom - top) * down < 3 * height; // a button on it would leave no room to drag
    const y = !chosen ? ((top + bottom) / 2) * down - height / 2 : top * down + (small ? -height - APART : APART);
    const most = [this.stage.clientWidth - width - APART, this.stage.clientHeight - height - APART];
    return { button, width, height, left: within(x, APART, most[0]), top: within(y, APART, most[1]) };
  }

  /** Move a button down until it covers no other, or up where there is no room below. */
  #clear(spot, placed, height) {
    const start = spot.top;
    for (const way of [1, -1]) {
      spot.top = start;
      for (let hit; (hit = placed.find((other) => overlap(spot, other))); ) {
        spot.top = way > 0 ? hit.top + hit.height + APART : hit.top - spot.height - APART;
      }
      if (spot.top >= 0 && spot.top + spot.height <= height) return;
    }
    spot.top = start;
  }
}

const within = (value, least, most) => Math.max(least, Math.min(most, value));

const overlap = (one, other) =>
  one.left < other.left + other.width + APART &&
  other.left < one.left + one.width + APART &&
  one.top < other.top + other.height + APART &&
  other.top < one.top + one.height + APART;
