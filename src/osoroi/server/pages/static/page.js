// The page with scripts: a photo, its garments and the controls make one state, kept in the address; each change searches
// anew. Lists of other garments that are there already are shown without asking again.

import { BoxEditor } from "./box.js";
import { Filters } from "./filters.js";
import { Garments } from "./garments.js";
import { blobOf, fileInto, onPhoto, prepared } from "./photo.js";
import { Arrival, Results } from "./results.js";
import { Row } from "./row.js";
import { Stage } from "./stage.js";
import { State, boxOfAddress, inLanguage } from "./state.js";
import { Wishes } from "./wishes.js";

const find = (selector, within = document) => within.querySelector(selector);
const form = find("#search");
const slider = find("#slider");
const says = find("#box-says");

const WHOLE = "photo"; // garment=photo: search with the whole photo
const photos = new Map(); // history key -> photo: photos live in this page and nowhere else
const seconds = new Map(); // the same for second photos
let timer = 0;
let chosen; // the photo that was chosen last, which may not be ready yet
let taken = false; // a photo was chosen, and its results are not there yet
let lists = { key: "", of: new Map() }; // lists of garments, as long as nothing else changes

const results = new Results(find("#results"), [...document.querySelectorAll("template[data-notice]")], { onShown: resultsShown, onList: listCame });
const arrival = new Arrival(results.region);
const editor = new BoxEditor(find("#stage"), find("#box"), { onInput: () => preview(200), onCommit: boxed });
const garments = new Garments(find("#stage"), find("#garments"));
garments.Row = Row; // at hand: what comes into view later would push the results away
const filters = new Filters(form);
const stage = new Stage(find("#stage"), { fades: () => Boolean(form.elements.saliency?.checked) });
const state = new State(form, { slider, editor, garments, filters });
const { hidden } = state;
const wishes = find("#wishes")
  ? new Wishes(find("#wishes"), { color: hidden.detail_from, box: hidden.detail_box, onChange: wished })
  : null;
state.wishes = wishes;

// ---------------------------------------------------------------- searching

const current = () => state.photo;

/** Search with the state as it is. `push` makes a step that Back returns from; `passing` leaves the address alone. */
function refresh({ push = false, passing = false } = {}) {
  clearTimeout(timer);
  if (!passing) remember(push);
  if (lists.key !== state.listsKey()) lists = { key: state.listsKey(), of: new Map() };
  updateControls();
  const unknown = Boolean(state.photo && !garments.carried);
  stage.finding(unknown);
  if (unknown) says.textContent = says.dataset.finding;
  results.load(state.body());
  stage.show(current, editor.value);
}

/** Put the state into the address. */
function remember(push) {
  const to = state.address();
  const step = { key: state.photo?.key ?? null, second: wishes?.key || null };
  if (wishes?.photo) seconds.set(wishes.key, wishes.photo);
  const before = location.pathname + location.search + (history.state?.key ?? null) + (history.state?.second ?? null);
  if (push && to + step.key + step.second !== before) history.pushState(step, "", to);
  else history.replaceState(step, "", to);
  document.body.dataset.view = state.searching ? "search" : "start";
  document.body.dataset.by = state.byPhoto ? "photo" : "words";
}

function searchSoon(milliseconds, how = {}) {
  clearTimeout(timer);
  timer = setTimeout(() => refresh(how), milliseconds);
  updateControls();
}

/** Search while a box or the slider is still being dragged: Back leads to where it was, however slow the hand. */
const preview = (milliseconds) => searchSoon(milliseconds, { passing: true });

/** Everything that follows from the state without searching. */
function updateControls() {
  if (slider) find("#own").hidden = state.isOwn;
  find("#another").textContent = find("#another").dataset[state.byPhoto ? "other" : "first"];
  find("#whole").hidden = !editor.value;
  find("#draw").hidden = Boolean(editor.value);
  find("#whole-look").hidden = garments.count < 2;
  find("#whole-look").setAttribute("aria-pressed", String(state.look));
  find("#find").hidden = Boolean(state.photo) || garments.count > 0 || !state.searching;
  garments.mark(state.look ? 0 : state.number);
  garments.place(state.moved ? editor.value : null);
  wishes?.update();
  filters.update();
  for (const link of document.querySelectorAll(".languages a")) link.href = inLanguage(link.dataset.lang);
}

