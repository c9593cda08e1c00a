// The page with scripts: a photo, its garments and the controls make one state, kept in the address; each change searches
// anew. Lists of other garments that are there already are shown without asking again.

import { BoxEditor } from "./box.js";
import { Filters } from "./filters.js";
import { Garments } from "./garments.js";
import { blobOf, fileInto, onPhoto, prepared, salient } from "./photo.js";
import { Results } from "./results.js";
import { Wishes } from "./wishes.js";

const find = (selector, within = document) => within.querySelector(selector);
const form = find("#search");
const { root } = document.documentElement.dataset; // the path that a proxy puts before every address
const stage = find("#stage");
const queryImage = find("#query-photo");
const dial = find("#dial");
const says = find("#box-says");
const names = ["product", "crop", "box", "garment", "look", "k", "lang", "known", "detail_from", "detail_box"];
const hidden = Object.fromEntries(names.map((name) => [name, form.elements[name]]));
hidden.box.disabled = false;

const WHOLE = "photo"; // garment=photo: search with the whole photo
const photos = new Map(); // history key -> photo: photos live in this page and nowhere else
const seconds = new Map(); // the same for second photos
let photo = null;
let shown = null; // addresses of the query's photo where it is one of the catalog: {plain, saliency}
let timer = 0;
let lists = { key: "", of: new Map() }; // lists of garments, as long as nothing else changes

const results = new Results(find("#results"), find("#gone"), { onShown: resultsShown, onList: listCame });
const editor = new BoxEditor(stage, find("#box"), { onInput: () => searchSoon(200), onCommit: boxed });
const garments = new Garments(stage, find("#garments"));
const filters = new Filters(form);
const wishes = find("#wishes")
  ? new Wishes(find("#wishes"), { color: hidden.detail_from, box: hidden.detail_box, onChange: () => refresh({ push: true }) })
  : null;

// ---------------------------------------------------------------- the state, as fields and as an address

const look = () => hidden.look.value === "1";
const number = () => Number(hidden.garment.value) || 0; // of the chosen garment; 0 for the whole photo, or a box of none
const moved = () => Boolean(number() && editor.value && String(editor.value) !== String(garments.box(number())));

function pairs() {
  const fields = [];
  const put = (name, value) => value && fields.push([name, value]);
  if (!photo) {
    put("product", hidden.product.value);
    put("crop", hidden.crop.value);
  }
  if (number() !== 1 || moved() || !photo) put("garment", hidden.garment.value);
  put("look", hidden.look.value);
  if (moved() || !number()) put("box", editor.value?.join(","));
  for (const [name, value] of wishes?.pairs ?? []) put(name, value);
  if (dial && !isOwn()) put("detail", String(Number(dial.value)));
  fields.push(...filters.pairs());
  if (hidden.k.value !== hidden.k.dataset.default) put("k", hidden.k.value);
  put("lang", hidden.lang.value);
  return fields;
}

function address() {
  const query = new URLSearchParams(pairs());
  if (photo) query.set("photo", "mine");
  const text = String(query);
  return text ? `${root}/?${text}` : `${root}/`;
}

function body() {
  const data = new FormData();
  for (const [name, value] of pairs()) data.append(name, value);
  if (photo) data.append("photo", photo.blob, "photo");
  if (photo && !photo.url) data.append("preview", "1");
  wishes?.addTo(data);
  if (garments.carried) data.append("known", garments.carried);
  if (!garments.carried || look()) data.append("others", "1");
  return data;
}

/** What a list depends on besides its garment. */
function listsKey() {
  const rest = pairs().filter(([name]) => !["garment", "box", "look", "k"].includes(name));
  return JSON.stringify([photo?.key, wishes?.key, rest]);
}

const isOwn = () => Math.abs(dial.value - dial.dataset.own) < 0.005;
const searching = () => Boolean(photo || hidden.product.value || hidden.crop.value);

// ---------------------------------------------------------------- searching

/** Search with the state as it is. `push` makes a step that Back returns from. */
function refresh({ push = false } = {}) {
  clearTimeout(timer);
  remember(push);
  if (lists.key !== listsKey()) lists = { key: listsKey(), of: new Map() };
  updateControls();
  const unknown = Boolean(photo && !garments.carried);
  stage.classList.toggle("finding", unknown);
  if (unknown) says.textContent = says.dataset.finding;
  results.load(body());
  showPhoto();
}

/** Put the state into the address. */
function remember(push) {
  const to = address();
  const state = { key: photo?.key ?? null, second: wishes?.key || null };
  if (wishes?.photo) seconds.set(wishes.key, wishes.photo);
  const before = location.pathname + location.search + (history.state?.key ?? null) + (history.state?.second ?? null);
  if (push && to + state.key + state.second !== before) history.pushState(state, "", to);
  else history.replaceState(state, "", to);
  document.body.dataset.view = searching() ? "search" : "start";
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
  find("#whole-look").hidden = garments.count < 2;
  find("#whole-look").setAttribute("aria-pressed", String(look()));
  find("#find").hidden = Boolean(photo) || garments.count > 0 || !searching();
  garments.mark(look() ? 0 : number());
  garments.place(moved() ? editor.value : null);
  wishes?.update();
  filters.update();
  for (const link of document.querySelectorAll(".languages a")) {
    const query = new URLSearchParams(location.search);
    query.set("lang", link.dataset.lang);
    link.href = `${root}/?${query}`;
  }
}

