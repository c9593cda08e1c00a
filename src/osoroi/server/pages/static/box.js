// A box on a photo: drawn, moved and resized by mouse, touch, pen and keyboard. Its numbers are pixels of the photo.

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const LEAST = 16; // pixels: the shortest side that a search takes

export class BoxEditor {
  /** `onInput` is called while the box changes, `onCommit` when it has changed: `drawn` says that it is another one. */
  constructor(stage, element, { onInput, onCommit }) {
    this.stage = stage;
    this.element = element;
    this.onInput = onInput;
    this.onCommit = onCommit;
    this.width = this.height = 0;
    this.value = null;
    stage.addEventListener("pointerdown", (event) => this.#down(event));
    element.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Another photo: its size, and no box. */
  photo(width, height) {
    this.width = width;
    this.height = height;
    this.set(null);
  }

  /** Put the box (left, top, right, bottom) or take it away. */
  set(box) {
    this.value = box && this.width ? this.#inside(box) : null;
    this.element.hidden = !this.value;
    if (!this.value) return;
    const [left, top, right, bottom] = this.value;
    const style = this.element.style;
    style.left = `${(100 * left) / this.width}%`;
    style.top = `${(100 * top) / this.height}%`;
    style.width = `${(100 * (right - left)) / this.width}%`;
    style.height = `${(100 * (bottom - top)) / this.height}%`;
  }

  /** A box in the middle, for those who draw with the keyboard or with one tap. */
  place(x = this.width / 2, y = this.height / 2) {
    const [across, down] = [this.width * 0.25, this.height * 0.25];
    this.#change([x - across, y - down, x + across, y + down]);
    this.onCommit({ drawn: true });
    this.element.focus();
  }

  clear() {
    this.set(null);
    this.onCommit();
  }

  #inside([left, top, right, bottom]) {
    const least = Math.min(LEAST, this.width, this.height);
    const across = Math.max(least, Math.min(this.width, right - left));
    const down = Math.max(least, Math.min(this.height, bottom - top));
    const x = Math.round(Math.min(Math.max(0, left), this.width - across));
    const y = Math.round(Math.min(Math.max(0, top), this.height - down));
    return [x, y, Math.min(this.width, Math.round(x + across)), Math.min(this.height, Math.round(y + down))];
  }

  #change(box) {
    const before = String(this.value);
    this.set(box);
    if (String(this.value) !== before) this.onInput();
  }

  #at(event) {
    const frame = this.stage.getBoundingClientRect();
    const x = ((event.clientX - frame.left) / frame.width) * this.width;
    const y = ((event.clientY - frame.top) / frame.height) * this.height;
    return [Math.min(Math.max(0, x), this.width), Math.min(Math.max(0, y), this.height)];
  }

  #down(event) {
    if (event.button !== 0 || !this.width || event.target.closest("[data-garment]")) return;
    const corner = event.target.closest("[data-corner]")?.dataset.corner;
    const inside = !corner && event.target.closest(".box");
    const before = this.value;
    const start = this.#at(event);
    const follow = corner ? this.#resizing(corner, before) : inside ? this.#moving(start, before) : this.#drawing(start);
    let moved = false;
    const move = (next) => {
      const point = this.#at(next);
      moved ||= Math.hypot(next.clientX - event.clientX, next.clientY - event.clientY) > 4;
      if (moved) this.#change(follow(point));
    };
    const end = (next) => {
      for (const [name, listener] of Object.entries(listeners)) this.stage.removeEventListener(name, listener);
      if (next.type === "pointercancel") return this.#cancelled(before);
      if (moved) this.onCommit({ drawn: !corner && !inside });
      else if (!corner && !inside && event.pointerType !== "mouse") this.place(...start);
    };
    const listeners = { pointermove: move, pointerup: end, pointercancel: end };
    for (const [name, listener] of Object.entries(listeners)) this.stage.addEventListener(name, listener);
    this.stage.setPointerCapture(event.pointerId);
    if (event.pointerType === "mouse") event.preventDefault();
    (corner ? event.target : inside ? this.element : null)?.focus({ focusVisible: false });
  }

  /** The browser took the gesture for scrolling: everything is as before. */
  #cancelled(before) {
    if (String(this.value) === String(before)) return;
    this.set(before);
    this.onInput();
  }

  #drawing([x, y]) {
    return ([toX, toY]) => [Math.min(x, toX), Math.min(y, toY), Math.max(x, toX), Math.max(y, toY)];
  }

  #moving([x, y], [left, top, right, bottom]) {
    return ([toX, toY]) => [left + toX - x, top + toY - y, right + toX - x, bottom + toY - y];
  }

  #resizing(corner, [left, top, right, bottom]) {
    const least = Math.min(LEAST, this.width, this.height);
    return ([x, y]) => [
      corner.endsWith("w") ? Math.min(x, right - least) : left,
      corner.startsWith("n") ? Math.min(y, bottom - least) : top,
      corner.endsWith("e") ? Math.max(x, left + least) : right,
      corner.startsWith("s") ? Math.max(y, top + least) : bottom,
    ];
  }

  #key(event) {
    if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      this.clear();
      this.stage.dispatchEvent(new CustomEvent("boxgone"));
      return;
    }
    const arrow = ARROWS[event.key];
    if (!arrow || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const step = Math.max(1, Math.round(Math.min(this.width, this.height) * (event.shiftKey ? 0.05 : 0.01)));
    const [dx, dy] = arrow.map((way) => way * step);
    const [left, top, right, bottom] = this.value;
    const corner = event.target.closest("[data-corner]")?.dataset.corner;
    if (!corner) this.#change([left + dx, top + dy, right + dx, bottom + dy]);
    else {
      const point = [(corner.endsWith("w") ? left : right) + dx, (corner.startsWith("n") ? top : bottom) + dy];
      const inside = [Math.min(Math.max(0, point[0]), this.width), Math.min(Math.max(0, point[1]), this.height)];
      this.#change(this.#resizing(corner, this.value)(inside));
    }
    this.onCommit({ again: event.repeat });
  }
}
