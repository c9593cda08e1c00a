// Search by photo on a shop's own page: <script src="https://find.example/widget.js"></script>. It lives in a shadow tree
// after that script, or in the element that data-target names, so that no style of the page gets in.

(() => {
  const script = document.currentScript;
  const { src, dataset } = script;
  const base = new URL(".", src); // where the service is, with its prefix
  const own = new URL(src).search; // of a version, say
  const TRIES = 4;
  const WORDS = {
    en: {
      title: "Find it from a photo", lead: "Choose a photo of someone who wears it.", choose: "Choose a photo",
      take: "Take a photo", garments: "Garments in the photo", products: "Products", searching: "Looking for garments …",
      words: "Or in words", go: "Search", others: "Other kinds",
      found: (n) => (n === 1 ? "1 product" : `${n} products`), more: "Show more", nothing: "Nothing here looks like it.",
      unlikely: "Probably not the very product; these are the nearest.", photo: "Your photo",
      kept: "Your photo is used for this search alone and not kept.", failed: "That did not work. Please try again.",
      unreadable: "This file cannot be read as a photo.", busy: "Many people are searching. Please try again in a moment.",
    },
    ja: {
      title: "写真から探す", lead: "着ている人の写真を選んでください。", choose: "写真を選ぶ", take: "写真を撮る",
      garments: "写真の中の服", products: "商品", searching: "服を探しています…", found: (n) => `${n}点の商品`,
      words: "言葉で探す", go: "検索", others: "ほかの種類",
      more: "もっと見る", nothing: "似た商品はありません。", unlikely: "同じ商品はおそらくありません。近いものを表示します。",
      photo: "選んだ写真", kept: "写真はこの検索だけに使い、保存しません。", failed: "うまくいきませんでした。もう一度お試しください。",
      unreadable: "このファイルは写真として読めません。", busy: "混み合っています。少し待ってもう一度お試しください。",
    },
  };
  const STYLE = `
    :host { display: block; container-type: inline-size; color: var(--osoroi-color, #1c1b1a);
      background: var(--osoroi-background, transparent); font: var(--osoroi-font, 16px/1.5 system-ui, sans-serif); }
    * { box-sizing: border-box; }
    [hidden] { display: none !important; }
    h2 { font-size: 1.3em; line-height: 1.3; margin: 0 0 .2em; }
    p { margin: 0 0 .8em; }
    .muted { color: var(--osoroi-muted, #66625d); font-size: .875em; }
    .choose { display: flex; flex-wrap: wrap; gap: .6em; margin: 0 0 .8em; padding: 1em; text-align: center;
      border: 1.5px dashed var(--osoroi-border, #b5b0a8); border-radius: var(--osoroi-radius, 10px); }
    .over { border-color: var(--osoroi-accent, #1f4e79); }
    label, .more, .go { flex: 1 1 10em; min-height: 44px; padding: .6em 1em; border: 0; font: inherit; font-weight: 600;
      cursor: pointer; border-radius: var(--osoroi-radius, 10px); color: var(--osoroi-accent-text, #fff);
      background: var(--osoroi-accent, #1f4e79); }
    input { position: absolute; opacity: 0; width: 1px; height: 1px; }
    input:focus-visible + label, button:focus-visible, a:focus-visible { outline: 3px solid var(--osoroi-focus, #e08a00);
      outline-offset: 2px; }
    .body { display: grid; gap: 1em; align-items: start; scroll-margin-top: 1em; }
    .stage { position: relative; width: fit-content; max-width: 100%; margin: 0 auto; }
    @container (min-width: 640px) {
      .searched { grid-template-columns: minmax(0, 5fr) minmax(0, 9fr); }
      .side { position: sticky; top: 1em; }
    }
    .stage img { display: block; width: auto; height: auto; max-width: 100%; max-height: var(--osoroi-photo-height, 24em);
      border-radius: var(--osoroi-radius, 10px); }
    .garments { position: absolute; inset: 0; }
    .garments button { position: absolute; min-height: 32px; padding: .2em .8em; border-radius: 999px; cursor: pointer;
      font: inherit; font-size: .875em; border: 1.5px solid #fff; color: #fff; background: #1c1b1ad9; }
    .garments button::first-letter { text-transform: uppercase; }
    .garments button[aria-current] { color: var(--osoroi-accent-text, #fff); background: var(--osoroi-accent, #1f4e79); }
    .row { display: flex; flex-wrap: wrap; gap: .4em; margin-top: .6em; }
    .row button::before { content: attr(data-garment) " "; }
    .number { position: absolute; width: 24px; border-radius: 50%; color: #fff; background: #1c1b1ad9; font: 12px/24px sans-serif;
      text-align: center; cursor: pointer; }
    ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(var(--osoroi-card, 9.5em), 45%), 1fr));
      gap: 1em; margin: 0 0 1em; padding: 0; list-style: none; }
    li a, li div { display: block; color: inherit; text-decoration: none; }
    li a:hover .name { text-decoration: underline; }
    li img { display: block; width: 100%; aspect-ratio: 3 / 4; object-fit: contain; background: #fff;
      border: 1px solid var(--osoroi-border, #e3dfd8); border-radius: var(--osoroi-radius, 10px); }
    .name { display: block; margin-top: .4em; line-height: 1.35; overflow-wrap: anywhere; }
    .price { display: block; font-weight: 600; }
    .more { display: block; width: 100%; }
    form { display: flex; gap: .6em; margin: 0 0 .8em; }
    form input { position: static; opacity: 1; flex: 1; width: auto; height: auto; min-width: 0; min-height: 44px;
      padding: .6em 1em; font: inherit; border: 1px solid var(--osoroi-border, #857f76);
      border-radius: var(--osoroi-radius, 10px); }
    .go { flex: none; }
    .others { grid-column: 1 / -1; font-weight: 600; }`;

  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    for (const [key, value] of Object.entries(properties.aria ?? {})) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  const lang = (dataset.lang || document.documentElement.lang || navigator.language).startsWith("ja") ? "ja" : "en";
  const t = { ...WORDS[lang], ...(dataset.title && { title: dataset.title }) };
  const k = Number(dataset.k) || 12;

  // ---------------------------------------------------------------- what is there

  const host = element("div", { className: "osoroi" });
  const tree = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  tree.adoptedStyleSheets = [sheet]; // no policy of the page's forbids these
  const file = (id, more) => element("input", { type: "file", id, accept: "image/*", ...more });
  const label = (id, text) => element("label", { htmlFor: id, textContent: text });
  const camera = file("camera", { aria: { capture: "environment" } });
  const chosen = file("file");
  const drop = element("div", { className: "choose" }, chosen, label("file", t.choose));
  if (matchMedia("(pointer: coarse)").matches) drop.prepend(camera, label("camera", t.take));
  const text = element("input", { type: "search", maxLength: 500, placeholder: t.words, aria: { "aria-label": t.words } });
  const words = element("form", {}, text, element("button", { className: "go", textContent: t.go }));
  const image = element("img", { alt: t.photo });
  const buttons = element("div", { className: "garments", role: "group", aria: { "aria-label": t.garments } });
  const stage = element("div", { className: "stage", hidden: true }, image);
  const status = element("p", { role: "status" });
  const list = element("ol", { aria: { "aria-label": t.products } });
  const more = element("button", { type: "button", className: "more", textContent: t.more, hidden: true });
  const side = element("div", { className: "side" }, stage);
  const body = element("div", { className: "body" }, side, element("div", {}, status, list, more));
  tree.append(element("section", { lang, aria: { "aria-label": t.title } }, element("h2", { textContent: t.title }),
    element("p", { textContent: t.lead }), drop, words, element("p", { className: "muted", textContent: t.kept }), body));

  // ---------------------------------------------------------------- asking the service

  let photo = null;
  let looks = []; // garments with their hits
  let now = -1; // the number of the one that is shown
  let running = null;
  let parts = null; // the page's own modules

  const known = { 413: t.unreadable, 422: t.unreadable, 429: t.busy, 503: t.busy };
  const tell = (name, detail, cancelable = false) =>
    host.dispatchEvent(new CustomEvent(`osoroi:${name}`, { detail, bubbles: true, composed: true, cancelable }));

  async function ask(fields, signal) {
    const data = new FormData();
    for (const [name, value] of Object.entries({ k, where: dataset.where ?? "", detail: dataset.detail ?? "", ...fields })) {
      if (value instanceof Blob) data.append(name, value, "photo");
      else if (value !== "") data.append(name, value);
    }
    for (let tries = 1; ; tries += 1) {
      const response = await fetch(new URL("v1/search", base), { method: "POST", body: data, signal, credentials: "omit" });
      if (response.ok) return response.json();
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      if (known[response.status] !== t.busy || tries === TRIES || seconds > 10) {
        const said = await response.json().catch(() => 0);
        throw Object.assign(new Error(said.error), { status: response.status });
      }
      await new Promise((done) => setTimeout(done, seconds * 1000 * (0.5 + Math.random())));
      signal.throwIfAborted();
    }
  }

  /** Run `work`, in place of what runs; what goes wrong is said. */
  async function run(work) {
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    body.setAttribute("aria-busy", "true");
    try {
      await work(signal);
    } catch (error) {
      if (signal.aborted) return;
      status.textContent = known[error.status] ?? t.failed;
      tell("error", { status: error.status ?? 0, message: error.message });
    }
    if (!signal.aborted) body.removeAttribute("aria-busy");
  }

  const search = (blob) =>
    run(async (signal) => {
      clear();
      status.textContent = t.searching;
      parts ??= await modules();
      const made = await parts.prepared(blob);
      signal.throwIfAborted();
      photo = made;
      show(made);
      tell("photo", { width: made.width, height: made.height });
      const { garments } = await ask({ photo: made.blob, look: "true" }, signal);
      looks = garments.map((one, place) => ({ ...one, number: place + 1 }));
      const worn = looks.filter((one) => one.person !== null);
      if (worn.length) looks = worn;
      offer(worn);
      tell("search", { garments: looks.map(({ kind, hits }) => ({ kind, product_ids: hits.map((hit) => hit.product_id) })) });
      choose(0);
      body.scrollIntoView({ block: "nearest" });
    });

  const describe = () =>
    run(async (signal) => {
      clear();
      body.classList.remove("searched");
      const query = text.value.trim();
      status.textContent = "";
      if (!query) return;
      const { hits, understood } = await ask({ text: query, detail: "" }, signal);
      looks = [{ hits, text: query, kind: understood.kind }];
      tell("search", { garments: [{ kind: understood.kind, product_ids: hits.map((hit) => hit.product_id) }] });
      choose(0);
    });

  const further = () =>
    run(async (signal) => {
      const one = looks[now];
      const query = one.text ? { text: one.text, detail: "" } : { photo: photo.blob, garment: one.number };
      const { hits } = await ask({ ...query, offset: one.hits.length }, signal);
      one.last = hits.length < k;
      one.hits.push(...hits);
      fill(one);
      list.querySelectorAll("li:not(.others)")[one.hits.length - hits.length]?.querySelector("a")?.focus();
      tell("more", { kind: one.kind, product_ids: hits.map((hit) => hit.product_id) });
    });

  // ---------------------------------------------------------------- showing

  async function modules() {
    const [{ prepared }, { Garments }] = await Promise.all(
      ["prepare", "garments"].map((name) => import(new URL(`static/${name}.js${own}`, base))));
    return { prepared, garments: new Garments(stage, buttons) };
  }

  function clear() {
    looks = [];
    now = -1;
    stage.hidden = more.hidden = true;
    buttons.replaceChildren();
    list.replaceChildren();
    if (photo?.url) URL.revokeObjectURL(photo.url);
  }

  function show({ url, width, height }) {
    body.classList.toggle("searched", Boolean(url));
    stage.hidden = !url;
    Object.assign(image, { src: url, width, height });
    Object.assign(parts.garments, { width, height });
  }

  function offer(worn) {
    const made = worn.map((one, place) => {
      const name = lang === "ja" ? one.kind_ja : one.kind;
      const button = element("button", { type: "button", textContent: name, onclick: () => choose(place) });
      Object.assign(button.dataset, { garment: place + 1, box: one.box.join(","), person: one.person });
      return button;
    });
    parts.garments.fill(element("div", {}, ...made), "");
  }

  function choose(place) {
    if (!looks[place]) return void (status.textContent = t.nothing);
    const changed = now >= 0 && now !== place;
    now = place;
    parts?.garments.mark(place + 1);
    fill(looks[place]);
    if (changed) tell("garment", { kind: looks[place].kind });
  }

  function fill(one) {
    const { hits } = one;
    status.textContent = !hits.length ? t.nothing : one.nothing_like_it ? t.unlikely : t.found(hits.length);
    list.replaceChildren(...hits.map(card));
    const other = hits.findIndex((hit) => hit.other_kind);
    if (other >= 0) list.children[other].before(element("li", { className: "others", textContent: t.others }));
    more.hidden = one.last || hits.length < k;
  }

  function card(hit) {
    const { product } = hit;
    const picture = element("img", { crossOrigin: "anonymous", loading: "lazy", alt: "" });
    picture.src = new URL(`${hit.photo}&width=320`, base);
    const name = element("span", { className: "name", textContent: product.title || hit.product_id });
    const price = element("span", { className: "price", textContent: money(product) });
    const url = address(product);
    const link = element(url ? "a" : "div", {}, picture, name, price);
    if (url) link.href = url;
    link.addEventListener("click", (event) => {
      const detail = { product_id: hit.product_id, rank: hit.rank, score: hit.score, url, kind: looks[now].kind };
      if (!tell("click", detail, true)) event.preventDefault();
    });
    return element("li", {}, link);
  }

  /** The page of a product: as data-link makes it of the id, or as the catalog has it. */
  function address({ product_id, url }) {
    const made = dataset.link ? dataset.link.replace("{id}", encodeURIComponent(product_id)) : url;
    try {
      const parsed = new URL(made, dataset.link ? document.baseURI : undefined);
      return /^https?:$/.test(parsed.protocol) ? parsed.href : null;
    } catch {
      return null;
    }
  }

  function money({ price, currency }) {
    if (price === null) return "";
    const style = currency ? { style: "currency", currency } : {};
    return new Intl.NumberFormat(lang, { ...style, trailingZeroDisplay: "stripIfInteger" }).format(price);
  }

  // ---------------------------------------------------------------- what people do

  for (const input of [camera, chosen]) {
    input.addEventListener("change", () => {
      if (input.files[0]) search(input.files[0]);
      input.value = "";
    });
  }
  more.addEventListener("click", further);
  words.addEventListener("submit", (event) => (event.preventDefault(), describe()));
  const dragging = (on) => drop.classList.toggle("over", on);
  host.addEventListener("dragover", (event) => (event.preventDefault(), dragging(true)));
  host.addEventListener("dragleave", () => dragging(false));
  host.addEventListener("drop", (event) => {
    event.preventDefault();
    dragging(false);
    if (event.dataTransfer.files[0]) search(event.dataTransfer.files[0]);
  });

  const place = () => {
    const target = dataset.target && document.querySelector(dataset.target);
    if (target) target.append(host);
    else script.after(host);
    tell("ready", {});
  };
  if (document.readyState === "loading" && dataset.target) document.addEventListener("DOMContentLoaded", place);
  else place();
})();
