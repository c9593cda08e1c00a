// The photo of the query on its stage: its size, and on demand what the foreground head passes over faded.

import { salient } from "./photo.js";

export class Stage {
  shown = null; // addresses of the query's photo where it is one of the catalog: {plain, saliency}

  constructor(element, { fades }) {
    const image = element.querySelector("img") ?? new Image(); // a page without a photo has none
    if (!image.id) element.prepend(Object.assign(image, { id: "query-photo", alt: element.dataset.alt, draggable: false }));
    Object.assign(this, { element, image, fades });
  }

  get dataset() {
    return this.element.dataset;
  }

  /** Nothing lies on it. */
  empty() {
    this.shown = null;
    this.element.classList.add("fresh");
  }

  /** Room for a photo of a size that is not known yet. */
  clear() {
    this.shown = null;
    this.image.removeAttribute("width");
    this.image.removeAttribute("height");
  }

  /** A photo of the catalog, or of one's own that only the server can read. */
  place(url, saliency) {
    this.shown = { plain: url, saliency };
    if (this.image.getAttribute("src") !== url && !this.fades()) this.image.src = url;
    this.element.classList.remove("fresh");
  }

  /** A photo of one's own. */
  own({ url, width, height }) {
    this.image.src = url;
    this.frame(width, height);
    this.element.classList.remove("fresh");
  }

  frame(width, height) {
    this.image.width = width;
    this.image.height = height;
    this.element.classList.toggle("tall", height > 1.2 * width);
  }

  finding(unknown) {
    this.element.classList.toggle("finding", unknown);
  }

  /** Fade what the foreground head passes over, or show the plain photo. `current` gives the photo of one's own. */
  async show(current, box) {
    const photo = current();
    const plain = photo ? photo.url : this.shown?.plain;
    if (!plain) return;
    if (!this.fades() || !photo) {
      const src = this.fades() ? this.shown.saliency || plain : plain;
      if (this.image.getAttribute("src") !== src) this.image.src = src;
      return;
    }
    const url = await salient(photo.blob, box);
    if (!url || photo !== current() || !this.fades()) return;
    const before = this.image.src;
    this.image.src = url;
    if (before.startsWith("blob:") && before !== photo.url) URL.revokeObjectURL(before);
  }
}
