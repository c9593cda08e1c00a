// The garments of a photo as buttons over it, clear of each other; without room as a row below it.

const APART = 4; // pixels between buttons
const HANDLE = 8; // and beyond a box

export class Garments {
  /** `element` holds the buttons, laid over `stage`. */
  constructor(stage, element) {
    this.stage = stage;
    this.element = element;
    this.carried = "";
    this.width = this.height = 0;
    stage.append(element);
    new ResizeObserver(() => this.#again()).observe(stage);
  }

  get buttons() {
    return [...this.element.children];
  }

  get count() {
    return this.element.children.length;
  }

  /** Its box as it was found, or null. */
  box(number) {
    return this.#button(number)?.dataset.box.split(",").map(Number) ?? null;
  }

  name(number) {
    return this.#button(number)?.getAttribute("aria-label") ?? "";
  }

  /** Another photo; `carried` is what the server wants back. */
  fill(content, carried) {
    this.element.replaceChildren(...content.children);
    this.carried = carried;
    this.#again();
  }

  clear() {
    this.fill(document.createElement("div"), "");
  }

  /** Which garment is chosen; 0 for none. */
  mark(number) {
    const person = this.#button(number)?.dataset.person;
    for (const button of this.buttons) {
      if (Number(button.dataset.garment) === number) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      button.classList.toggle("aside", this.count > 8 && number > 0 && button.dataset.person !== person);
    }
    this.place();
  }

  /** Where the chosen one was moved to. */
  place(moved = this.moved) {
    this.moved = moved;
    const { clientWidth, clientHeight } = this.stage;
    if (!this.width || !clientWidth) return;
    if (this.row) return this.row.place();
    const placed = [];
    let fits = true;
    const spots = this.buttons.map((button) => this.#spot(button, clientWidth / this.width, clientHeight / this.height));
    for (const spot of spots.sort((one, other) => other.chosen - one.chosen || one.top - other.top)) {
      fits &&= spot.width < clientWidth && this.#clear(spot, placed, clientHeight);
      placed.push(spot);
      if (spot.low) placed.push(spot.low);
      spot.button.style.left = `${spot.left}px`;
      spot.button.style.top = `${spot.top}px`;
    }
    if (!fits) this.#crowd();
  }

  /** There is no room: the script for a row comes only then. */
  #crowd() {
    if (this.Row) this.row = new this.Row(this);
    else import("./row.js").then(({ Row }) => ((this.Row = Row), this.place()));
  }

  /** Over the photo, as far as there is room: another photo, or another size. */
  #again() {
    this.row?.undo();
    this.row = null;
    this.place();
  }

  #button(number) {
    return this.element.querySelector(`[data-garment="${Number(number)}"]`);
  }

  /** The box of a button; that of the chosen one is where it was moved to. */
  boxOf(button) {
    return (button.hasAttribute("aria-current") && this.moved) || button.dataset.box.split(",").map(Number);
  }

  /** The middle of a garment, inside the photo; the middle of the chosen one is dragged. */
  #spot(button, across, down) {
    const chosen = button.hasAttribute("aria-current");
    const [left, top, right, bottom] = this.boxOf(button);
    const [width, height] = [button.offsetWidth, button.offsetHeight];
    const x = ((left + right) / 2) * across - width / 2;
    const [room, tall] = [(right - left) * across, (bottom - top) * down];
    const inside = room >= width + 4 * HANDLE && tall >= 3 * height;
    const low = chosen && tall < 3 * height && { left: left * across, top: top * down, width: room, height: tall };
    const y = chosen ? this.#beside(top * down, bottom * down, height, inside) : ((top + bottom) / 2) * down - height / 2;
    const most = [this.stage.clientWidth - width - APART, this.stage.clientHeight - height - APART];
    return { button, chosen, low, width, height, left: within(x, APART, most[0]), top: within(y, APART, most[1]) };
  }

  /** On a large chosen box, else above or below it. */
  #beside(top, bottom, height, inside) {
    if (inside) return top + APART;
    const above = top - HANDLE - height;
    const below = bottom + HANDLE;
    if (above >= APART) return above;
    return below + height + APART <= this.stage.clientHeight ? below : top + APART;
  }

  /** Move a button the shorter way until it covers no other, nor a low chosen garment; false where there is no room. */
  #clear(spot, placed, height) {
    const start = spot.top;
    const ends = [1, -1].map((way) => {
      spot.top = start;
      for (let hit; (hit = placed.find((other) => overlap(spot, other))); ) {
        spot.top = way > 0 ? hit.top + hit.height + APART : hit.top - spot.height - APART;
      }
      return spot.top;
    });
    const free = ends.filter((top) => top >= 0 && top + spot.height <= height);
    spot.top = free.sort((one, other) => Math.abs(one - start) - Math.abs(other - start))[0] ?? start;
    return free.length > 0;
  }
}

const within = (value, least, most) => Math.max(least, Math.min(most, value));

const overlap = (one, other) =>
  one.left < other.left + other.width + APART &&
  other.left < one.left + one.width + APART &&
  one.top < other.top + other.height + APART &&
  other.top < one.top + one.height + APART;
