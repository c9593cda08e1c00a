// Garments that have no room over a photo: a row of buttons below it, and numbers on the garments.

const SIZE = 24; // pixels across of a number
const CORNER = 28; // and of the room for a corner of the chosen box
const STEP = 6;

export class Row {
  /** Put the buttons of `garments` below its stage, until `undo`. */
  constructor(garments) {
    this.garments = garments;
    this.numbers = garments.buttons.map((button) => this.#number(button));
    this.#move((stage, element) => stage.after(element), "static");
    this.place();
  }

  /** Back over the photo. */
  undo() {
    for (const number of this.numbers) number.remove();
    this.#move((stage, element) => stage.append(element), "");
  }

  /** Put each number on the middle of its garment, or as near as it covers no other and no corner of the chosen box. */
  place() {
    const { stage, width, height } = this.garments;
    const [across, down] = [stage.clientWidth / width, stage.clientHeight / height];
    const boxes = this.garments.buttons.map((button) => {
      const chosen = button.hasAttribute("aria-current");
      const [left, top, right, bottom] = this.garments.boxOf(button);
      return { chosen, left: left * across, top: top * down, right: right * across, bottom: bottom * down };
    });
    const taken = boxes.filter((box) => box.chosen).flatMap(corners);
    boxes.forEach((box, place) => {
      const at = this.#free((box.left + box.right) / 2, (box.top + box.bottom) / 2, taken);
      taken.push({ ...at, size: SIZE });
      const number = this.numbers[place];
      number.style.left = `${at.x - SIZE / 2}px`;
      number.style.top = `${at.y - SIZE / 2}px`;
      number.classList.toggle("chosen", box.chosen);
    });
  }

  /** The place nearest to a point, inside the photo, that is free; the point where none is. */
  #free(x, y, taken) {
    const { clientWidth, clientHeight } = this.garments.stage;
    const half = SIZE / 2;
    for (let far = 0; far < clientWidth + clientHeight; far += STEP) {
      const ways = far ? Math.ceil((2 * Math.PI * far) / STEP) : 1;
      for (let way = 0; way < ways; way += 1) {
        const angle = (2 * Math.PI * way) / ways;
        const at = { x: x + far * Math.cos(angle), y: y + far * Math.sin(angle) };
        const inside = at.x >= half && at.y >= half && at.x <= clientWidth - half && at.y <= clientHeight - half;
        const hits = ({ x, y, size }) => Math.max(Math.abs(x - at.x), Math.abs(y - at.y)) < (SIZE + size) / 2;
        if (inside && !taken.some(hits)) return at;
      }
    }
    return { x, y };
  }

  /** A number for the eye and the finger: keyboard and screen reader have the button. */
  #number(button) {
    const number = document.createElement("span");
    number.className = "number";
    number.textContent = number.dataset.garment = button.dataset.garment;
    number.ariaHidden = "true";
    number.onclick = () => button.click();
    this.garments.stage.append(number);
    return number;
  }

  /** Put the buttons elsewhere; the one that has the focus keeps it. */
  #move(put, position) {
    const { stage, element, buttons } = this.garments;
    const at = element.getRootNode().activeElement;
    const focused = buttons.includes(at);
    element.classList.toggle("row", Boolean(position));
    for (const one of [element, ...buttons]) one.style.position = position;
    put(stage, element);
    if (focused) at.focus({ preventScroll: true });
  }
}

const corners = ({ left, top, right, bottom }) =>
  [left, right].flatMap((x) => [top, bottom].map((y) => ({ x, y, size: CORNER })));