/** Take over what the server says of the search: the photo of the query, its garments, and the counts of the filters. */
function resultsShown(outcome) {
  const { url, saliency, width, height, product, crop } = outcome.dataset;
  stage.finding(false);
  if (outcome.dataset.retyped) {
    delete outcome.dataset.retyped;
    wishes?.restore("", "", null); // the words, which came later, name another colour
    remember(false);
    lists = { key: state.listsKey(), of: new Map() };
  }
  state.settleText(state.sent);
  if (!state.photo) {
    hidden.product.value = product;
    hidden.crop.value = crop;
  }
  if (url && (!state.photo || !state.photo.url)) {
    stage.place(url, saliency ?? "");
    measure(Number(width), Number(height));
  }
  takeGarments(outcome);
  keep(outcome);
  filters.count(outcome);
  arrival.decide();
  if (taken) goOn();
  arrival.scroll();
  taken = false;
}

/** The keyboard goes on at the garment that was chosen: what had the focus is hidden, or opened the photo. */
function goOn() {
  const at = document.activeElement;
  if (at !== document.body && !at.matches("#file, #camera, #another")) return;
  (find("#garments [aria-current]") ?? find("#results")).focus({ preventScroll: true });
}

/** The garments that were found in this search, and the one that the list is of. */
function takeGarments(outcome) {
  const buttons = find("template.new-garments", outcome);
  if (!buttons) return;
  const chips = find("template.new-chips", outcome);
  if (state.photo) Object.assign(state.photo, { buttons, chips });
  fillGarments(buttons, chips);
  const of = Number(outcome.dataset.number);
  if (of && !state.look) {
    const box = state.moved ? editor.value : (boxOfAddress() ?? garments.box(of));
    if (hidden.garment.value !== String(of)) hidden.garment.value = of;
    editor.set(box);
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
  if (state.look) find("#results").append(outcome);
  else keep(outcome);
}

function keep(outcome) {
  const of = Number(outcome.dataset.number);
  const k = of === state.number ? hidden.k.value : hidden.k.dataset.default;
  if (of && !state.look && !(of === state.number && state.moved)) lists.of.set(of, { outcome, k });
}

/** Take over the size of a photo of the catalog, keeping the box where it is the same photo. */
function measure(width, height) {
  if (editor.width === width && editor.height === height) return;
  const box = editor.value ?? boxOfAddress();
  editor.photo(width, height);
  editor.set(box);
  stage.frame(width, height);
  updateControls();
}

// ---------------------------------------------------------------- what people do

async function take(file) {
  if (!file) return;
  const again = !state.photo && new URLSearchParams(location.search).get("photo") === "mine"; // a link whose photo is gone
  const mine = (chosen = Symbol(file.name));
  const made = await prepared(file);
  if (chosen !== mine) return; // a later photo was ready first
  made.key = `${Date.now()}-${Math.random()}`;
  photos.set(made.key, made);
  state.photo = made;
  stage.clear();
  const box = again ? boxOfAddress() : null;
  forget();
  if (!again) wishes?.restore("", "", null);
  if (!again && new URLSearchParams(location.search).has("text")) hidden.text.value = ""; // words of the query before
  if (again) {
    const query = new URLSearchParams(location.search);
    hidden.garment.value = query.get("garment") ?? "";
    hidden.look.value = query.get("look") ?? "";
  }
  editor.photo(made.width, made.height);
  editor.set(box);
  if (made.url) stage.own(made);
  else stage.image.removeAttribute("src");
  scrollTo({ top: 0 });
  taken = true;
  arrival.await();
  refresh({ push: true });
}

/** Nothing is left of the query before. */
function forget() {
  hidden.product.value = hidden.crop.value = hidden.garment.value = "";
  garments.clear();
  wishes?.clearPhotoChips();
  hidden.k.value = hidden.k.dataset.default;
}

function searchLike(product) {
  taken = false;
  state.photo = null;
  forget();
  hidden.product.value = product;
  hidden.look.value = hidden.text.value = "";
  wishes?.restore("", "", null);
  editor.photo(0, 0);
  stage.empty();
  scrollTo({ top: 0 });
  arrival.await();
  refresh({ push: true });
}

/** Search with one garment. Its list may be there already. */
function choose(of) {
  hidden.garment.value = of;
  hidden.look.value = "";
  editor.set(garments.box(of));
  says.textContent = garments.name(of);
  const ready = lists.key === state.listsKey() && lists.of.get(of);
  hidden.k.value = ready ? ready.k : hidden.k.dataset.default;
  arrival.await();
  if (!ready) return refresh({ push: true });
  clearTimeout(timer);
  remember(true);
  updateControls();
  results.put(ready.outcome);
  stage.show(current, editor.value);
}

function showLook() {
  hidden.look.value = state.look ? "" : "1";
  if (!state.look) return choose(state.number || 1);
  editor.set(null);
  hidden.k.value = hidden.k.dataset.default;
  arrival.await();
  refresh({ push: true });
}

function boxed({ again = false, drawn = false } = {}) {
  if (!editor.value) hidden.garment.value = state.photo || garments.count ? WHOLE : "";
  else if (drawn || !state.number) hidden.garment.value = "";
  hidden.look.value = "";
  says.textContent = editor.value ? `${says.dataset.box}: ${editor.value.join(", ")}` : says.dataset.whole;
  if (again) searchSoon(200);
  else refresh({ push: true });
}

function wished() {
  state.settleText();
  refresh({ push: true });
}

/** Set every control to what an address says: the way of Back and Forward. */
function restore(query, step) {
  taken = false;
  state.photo = photos.get(step?.key) ?? null;
  stage.shown = null;
  forget();
  for (const name of ["product", "crop", "text", "garment", "look"]) hidden[name].value = query.get(name) ?? "";
  state.settleText();
  hidden.k.value = query.get("k") ?? hidden.k.dataset.default;
  wishes?.restore(query.get("detail_from") ?? "", query.get("detail_box"), seconds.get(step?.second));
  if (slider) slider.value = query.get("detail") ?? slider.dataset.own;
  filters.restore(query);
  editor.photo(state.photo?.width ?? 0, state.photo?.height ?? 0);
  if (state.photo) {
    stage.own(state.photo);
    if (state.photo.buttons) fillGarments(state.photo.buttons, state.photo.chips);
    if (!hidden.garment.value && !boxOfAddress() && garments.count) hidden.garment.value = "1";
    editor.set(boxOfAddress() ?? (state.look ? null : garments.box(state.number)));
  }
  refresh();
}

function clicked(event) {
  const language = event.target.closest(".languages [data-lang]");
  if (language && state.photo && !event.button && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    speak(language.dataset.lang);
    return;
  }
  const link = event.target.closest("a, button");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const { product, slider: to, more, clear, garment } = link.dataset;
  const ours = [product, to, more, clear, garment].some((value) => value !== undefined) || link.id === "clear";
  if (!ours) return;
  event.preventDefault();
  if (garment !== undefined) choose(Number(garment));
  else if (product !== undefined) searchLike(product);
  else if (to !== undefined) turn(to === "" ? slider.dataset.own : to);
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
  fileInto(find("#file"), state.photo);
  if (wishes?.photo) fileInto(find("#detail-file"), wishes.photo);
  hidden.box.value = state.moved || !state.number ? (editor.value?.join(",") ?? "") : "";
  for (const input of form.querySelectorAll(".numbers input")) input.value = "";
  hidden.lang.value = language;
  form.submit();
}

function turn(to) {
  slider.value = to;
  refresh({ push: true });
}

// ---------------------------------------------------------------- begin

form.addEventListener("submit", (event) => {
  event.preventDefault();
  refresh({ push: true });
});
hidden.text.addEventListener("search", () => hidden.text.value || refresh({ push: true })); // emptied by its own button
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
find("#stage").addEventListener("boxgone", () => find("#draw").focus());
slider?.addEventListener("input", () => preview(120));
slider?.addEventListener("change", () => refresh({ push: true }));
find("#own")?.addEventListener("click", () => {
  turn(slider.dataset.own);
  slider.focus();
});
form.addEventListener("change", ({ target }) => {
  if (target.closest("#filters") || target.name === "saliency") refresh({ push: true });
});
document.addEventListener("click", clicked);
onPhoto(form, take, {
  onSeveral: () => results.noticeLater("several"),
  onNone: () => results.notice("no-file"),
});
addEventListener("popstate", (event) => restore(new URLSearchParams(location.search), event.state));

const small = matchMedia("(max-width: 899px)").matches; // the products are what people came for
if (find("#filters")) find("#filters").open = !small;
if (find("#adjust")) find("#adjust").open = !small && !matchMedia("(max-height: 800px)").matches; // filters stay in view
if (Number(stage.dataset.width)) {
  stage.shown = { ...stage.image.dataset };
  editor.photo(Number(stage.dataset.width), Number(stage.dataset.height));
  stage.frame(editor.width, editor.height);
  garments.width = editor.width;
  garments.height = editor.height;
  garments.carried = hidden.known.value;
  const current = Number(find("#garments [aria-current]")?.dataset.garment);
  if (current) hidden.garment.value = current;
  editor.set(hidden.box.value ? hidden.box.value.split(",").map(Number) : current ? garments.box(current) : null);
}
if (form.elements.kept) {
  // a page that was made without scripts, and goes on with them
  state.photo = { blob: blobOf(form.elements.kept.value), url: stage.image.dataset.plain, width: editor.width, height: editor.height, key: "kept" };
  photos.set("kept", state.photo);
  if (form.elements.detail_kept) wishes?.adopt(blobOf(form.elements.detail_kept.value));
  history.replaceState({ key: "kept", second: wishes?.key || null }, "");
}
updateControls();