/** Take over what the server says of the search: the photo of the query, its garments, and the counts of the filters. */
function resultsShown(outcome) {
  const { url, saliency, width, height, product, crop } = outcome.dataset;
  stage.classList.remove("finding");
  if (!photo) {
    hidden.product.value = product;
    hidden.crop.value = crop;
  }
  if (url && (!photo || !photo.url)) {
    shown = { plain: url, saliency: saliency ?? "" };
    measure(Number(width), Number(height), url);
  }
  takeGarments(outcome);
  keep(outcome);
  filters.count(outcome);
}

/** The garments that were found in this search, and the one that the list is of. */
function takeGarments(outcome) {
  const buttons = find("template.new-garments", outcome);
  if (!buttons) return;
  const chips = find("template.new-chips", outcome);
  if (photo) Object.assign(photo, { buttons, chips });
  fillGarments(buttons, chips);
  const of = Number(outcome.dataset.number);
  if (of && !look()) {
    const box = moved() ? editor.value : garments.box(of);
    if (hidden.garment.value !== String(of)) hidden.garment.value = of;
    editor.set(boxOfAddress() ?? box);
    says.textContent = garments.name(of);
  } else if (!of) says.textContent = "";
  updateControls();
}

function fillGarments(buttons, chips) {
  garments.width = editor.width;
  garments.height = editor.height;
  garments.fill(buttons.content.cloneNode(true), buttons.dataset.carried);
  wishes?.fill(chips.content.cloneNode(true));
}

/** The list of another garment, which came after the one that was asked for. */
function listCame(outcome) {
  if (look()) find("#results").append(outcome);
  else keep(outcome);
}

function keep(outcome) {
  const of = Number(outcome.dataset.number);
  const k = of === number() ? hidden.k.value : hidden.k.dataset.default;
  if (of && !look() && !(of === number() && moved())) lists.of.set(of, { outcome, k });
}

/** Give the stage a photo's size, keeping the box where it is the same photo. */
function measure(width, height, url) {
  if (queryImage.getAttribute("src") !== url && !wantsSaliency()) queryImage.src = url;
  stage.classList.remove("fresh");
  if (editor.width === width && editor.height === height) return;
  const box = editor.value ?? boxOfAddress();
  editor.photo(width, height);
  editor.set(box);
  frame(width, height);
  updateControls();
}

function frame(width, height) {
  queryImage.width = width;
  queryImage.height = height;
  stage.classList.toggle("tall", height > 1.2 * width);
}

const boxOfAddress = () => new URLSearchParams(location.search).get("box")?.split(",").map(Number) ?? null;
const wantsSaliency = () => Boolean(form.elements.saliency?.checked);

/** Fade what the foreground head passes over, or show the plain photo. */
async function showPhoto() {
  const plain = photo ? photo.url : shown?.plain;
  if (!plain) return;
  if (!wantsSaliency() || !photo) {
    const src = wantsSaliency() ? shown.saliency || plain : plain;
    if (queryImage.getAttribute("src") !== src) queryImage.src = src;
    return;
  }
  const of = photo;
  const url = await salient(photo.blob, editor.value);
  if (!url || of !== photo || !wantsSaliency()) return;
  const before = queryImage.src;
  queryImage.src = url;
  if (before.startsWith("blob:") && before !== photo.url) URL.revokeObjectURL(before);
}

// ---------------------------------------------------------------- what people do

async function take(file) {
  if (!file) return;
  const again = !photo && new URLSearchParams(location.search).get("photo") === "mine"; // a link whose photo is gone
  const made = await prepared(file);
  made.key = `${Date.now()}-${Math.random()}`;
  photos.set(made.key, made);
  photo = made;
  shown = null;
  const box = again ? boxOfAddress() : null;
  forget();
  if (!again) wishes?.restore("", "", null);
  if (again) {
    const query = new URLSearchParams(location.search);
    hidden.garment.value = query.get("garment") ?? "";
    hidden.look.value = query.get("look") ?? "";
  }
  editor.photo(made.width, made.height);
  editor.set(box);
  queryImage.removeAttribute("width");
  queryImage.removeAttribute("height");
  if (made.url) measureOwn(made);
  else queryImage.removeAttribute("src");
  scrollTo({ top: 0 });
  refresh({ push: true });
}

/** Nothing is left of the query before. */
function forget() {
  hidden.product.value = hidden.crop.value = hidden.garment.value = "";
  garments.clear();
  wishes?.clearPhotoChips();
  hidden.k.value = hidden.k.dataset.default;
}

function measureOwn({ url, width, height }) {
  queryImage.src = url;
  frame(width, height);
  stage.classList.remove("fresh");
}

