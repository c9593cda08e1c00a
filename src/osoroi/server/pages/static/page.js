// The page with scripts: a photo, a box and the controls make one state, kept in the address; each change searches anew.

import { BoxEditor } from "./box.js";
import { imageIn, prepared } from "./photo.js";
import { Results } from "./results.js";

const find = (selector, within = document) => within.querySelector(selector);
const form = find("#search");
const stage = find("#stage");
const queryImage = find("#query-photo");
const dial = find("#dial");
const hidden = Object.fromEntries(["product", "crop", "box", "k", "lang"].map((name) => [name, form.elements[name]]));
hidden.box.disabled = false;

const photos = new Map(); // history key -> photo: photos live in this page and nowhere else
let photo = null;
let shown = null; // addresses of the query's photo where it is one of the catalog: {plain, saliency}
let timer = 0;

const results = new Results(find("#results"), find("#gone"), resultsShown);
const editor = new BoxEditor(stage, find("#box"), { onInput: () => searchSoon(200), onCommit: boxed });

// ---------------------------------------------------------------- the state, as fields and as an address

function pairs() {
  const fields = [];
  const put = (name, value) => value && fields.push([name, value]);
  if (!photo) {
    put("product", hidden.product.value);
    put("crop", hidden.crop.value);
  }
  put("box", editor.value?.join(","));
  if (dial && !isOwn()) put("detail", String(Number(dial.value)));
  for (const input of form.querySelectorAll('#filters input, [name="saliency"]')) {
    if (input.type === "number" ? input.value : input.checked) put(input.name, input.value);
  }
  if (hidden.k.value !== hidden.k.dataset.default) put("k", hidden.k.value);
  put("lang", hidden.lang.value);
  return fields;
}

function address() {
  const query = new URLSearchParams(pairs());
  if (photo) query.set("photo", "mine");
  const text = String(query);
  return text ? `/?${text}` : "/";
}

function body() {
  const data = new FormData();
  for (const [name, value] of pairs()) data.append(name, value);
  if (photo) data.append("photo", photo.blob, "photo");
  if (photo && !photo.url) data.append("preview", "1");
  return data;
}

const isOwn = () => Math.abs(dial.value - dial.dataset.own) < 0.005;
const searching = () => Boolean(photo || hidden.product.value || hidden.crop.value);

// ---------------------------------------------------------------- searching

/** Search with the state as it is. `push` makes a step that Back returns from. */
function refresh({ push = false } = {}) {
  clearTimeout(timer);
  const to = address();
  const state = { key: photo?.key ?? null };
  if (push && to + state.key !== location.pathname + location.search + (history.state?.key ?? null)) {
    history.pushState(state, "", to);
  } else history.replaceState(state, "", to);
  document.body.dataset.view = searching() ? "search" : "start";
  updateControls();
  results.load(body());
  showPhoto();
}

function searchSoon(milliseconds) {
  clearTimeout(timer);
  timer = setTimeout(refresh, milliseconds);
  updateControls();
}

/** Everything that follows from the state without searching. */
function updateControls() {
  if (dial) find("#own").hidden = isOwn();
  find("#whole").hidden = !editor.value;
  find("#draw").hidden = Boolean(editor.value);
  const clear = find("#clear");
  if (clear) clear.hidden = !pairs().some(([name]) => ["category", "brand", "above", "below"].includes(name) || name.startsWith("a."));
  for (const link of document.querySelectorAll(".languages a")) {
    const query = new URLSearchParams(location.search);
    query.set("lang", link.dataset.lang);
    link.href = `/?${query}`;
  }
}

/** Take over what the server says of the search: the photo of the query, and the counts of the filters. */
function resultsShown(outcome) {
  const { url, saliency, width, height, product, crop } = outcome.dataset;
  if (!photo) {
    hidden.product.value = product;
    hidden.crop.value = crop;
  }
  if (url && (!photo || !photo.url)) {
    shown = { plain: url, saliency: saliency ?? "" };
    measure(Number(width), Number(height), url);
  }
  for (const item of outcome.querySelectorAll("[data-for]")) {
    const count = find(`[data-count="${CSS.escape(item.dataset.for)}"]`);
    if (count) count.textContent = item.textContent;
  }
}

/** Give the stage a photo's size, keeping the box where it is the same photo. */
function measure(width, height, url) {
  if (queryImage.getAttribute("src") !== url && !wantsSaliency()) queryImage.src = url;
  stage.classList.remove("fresh");
  if (editor.width === width && editor.height === height) return;
  const box = editor.value ?? boxOfAddress();
  editor.photo(width, height);
  editor.set(box);
  queryImage.width = width;
  queryImage.height = height;
  updateControls();
}

const boxOfAddress = () => new URLSearchParams(location.search).get("box")?.split(",").map(Number) ?? null;
const wantsSaliency = () => Boolean(form.elements.saliency?.checked);

/** Fade what the foreground head passes over, or show the plain photo. */
async function showPhoto() {
  const plain = photo ? photo.url : shown?.plain;
  if (!plain) return;
  if (!wantsSaliency()) {
    if (queryImage.getAttribute("src") !== plain) queryImage.src = plain;
    return;
  }
  if (!photo) {
    queryImage.src = shown.saliency || plain;
    return;
  }
  const data = new FormData();
  data.append("photo", photo.blob, "photo");
  if (editor.value) data.append("box", editor.value.join(","));
  const of = photo;
  try {
    const response = await fetch("/v1/saliency", { method: "POST", body: data });
    if (!response.ok || of !== photo || !wantsSaliency()) return;
    const before = queryImage.src;
    queryImage.src = URL.createObjectURL(await response.blob());
    if (before.startsWith("blob:") && before !== photo.url) URL.revokeObjectURL(before);
  } catch {
    // the results say that nobody answers
  }
}

