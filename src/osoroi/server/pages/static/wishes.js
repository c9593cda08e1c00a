// What is wished for besides the shape: a colour of the photo or the palette, or the pattern of a second photo.

import { BoxEditor } from "./box.js";
import { prepared } from "./photo.js";

export class Wishes {
  /** `root` is the part of the form; `color` and `box` are its hidden fields. `onChange` is called after each wish. */
  constructor(root, { color, box, onChange }) {
    this.root = root;
    this.color = color;
    this.box = box;
    this.onChange = onChange;
    this.photo = null;
    this.stage = root.querySelector("#detail-stage");
    this.image = root.querySelector("#detail-image");
    this.none = root.querySelector("#detail-none");
    this.editor = new BoxEditor(this.stage, root.querySelector("#detail-box"), {
      onInput: () => {},
      onCommit: () => this.#boxed(),
    });
    root.addEventListener("click", (event) => this.#clicked(event));
    root.querySelector("#detail-file").addEventListener("change", ({ target }) => {
      this.#take(target.files[0]);
      target.value = "";
    });
    this.none.addEventListener("click", () => {
      this.#wish("", null);
      root.querySelector(".chip")?.focus();
    });
  }

  /** The fields of the address. */
  get pairs() {
    const box = this.photo && this.editor.value;
    return [["detail_from", this.photo ? "" : this.color.value], ["detail_box", box ? box.join(",") : ""]];
  }

  /** What belongs to this state and stands in no address: changes with the second photo. */
  get key() {
    return this.photo?.key ?? "";
  }

  /** Add the second photo to a form. */
  addTo(data) {
    if (this.photo) data.append("detail_photo", this.photo.blob, "photo");
  }

  /** Set what an address says, and the second photo that belongs to this entry of the history. */
  restore(color, box, photo) {
    this.color.value = color;
    this.#show(photo ?? null);
    this.editor.set(photo && box ? box.split(",").map(Number) : null);
    this.update();
  }

  /** A page that was made without scripts goes on with the second photo that it carries. */
  adopt(blob) {
    const { width, height } = this.stage.dataset;
    this.photo = { blob, url: this.image.src, width: Number(width), height: Number(height), key: "carried" };
    this.editor.photo(this.photo.width, this.photo.height);
    this.editor.set(this.box.value ? this.box.value.split(",").map(Number) : null);
    this.update();
  }

  /** The chips of another photo. */
  fill(content) {
    this.root.querySelector("#photo-chips").replaceChildren(...content.children);
    this.update();
  }

  clearPhotoChips() {
    this.root.querySelector("#photo-chips").replaceChildren();
  }

  /** Say what is wished for. */
  update() {
    for (const chip of this.root.querySelectorAll(".chip")) {
      chip.setAttribute("aria-pressed", String(!this.photo && chip.value === this.color.value));
    }
    this.stage.hidden = !this.photo;
    this.none.hidden = !this.photo && !this.color.value;
  }

  #clicked(event) {
    const chip = event.target.closest(".chip");
    if (!chip) return;
    event.preventDefault();
    this.#wish(chip.value === this.color.value && !this.photo ? "" : chip.value, null);
  }

  async #take(file) {
    if (!file) return;
    const photo = await prepared(file);
    photo.key = `${Date.now()}-${Math.random()}`;
    this.#wish("", photo);
  }

  #wish(color, photo) {
    this.color.value = color;
    this.#show(photo);
    this.update();
    this.onChange();
  }

  #show(photo) {
    this.photo = photo;
    this.editor.photo(photo?.width ?? 0, photo?.height ?? 0);
    if (!photo?.url) return this.image.removeAttribute("src");
    this.image.src = photo.url;
    this.image.width = photo.width;
    this.image.height = photo.height;
  }

  #boxed() {
    this.box.value = this.editor.value?.join(",") ?? "";
    this.onChange();
  }
}