function searchLike(product) {
  photo = null;
  shown = null;
  forget();
  hidden.product.value = product;
  hidden.look.value = "";
  wishes?.restore("", "", null);
  editor.photo(0, 0);
  stage.classList.add("fresh");
  scrollTo({ top: 0 });
  refresh({ push: true });
}

/** Search with one garment. Its list may be there already. */
function choose(of) {
  hidden.garment.value = of;
  hidden.look.value = "";
  editor.set(garments.box(of));
  says.textContent = garments.name(of);
  const ready = lists.key === listsKey() && lists.of.get(of);
  hidden.k.value = ready ? ready.k : hidden.k.dataset.default;
  if (!ready) return refresh({ push: true });
  clearTimeout(timer);
  remember(true);
  updateControls();
  results.put(ready.outcome);
  showPhoto();
}

function showLook() {
  hidden.look.value = look() ? "" : "1";
  if (!look()) return choose(number() || 1);
  editor.set(null);
  hidden.k.value = hidden.k.dataset.default;
  refresh({ push: true });
}

function boxed({ again = false, drawn = false } = {}) {
  if (!editor.value) hidden.garment.value = photo || garments.count ? WHOLE : "";
  else if (drawn || !number()) hidden.garment.value = "";
  hidden.look.value = "";
  says.textContent = editor.value ? `${says.dataset.box}: ${editor.value.join(", ")}` : says.dataset.whole;
  if (again) searchSoon(200);
  else refresh({ push: true });
}

/** Set every control to what an address says: the way of Back and Forward. */
function restore(query, state) {
  photo = photos.get(state?.key) ?? null;
  shown = null;
  forget();
  for (const name of ["product", "crop", "garment", "look"]) hidden[name].value = query.get(name) ?? "";
  hidden.k.value = query.get("k") ?? hidden.k.dataset.default;
  wishes?.restore(query.get("detail_from") ?? "", query.get("detail_box"), seconds.get(state?.second));
  if (dial) dial.value = query.get("detail") ?? dial.dataset.own;
  filters.restore(query);
  editor.photo(photo?.width ?? 0, photo?.height ?? 0);
  if (photo) {
    measureOwn(photo);
    if (photo.buttons) fillGarments(photo.buttons, photo.chips);
    if (!hidden.garment.value && !boxOfAddress() && garments.count) hidden.garment.value = "1";
    editor.set(boxOfAddress() ?? (look() ? null : garments.box(number())));
  }
  refresh();
}

function clicked(event) {
  const language = event.target.closest(".languages [data-lang]");
  if (language && photo && !event.button && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    speak(language.dataset.lang);
    return;
  }
  const link = event.target.closest("a, button");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const { product, dial: to, more, clear, garment } = link.dataset;
  const ours = [product, to, more, clear, garment].some((value) => value !== undefined) || link.id === "clear";
  if (!ours) return;
  event.preventDefault();
  if (garment !== undefined) choose(Number(garment));
  else if (product !== undefined) searchLike(product);
  else if (to !== undefined) turn(to === "" ? dial.dataset.own : to);
  else if (more !== undefined) {
    hidden.k.value = more;
    refresh({ push: true });
  } else {
    filters.clear();
    refresh({ push: true });
  }
}

/** Show the page in another language. A photo goes along: the server sends it back in the page and keeps nothing. */
function speak(language) {
  fileInto(find("#file"), photo);
  if (wishes?.photo) fileInto(find("#detail-file"), wishes.photo);
  hidden.box.value = moved() || !number() ? (editor.value?.join(",") ?? "") : "";
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
find("#another").addEventListener("click", () => find("#file").click());
find("#draw").addEventListener("click", () => editor.place());
find("#whole-look").addEventListener("click", showLook);
find("#find").addEventListener("click", () => {
  hidden.garment.value = "1";
  refresh({ push: true });
});
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
onPhoto(form, take);
addEventListener("popstate", ({ state }) => restore(new URLSearchParams(location.search), state));

if (matchMedia("(max-width: 899px)").matches) {
  for (const part of [find("#adjust"), find("#filters")]) if (part) part.open = false; // the products are what people came for
}
if (Number(stage.dataset.width)) {
  shown = { plain: queryImage.dataset.plain, saliency: queryImage.dataset.saliency };
  editor.photo(Number(stage.dataset.width), Number(stage.dataset.height));
  frame(editor.width, editor.height);
  garments.width = editor.width;
  garments.height = editor.height;
  garments.carried = hidden.known.value;
  const current = Number(find("#garments [aria-current]")?.dataset.garment);
  if (current) hidden.garment.value = current;
  editor.set(hidden.box.value ? hidden.box.value.split(",").map(Number) : current ? garments.box(current) : null);
}
if (form.elements.kept) {
  // a page that was made without scripts, and goes on with them
  photo = { blob: blobOf(form.elements.kept.value), url: queryImage.dataset.plain, width: editor.width, height: editor.height, key: "kept" };
  photos.set("kept", photo);
  if (form.elements.detail_kept) wishes?.adopt(blobOf(form.elements.detail_kept.value));
  history.replaceState({ key: "kept", second: wishes?.key || null }, "");
}
updateControls();