// ---------------------------------------------------------------- what people do

async function take(file) {
  if (!file) return;
  const made = await prepared(file);
  made.key = `${Date.now()}-${Math.random()}`;
  photos.set(made.key, made);
  photo = made;
  shown = null;
  hidden.product.value = hidden.crop.value = "";
  editor.photo(made.width, made.height);
  queryImage.removeAttribute("width");
  queryImage.removeAttribute("height");
  if (made.url) measureOwn(made);
  else queryImage.removeAttribute("src");
  scrollTo({ top: 0 });
  refresh({ push: true });
}

function measureOwn({ url, width, height }) {
  queryImage.src = url;
  queryImage.width = width;
  queryImage.height = height;
  stage.classList.remove("fresh");
}

function searchLike(product) {
  photo = null;
  shown = null;
  hidden.product.value = product;
  hidden.crop.value = "";
  hidden.k.value = hidden.k.dataset.default;
  editor.photo(0, 0);
  stage.classList.add("fresh");
  scrollTo({ top: 0 });
  refresh({ push: true });
}

function boxed({ again = false } = {}) {
  const says = find("#box-says");
  says.textContent = editor.value ? `${says.dataset.box}: ${editor.value.join(", ")}` : says.dataset.whole;
  if (again) searchSoon(200);
  else refresh({ push: true });
}

/** Set every control to what an address says: the way of Back and Forward. */
function restore(query, key) {
  photo = photos.get(key) ?? null;
  shown = null;
  hidden.product.value = query.get("product") ?? "";
  hidden.crop.value = query.get("crop") ?? "";
  hidden.k.value = query.get("k") ?? hidden.k.dataset.default;
  if (dial) dial.value = query.get("detail") ?? dial.dataset.own;
  for (const input of form.querySelectorAll('#filters input, [name="saliency"]')) {
    if (input.type === "number") input.value = query.get(input.name) ?? "";
    else input.checked = query.getAll(input.name).includes(input.value);
  }
  editor.photo(photo?.width ?? 0, photo?.height ?? 0);
  if (photo) {
    measureOwn(photo);
    editor.set(boxOfAddress());
  }
  refresh();
}

function clearFilters() {
  for (const input of form.querySelectorAll("#filters input")) {
    if (input.type === "number") input.value = "";
    else input.checked = false;
  }
  refresh({ push: true });
}

function clicked(event) {
  const language = event.target.closest(".languages [data-lang]");
  if (language && photo && !event.button && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    speak(language.dataset.lang);
    return;
  }
  const link = event.target.closest("a");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const { product, dial: to, more, clear } = link.dataset;
  const ours = product !== undefined || to !== undefined || more !== undefined || clear !== undefined || link.id === "clear";
  if (!ours) return;
  event.preventDefault();
  if (product !== undefined) searchLike(product);
  else if (to !== undefined) turn(to === "" ? dial.dataset.own : to);
  else if (more !== undefined) {
    hidden.k.value = more;
    refresh({ push: true });
  } else clearFilters();
}

/** Show the page in another language. A photo goes along: the server sends it back in the page and keeps nothing. */
function speak(language) {
  const files = new DataTransfer();
  files.items.add(new File([photo.blob], "photo"));
  find("#file").files = files.files;
  hidden.box.value = editor.value?.join(",") ?? "";
  for (const input of form.querySelectorAll(".numbers input")) input.value = "";
  hidden.lang.value = language;
  form.submit();
}

function turn(to) {
  dial.value = to;
  refresh({ push: true });
}

// ---------------------------------------------------------------- begin

form.addEventListener("submit", (event) => {
  event.preventDefault();
  refresh({ push: true });
});
for (const id of ["#file", "#camera"]) {
  find(id).addEventListener("change", ({ target }) => {
    take(target.files[0]);
    target.value = "";
  });
}
find("#another").addEventListener("click", () => find("#file").click());
find("#draw").addEventListener("click", () => editor.place());
const whole = () => {
  editor.value && editor.clear();
  find("#draw").focus();
};
find("#whole").addEventListener("click", whole);
stage.addEventListener("boxgone", () => find("#draw").focus());
dial?.addEventListener("input", () => searchSoon(120));
dial?.addEventListener("change", () => refresh({ push: true }));
find("#own")?.addEventListener("click", () => {
  turn(dial.dataset.own);
  dial.focus();
});
form.addEventListener("change", ({ target }) => {
  if (target.closest("#filters") || target.name === "saliency") refresh({ push: true });
});
document.addEventListener("click", clicked);
document.addEventListener("paste", (event) => {
  const file = imageIn(event.clipboardData);
  if (file) {
    event.preventDefault();
    take(file);
  }
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.documentElement.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.documentElement.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.documentElement.classList.remove("dragging");
  take(imageIn(event.dataTransfer));
});
addEventListener("popstate", ({ state }) => restore(new URLSearchParams(location.search), state?.key));

if (matchMedia("(max-width: 899px)").matches && find("#filters")) find("#filters").open = false;
if (Number(stage.dataset.width)) {
  shown = { plain: queryImage.dataset.plain, saliency: queryImage.dataset.saliency };
  editor.photo(Number(stage.dataset.width), Number(stage.dataset.height));
  editor.set(hidden.box.value ? hidden.box.value.split(",").map(Number) : null);
}
const kept = form.elements.kept;
if (kept) {
  // a page that was made without scripts, and goes on with them
  const bytes = Uint8Array.from(atob(kept.value), (letter) => letter.charCodeAt(0));
  photo = { blob: new Blob([bytes]), url: queryImage.dataset.plain, width: editor.width, height: editor.height, key: "kept" };
  photos.set("kept", photo);
  history.replaceState({ key: "kept" }, "");
}
updateControls();
