// What a search is made of: the fields of the form, the box, the filters, the wishes and the photo, as an address and as a body.

const root = document.documentElement.dataset.root ?? ""; // the path that a proxy puts before every address
const NAMES = ["product", "crop", "text", "text_before", "box", "garment", "look", "k", "lang", "known", "detail_from", "detail_box"];

export class State {
  photo = null; // {blob, url, width, height, key} of one's own; photos live in this page and nowhere else
  wishes = null;
  sent = ""; // the words of the last search

  constructor(form, { slider, editor, garments, filters }) {
    this.hidden = Object.fromEntries(NAMES.map((name) => [name, form.elements[name]]));
    this.hidden.box.disabled = false;
    Object.assign(this, { slider, editor, garments, filters });
  }

  /** Whether every garment is searched with. */
  get look() {
    return this.hidden.look.value === "1";
  }

  /** Of the chosen garment; 0 for the whole photo, or a box of none. */
  get number() {
    return Number(this.hidden.garment.value) || 0;
  }

  /** Whether the box of the chosen garment is no longer the one that was found. */
  get moved() {
    const { editor, garments, number } = this;
    return Boolean(number && editor.value && String(editor.value) !== String(garments.box(number)));
  }

  /** Whether the weights are the encoder's own. */
  get isOwn() {
    return Math.abs(this.slider.value - this.slider.dataset.own) < 0.005;
  }

  /** Whether a photo is searched with: one's own or one of the shop. */
  get byPhoto() {
    return Boolean(this.photo || this.hidden.product.value || this.hidden.crop.value);
  }

  get text() {
    return this.hidden.text.value.trim();
  }

  /** Whatever is wished for counts as said after these words. */
  settleText(text = this.text) {
    this.hidden.text_before.value = text;
  }

  get searching() {
    return this.byPhoto || Boolean(this.text);
  }

  pairs() {
    const { hidden, photo, editor, number, moved } = this;
    const fields = [];
    const put = (name, value) => value && fields.push([name, value]);
    if (!photo) {
      put("product", hidden.product.value);
      put("crop", hidden.crop.value);
    }
    put("text", this.text);
    if (number !== 1 || moved || !photo) put("garment", hidden.garment.value);
    put("look", hidden.look.value);
    if (moved || !number) put("box", editor.value?.join(","));
    for (const [name, value] of this.wishes?.pairs ?? []) put(name, value);
    if (this.slider && !this.isOwn) put("detail", String(Number(this.slider.value)));
    fields.push(...this.filters.pairs());
    if (hidden.k.value !== hidden.k.dataset.default) put("k", hidden.k.value);
    put("lang", hidden.lang.value);
    return fields;
  }

  address() {
    const query = new URLSearchParams(this.pairs());
    if (this.photo) query.set("photo", "mine");
    const text = String(query);
    return text ? `${root}/?${text}` : `${root}/`;
  }

  body() {
    const { hidden, photo, garments } = this;
    const data = new FormData();
    for (const [name, value] of this.pairs()) data.append(name, value);
    data.append("text_before", hidden.text_before.value);
    this.sent = this.text;
    if (photo) data.append("photo", photo.blob, "photo");
    if (photo && !photo.url) data.append("preview", "1");
    this.wishes?.addTo(data);
    if (garments.carried) data.append("known", garments.carried);
    if (!garments.carried || this.look) data.append("others", "1");
    return data;
  }

  /** What a list depends on besides its garment. */
  listsKey() {
    const rest = this.pairs().filter(([name]) => !["garment", "box", "look", "k"].includes(name));
    return JSON.stringify([this.photo?.key, this.wishes?.key, rest]);
  }
}

/** The address of this page in another language. */
export function inLanguage(lang) {
  const query = new URLSearchParams(location.search);
  query.set("lang", lang);
  return `${root}/?${query}`;
}

export const boxOfAddress = () => new URLSearchParams(location.search).get("box")?.split(",").map(Number) ?? null;
