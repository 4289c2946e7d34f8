/* The gallery's own script. Data arrives as scripts that call monetWatch.list, .piece and .moment: a page that was
   opened from a folder may run scripts that lie beside it, and read nothing else. */
"use strict";

const monetWatch = (() => {
  const PAGE_SIZE = 60;
  const BUSY_SECONDS = 3;
  const IDLE_SECONDS = 15;
  const FEW_COLLECTIONS = 8;
  const FEW_NOTES = 3;
  const FEW_NAMES = 8;
  const STALE_SECONDS = 180;
  const MOST_DAYS = 9999;
  const root = document.body.dataset.root;
  const byId = (id) => document.getElementById(id);

  /* ---- Small things. */

  function make(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === true) node.setAttribute(key, "");
      else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
    }
    node.append(...children.filter((child) => child !== null && child !== ""));
    return node;
  }

  const isolated = (text) => make("bdi", {}, text);
  const number = new Intl.NumberFormat("en");
  const plural = (count, one, many) => `${number.format(count)} ${count === 1 ? one : many}`;

  function date(seconds, withTime = false) {
    const options = { day: "numeric", month: withTime ? "long" : "short", year: "numeric" };
    if (withTime) Object.assign(options, { hour: "2-digit", minute: "2-digit", hour12: false });
    return new Date(seconds * 1000).toLocaleString("en-GB", options);
  }

  /* In the words of the console and of `monet-watch status`. */
  function duration(seconds) {
    if (seconds < 99.5) return `${Math.round(seconds)} s`;
    const minutes = Math.round(seconds / 60);
    if (minutes < 60) return `${minutes} min`;
    const hours = Math.floor(minutes / 60);
    if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
    return hours < 24 * MOST_DAYS ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `over ${MOST_DAYS} d`;
  }

  function lossText(value) {
    if (value === 0 || (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e6)) return number.format(Number(value.toPrecision(4)));
    return value.toExponential(2);
  }

  function setText(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  /* Links that are there stay: whoever is about to follow one does not lose it. */
  function replaceLinks(node, links) {
    const signature = links.map((link) => `${link.getAttribute("href")} ${link.textContent}`).join("\n");
    if (node.dataset.signature === signature) return;
    node.dataset.signature = signature;
    node.replaceChildren(...links);
  }

  /* Run a script beside the page; a query that is never the same makes the browser read it again. */
  function load(name, query) {
    return new Promise((resolve) => {
      const script = make("script", { src: `${root}.gallery/data/${name}?${query}` });
      script.onload = () => { script.remove(); resolve(true); };
      script.onerror = () => { script.remove(); resolve(false); };
      document.head.append(script);
    });
  }

  /* Bring the children of a list in line with `items`, keeping the nodes that are there: nothing flickers or jumps. */
  function sync(list, items, key, create, update) {
    const present = new Map([...list.children].map((node) => [node.dataset.key, node]));
    let place = list.firstElementChild;
    for (const item of items) {
      const id = key(item);
      let node = present.get(id);
      if (node) present.delete(id);
      else {
        node = create(item);
        node.dataset.key = id;
      }
      if (update) update(node, item);
      if (node === place) place = place.nextElementSibling;
      else list.insertBefore(node, place);
    }
    for (const node of present.values()) node.remove();
  }

  /* ---- The data. */

  const data = { list: null, pieces: [], versions: [], moment: null, piecesAwaited: 0 };

  async function refreshList() {
    const sheets = data.list && JSON.stringify(data.list.sheets);
    await load("list.js", Date.now());
    if (!data.list) return false;
    const pieces = data.list.pieces;
    const wanted = [];
    for (let at = pieces.length - 1; at >= 0; at--) if (data.versions[at] !== pieces[at][1]) wanted.push(at);
    const otherwise = data.pieces.length > pieces.length || sheets !== JSON.stringify(data.list.sheets);
    data.pieces.length = pieces.length;
    data.versions.length = pieces.length;
    return { wanted, otherwise };
  }

  async function loadPiece(at) {
    const version = data.list.pieces[at][1];
    if (await load(`piece-${String(at).padStart(5, "0")}.js`, version)) data.versions[at] = version;
  }

  /* A folder's own style picture is named after the folder: where that stands beside it, the rest of the name will do. */
  const styleNames = ({ styles, within }) => styles.map((style) => (within && style.startsWith(`${within}/`) ? style.slice(within.length + 1) : style)).join(", ");
  const newestFirst = (one, other) => other.finished - one.finished || (one.folder < other.folder ? -1 : 1);
  const thumbnail = (mark) => `${root}.gallery/thumbnails/${mark.slice(0, 2)}/${mark}/painting.webp`;
  const styleThumbnail = (mark) => `${root}.gallery/styles/${mark}.webp`;

  /* Links to the pages of the contact sheet of a folder, which is an address; none where it has none. */
  function sheetLinks(folder, words, of) {
    const count = (data.list && data.list.sheets && data.list.sheets[folder]) || 0;
    return Array.from({ length: count }, (_, at) => {
      const file = at ? `contact-sheet-${at + 1}.jpg` : "contact-sheet.jpg";
      const label = `${words}${of && ` of ${of}`}${at ? `, page ${at + 1}` : ""}`;
      return make("a", { href: `${folder}/${file}`, "aria-label": label }, at ? String(at + 1) : words);
    });
  }

  /* ---- The page of all paintings. */

  const wall = {
    all: [],
    page: 1,
    wanted: { q: "", folder: "", style: "", state: "" },
    allCollections: false,
    allNotes: { problems: false, line: false },

    async start() {
      this.readAddress();
      byId("filters").hidden = false;
      this.listen();
      await Promise.all([this.updateMoment(), this.updateList()]);
      this.wait();
    },

    /* Look again after a while; a page that nobody sees waits until it is looked at. */
    wait() {
      const busy = data.moment && data.moment.awake && data.moment.running.length;
      setTimeout(async () => {
        if (!document.hidden) {
          await Promise.all([this.updateMoment(), this.updateList()]);
        }
        this.wait();
      }, 1000 * (busy ? BUSY_SECONDS : IDLE_SECONDS));
    },

    async updateMoment() {
      await load("moment.js", Date.now());
      this.showMoment();
    },

    async updateList() {
      const changes = await refreshList();
      if (!changes) return this.showWall();
      const [first, ...others] = changes.wanted;
      if (first !== undefined) {
        await loadPiece(first);
        if (!this.all.length && others.length) this.showWall();
        await Promise.all(others.map(loadPiece));
      }
      if (changes.otherwise || first !== undefined || !this.shown) {
        this.shown = true;
        this.showWall();
      }
    },

    listen() {
      for (const name of ["q", "folder", "style", "state"]) {
        byId(name).addEventListener("input", (event) => {
          this.wanted[name] = event.target.value;
          this.page = 1;
          this.show();
        });
      }
      byId("filters").addEventListener("submit", (event) => event.preventDefault());
      byId("collections-all").addEventListener("click", () => {
        this.allCollections = true;
        this.showCollections();
      });
      for (const name of Object.keys(this.allNotes)) {
        byId(`${name}-all`).addEventListener("click", () => {
          this.allNotes[name] = true;
          this.showMoment();
          byId(`${name}-list`).children[FEW_NOTES].querySelector("h3").focus();
        });
      }
      window.addEventListener("hashchange", () => {
        this.readAddress();
        this.show();
      });
    },

    /* What is looked for stands in the address, so that "back" from a painting leads to where one was. */
    readAddress() {
      const given = new URLSearchParams(location.hash.slice(1));
      for (const name of Object.keys(this.wanted)) {
        this.wanted[name] = given.get(name) || "";
        const field = byId(name);
        if (field.tagName === "SELECT" && this.wanted[name] && ![...field.options].some((o) => o.value === this.wanted[name])) {
          field.append(make("option", { value: this.wanted[name] }, this.wanted[name]));
        }
        field.value = this.wanted[name];
      }
      this.page = Math.max(1, parseInt(given.get("page"), 10) || 1);
    },

    writeAddress() {
      const given = new URLSearchParams();
      for (const [name, value] of Object.entries(this.wanted)) if (value) given.set(name, value);
      if (this.page > 1) given.set("page", this.page);
      const hash = given.toString();
      if (hash === location.hash.slice(1)) return;
      history.replaceState(null, "", hash ? `#${hash}` : location.href.split("#")[0]);
    },

    show() {
      this.writeAddress();
      this.showMoment();
      this.showWall();
    },

    matches(item) {
      const { q, folder, style } = this.wanted;
      if (folder && item.within !== folder && !item.within.startsWith(`${folder}/`)) return false;
      if (style && !item.styles.includes(style)) return false;
      return !q || q.toLowerCase().split(/\s+/).every((word) => item.photo.toLowerCase().includes(word));
    },

    isShown(...states) {
      return !this.wanted.state || states.includes(this.wanted.state);
    },

    showMoment() {
      const moment = data.moment || { running: [], queued: [], waiting: [], problems: [], counts: {}, resting: "", awake: false };
      const running = this.isShown("running") ? moment.running.filter((each) => this.matches(each)) : [];
      byId("running").hidden = !running.length && !(moment.awake && moment.resting);
      byId("resting").hidden = !moment.resting;
      setText(byId("resting"), moment.resting);
      sync(byId("easels"), running, (each) => each.photo, (each) => this.makeEasel(each), (node, each) => this.updateEasel(node, each, moment));
      const problems = this.showNotes("problems", moment.problems, moment.counts.problems);
      const waiting = this.showNotes("line", moment.waiting, moment.counts.waiting);
      const queued = this.showQueue(moment.queued, moment.counts.queued || 0);
      byId("problems").hidden = !problems;
      byId("line").hidden = !waiting && !queued;
      this.summarise(moment);
    },

    /* A few notes, and the others when they are asked for; returns how many there are. */
    showNotes(name, items, count) {
      const found = this.isShown(name) ? items.filter((each) => this.matches(each)) : [];
      const shown = this.allNotes[name] ? found : found.slice(0, FEW_NOTES);
      const list = byId(`${name}-list`);
      list.hidden = !shown.length;
      sync(list, shown, (each) => each.photo, (each) => this.makeNote(each), (node, each) => {
        setText(node.querySelector(".reason"), each.reason);
        setText(node.querySelector(".remedy"), each.remedy);
      });
      byId(`${name}-all`).hidden = shown.length === found.length;
      setText(byId(`${name}-all`), `Show all ${found.length}`);
      const more = found.length && shown.length === found.length ? (count || 0) - items.length : 0;
      byId(`${name}-more`).hidden = more <= 0;
      setText(byId(`${name}-more`), more > 0 ? `and ${plural(more, "other", "others")}` : "");
      return found.length;
    },

    showQueue(items, count) {
      const found = this.isShown("line") ? items.filter((each) => this.matches(each)) : [];
      const line = byId("queue");
      line.hidden = !found.length;
      const filtered = found.length < items.length;
      const words = filtered ? plural(found.length, "photo that waits for its turn", "photos that wait for their turn")
        : plural(count, "photo waits for its turn", "photos wait for their turn");
      const text = found.length ? `${words}. Next: ${found.slice(0, FEW_NAMES).map((each) => `\u2068${each.title}\u2069`).join(", ")}` : "";
      setText(line, found.length && (filtered ? found.length : count) > FEW_NAMES ? `${text} …` : text);
      return found.length;
    },

    makeNote(each) {
      const name = each.within ? each.photo.slice(each.within.length + 1) : each.photo;
      const where = each.within && make("span", { class: "where" }, isolated(each.within));
      const title = make("h3", { tabindex: -1 }, isolated(name), where);
      return make("li", { class: "note" }, title, make("p", { class: "reason" }), make("p", { class: "remedy" }));
    },

    makeEasel(each) {
      const bar = make("div", { class: "bar", role: "progressbar", "aria-label": "Steps taken", "aria-valuemin": 0 }, make("i"));
      const frame = make("a", { class: "frame", tabindex: -1 });
      const words = make("div", {}, make("h3", {}, isolated(each.title)), make("p", { class: "place" }), make("p", { class: "steps" }), make("p", { class: "left" }), bar);
      return make("li", { class: "easel" }, frame, words);
    },

    updateEasel(node, each, moment) {
      const frame = node.querySelector(".frame");
      const picture = frame.querySelector("img");
      if (each.small && (!picture || picture.getAttribute("src") !== each.small)) {
        const fresh = make("img", { src: each.small, alt: `${each.title}, as it is being painted` });
        if (each.height) fresh.style.setProperty("--shape", each.width / each.height);
        fresh.decode().catch(() => {}).then(() => frame.replaceChildren(fresh));
      }
      if (each.latest) {
        frame.setAttribute("href", each.latest);
        frame.removeAttribute("tabindex");
      }
      setText(node.querySelector(".place"), [each.within, styleNames(each)].filter(Boolean).join(" · "));
      const loss = each.loss === null ? "" : `, loss\u00a0${lossText(each.loss)}`;
      const start = each.latest ? "It is about to go on" : "It is about to begin";
      setText(node.querySelector(".steps"), each.step ? `Step ${each.step} of at most ${each.steps}${loss}` : start);
      const stale = Date.now() / 1000 - moment.at > STALE_SECONDS && moment.at > 0;
      const left = each.remaining === null ? "" : `about ${duration(each.remaining)} left`;
      setText(node.querySelector(".left"), !moment.awake || stale ? `as of ${date(moment.at, true)}` : left);
      const bar = node.querySelector(".bar");
      const last = Math.max(each.expected || each.steps, each.step, 1);
      bar.setAttribute("aria-valuemax", last);
      bar.setAttribute("aria-valuenow", each.step);
      bar.firstElementChild.style.transform = `scaleX(${each.step / last})`;
    },

    summarise(moment) {
      const total = data.list ? data.list.pieces.reduce((sum, piece) => sum + piece[0], 0) : 0;
      const parts = [plural(total, "painting", "paintings")];
      if (moment.running.length) parts.push(`${moment.running.length} on the easel`);
      const line = (moment.counts.queued || 0) + (moment.counts.waiting || 0);
      if (line) parts.push(`${number.format(line)} waiting`);
      if (moment.counts.problems) parts.push(`${number.format(moment.counts.problems)} could not be painted`);
      if (moment.awake && moment.remaining && line) parts.push(`all of it done in about ${duration(moment.remaining)}`);
      setText(byId("summary"), data.list ? parts.join(", ") : "");
    },

    showWall() {
      this.all = data.pieces.flat().filter(Boolean).sort(newestFirst);
      this.offer("folder", [...this.folders().keys()], "All folders");
      this.offer("style", [...new Set(this.all.flatMap((each) => each.styles))].sort(), "All styles");
      this.showCollections();
      const found = this.isShown("done") ? this.all.filter((each) => this.matches(each)) : [];
      const pages = Math.max(1, Math.ceil(found.length / PAGE_SIZE));
      this.page = Math.min(this.page, pages);
      const shown = found.slice((this.page - 1) * PAGE_SIZE, this.page * PAGE_SIZE);
      byId("wall").hidden = !this.isShown("done");
      sync(byId("paintings"), shown, (each) => `${each.folder} ${each.mark}`, (each) => this.makeCard(each));
      this.showFound(found.length, pages);
      this.showSheet();
      this.showPager(pages);
      this.summarise(data.moment || { running: [], counts: {} });
    },

    showFound(count, pages) {
      const filtered = this.wanted.q || this.wanted.folder || this.wanted.style;
      let text = "";
      if (filtered) text = count ? `${plural(count, "painting", "paintings")} found` : "Nothing is found by these words.";
      else if (data.list && !this.all.length) text = "None is finished yet. Drop a photo into the inbox.";
      if (pages > 1) text += `${text ? ", " : ""}page ${this.page} of ${pages}`;
      setText(byId("found"), text);
    },

    /* That of the folder that is chosen; where none is, that of the paintings that lie in no folder. */
    showSheet() {
      const name = this.wanted.folder;
      const shown = this.all.find((each) => each.within === name);
      const words = name || this.all.every((each) => !each.within) ? "Contact sheet" : "Contact sheet of those in no folder";
      const links = shown ? sheetLinks(shown.collection, words, name) : [];
      byId("sheet").hidden = !links.length;
      replaceLinks(byId("sheet"), links);
    },

    makeCard(each) {
      const scale = Math.min(1, 320 / Math.max(each.width, each.height));
      const size = { width: Math.round(each.width * scale), height: Math.round(each.height * scale) };
      const picture = make("img", { ...size, loading: "lazy", decoding: "async", alt: "" });
      picture.style.setProperty("--shape", each.width / each.height);
      picture.onerror = () => {
        picture.onerror = null;
        picture.src = `${each.folder}/${each.file}`;
      };
      picture.src = thumbnail(each.mark);
      const label = make("span", { class: "label" },
        make("span", { class: "title" }, isolated(each.title)),
        each.within && make("span", { class: "meta" }, isolated(each.within)),
        make("span", { class: "meta" }, isolated(styleNames(each)), ` · ${date(each.finished)}`));
      const link = make("a", { href: `${each.folder}/index.html`, title: each.photo }, make("span", { class: "frame" }, picture), label);
      return make("li", { class: "card" }, link);
    },

    offer(name, values, all) {
      const field = byId(name);
      const chosen = this.wanted[name];
      const wanted = ["", ...values];
      if (chosen && !wanted.includes(chosen)) wanted.push(chosen);
      if ([...field.options].map((option) => option.value).join("\n") === wanted.join("\n")) return;
      field.replaceChildren(...wanted.map((value) => make("option", { value }, value || all)));
      field.value = chosen;
    },

    /* Each folder's paintings, the folder painted last first. */
    folders() {
      const found = new Map();
      for (const each of this.all) {
        if (!each.within) continue;
        if (!found.has(each.within)) found.set(each.within, []);
        found.get(each.within).push(each);
      }
      return found;
    },

    showCollections() {
      const found = [...this.folders()];
      const shown = this.allCollections ? found : found.slice(0, FEW_COLLECTIONS);
      byId("collections").hidden = !found.length || !this.isShown("done") || Boolean(this.wanted.q);
      byId("collections-all").hidden = shown.length === found.length;
      setText(byId("collections-all"), `Show all ${found.length} collections`);
      sync(byId("collection-list"), shown, ([name]) => name, ([name]) => this.makeCollection(name), (node, [name, entries]) => this.updateCollection(node, name, entries));
    },

    makeCollection(name) {
      const button = make("button", { type: "button" }, make("span", { class: "cover" }),
        make("span", {}, make("strong", {}, isolated(name)), make("span", { class: "count" })));
      button.addEventListener("click", () => {
        this.wanted.folder = this.wanted.folder === name ? "" : name;
        byId("folder").value = this.wanted.folder;
        this.page = 1;
        this.show();
      });
      return make("li", {}, button, make("p", { class: "sheet" }));
    },

    updateCollection(node, name, entries) {
      const styles = [...new Set(entries.flatMap((each) => each.styles))];
      const words = styles.length > 2 ? `${styles.length} styles` : styleNames({ styles, within: name });
      setText(node.querySelector(".count"), `${plural(entries.length, "painting", "paintings")}, ${words}`);
      node.querySelector("button").setAttribute("aria-pressed", String(this.wanted.folder === name));
      replaceLinks(node.querySelector(".sheet"), sheetLinks(entries[0].collection, "Contact sheet", name));
      const cover = node.querySelector(".cover");
      const source = styleThumbnail(entries[0].style_marks[0] || "");
      if (cover.dataset.source === source) return;
      cover.dataset.source = source;
      const picture = make("img", { alt: "", loading: "lazy" });
      picture.onerror = () => {
        picture.onerror = () => picture.remove();
        picture.src = thumbnail(entries[0].mark);
      };
      picture.src = source;
      cover.replaceChildren(picture);
    },

    showPager(pages) {
      const pager = byId("pager");
      pager.hidden = pages < 2;
      if (pages < 2) return pager.replaceChildren();
      const near = [1, this.page - 1, this.page, this.page + 1, pages].filter((page) => page >= 1 && page <= pages);
      const numbers = [...new Set(near)].sort((one, other) => one - other);
      const signature = `${this.page}/${pages}`;
      if (pager.dataset.signature === signature) return;
      pager.dataset.signature = signature;
      const held = pager.contains(document.activeElement);
      const nodes = [this.pageButton("← Newer", this.page - 1, pages)];
      numbers.forEach((page, at) => {
        if (at && page > numbers[at - 1] + 1) nodes.push(make("span", { "aria-hidden": "true" }, "…"));
        nodes.push(this.pageButton(String(page), page, pages));
      });
      nodes.push(this.pageButton("Older →", this.page + 1, pages));
      pager.replaceChildren(...nodes);
      if (held) pager.querySelector("[aria-current]").focus({ preventScroll: true });
    },

    pageButton(text, page, pages) {
      const isNumber = /^\d+$/.test(text);
      const button = make("button", { type: "button", disabled: page < 1 || page > pages, "aria-label": isNumber ? `Page ${text}` : null, "aria-current": isNumber && page === this.page ? "page" : null }, text);
      button.addEventListener("click", () => {
        this.page = page;
        this.writeAddress();
        this.showWall();
        byId("wall").scrollIntoView();
      });
      return button;
    },
  };

  /* ---- The page of one painting. */

  const painting = {
    start() {
      for (const node of document.querySelectorAll("[data-time]")) setText(node, date(Number(node.dataset.time), true));
      const record = JSON.parse(byId("record").textContent);
      this.size();
      this.compare();
      if (byId("scrub")) this.stages(record.stages);
      if (byId("birth")) this.birth();
      if (record.curve.total.length) new Curve(byId("curve"), record);
      this.neighbours();
    },

    size() {
      const box = byId("compare");
      const { width, height } = box.dataset;
      box.style.width = `min(100%, ${Math.round(1.6 * width)}px, calc(82vh * ${width / height}))`;
      const caption = document.querySelector(".caption");
      if (caption) caption.style.width = box.style.width;
    },

    compare() {
      const split = byId("split");
      if (!split) return;
      const move = () => byId("compare").style.setProperty("--split", `${split.value}%`);
      const say = () => split.setAttribute("aria-valuetext", `${split.value} % photo`);
      split.addEventListener("input", () => { move(); say(); });
      split.value = 50;
      move();
      say();
    },

    stages(stages) {
      const after = byId("after");
      const finished = { file: after.getAttribute("src"), text: "Finished" };
      const all = [...stages.map((stage) => ({ file: stage.file, text: `Step ${stage.step}` })), finished];
      const buttons = [...byId("film").querySelectorAll("button")];
      const scrub = byId("scrub");
      const choose = (at) => {
        const stage = all[at];
        const fresh = new Image();
        fresh.src = stage.file;
        fresh.decode().catch(() => {}).then(() => { if (Number(scrub.value) === at) after.src = stage.file; });
        scrub.value = at;
        scrub.setAttribute("aria-valuetext", stage.text);
        setText(byId("stage"), stage.text);
        buttons.forEach((button, place) => {
          if (place === at) button.setAttribute("aria-current", "true");
          else button.removeAttribute("aria-current");
        });
      };
      scrub.addEventListener("input", () => choose(Number(scrub.value)));
      buttons.forEach((button, at) => button.addEventListener("click", () => choose(at)));
      scrub.value = all.length - 1;
      scrub.setAttribute("aria-valuetext", "Finished");
    },

    /* It moves only after somebody has asked for it, and only until they close it; a film waits for its own button where
       the system asks for little motion. */
    birth() {
      const box = byId("birth");
      const film = box.querySelector("video");
      const picture = box.querySelector("img");
      box.addEventListener("toggle", () => {
        if (picture && box.open) picture.src = picture.dataset.src;
        else if (picture) picture.removeAttribute("src");
        else if (!box.open) film.pause();
        else if (!matchMedia("(prefers-reduced-motion: reduce)").matches) film.play().catch(() => {});
      });
    },

    /* Who is next is not written into the page: a painting that is added or removed changes no page but its own. */
    async neighbours() {
      if (!(await refreshList())) return;
      const own = document.body.dataset.folder;
      const piece = Number(document.body.dataset.piece);
      const near = [piece - 1, piece, piece + 1].filter((at) => at >= 0 && at < data.list.pieces.length);
      await Promise.all(near.map(loadPiece));
      const all = data.pieces.flat().filter(Boolean).sort(newestFirst);
      const at = all.findIndex((each) => each.folder === own);
      if (at >= 0) {
        this.point(byId("newer"), all[at - 1]);
        this.point(byId("older"), all[at + 1]);
      }
      document.addEventListener("keydown", (event) => {
        if (event.target.matches("input, select, textarea") || event.altKey || event.ctrlKey || event.metaKey) return;
        const link = { ArrowLeft: byId("newer"), ArrowRight: byId("older") }[event.key];
        if (link && !link.hidden) location.href = link.href;
      });
    },

    point(link, entry) {
      if (!entry) return;
      link.href = `${root}${entry.folder}/index.html`;
      link.setAttribute("aria-label", `${link.id === "newer" ? "Newer" : "Older"}: ${entry.title}`);
      link.title = entry.photo;
      link.hidden = false;
    },
  };

  /* ---- The curve of the losses, on a logarithmic axis. */

  const NAMES = [["total", "total"], ["style", "style"], ["content", "content"], ["tv", "TV"]];
  const SVG = "http://www.w3.org/2000/svg";
  const DEEPEST = 1e-5;

  function draw(name, attributes, ...children) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  class Curve {
    constructor(figure, record) {
      this.columns = record.curve;
      this.steps = record.curve.total.length;
      this.names = NAMES.filter(([name]) => this.columns[name].some((value) => value > 0));
      if (!this.names.length) return;
      this.marks = record.stages;
      this.step = this.steps;
      this.findRange();
      this.picture = make("span");
      figure.append(this.makeLegend(), this.picture, this.makeControl());
      figure.hidden = false;
      new ResizeObserver(() => this.fit(figure.clientWidth)).observe(figure);
      this.fit(figure.clientWidth);
    }

    /* Drawn for the width that there is, so that its letters keep their size. */
    fit(width) {
      if (this.area && this.area.width === width) return;
      this.area = { width, height: Math.max(240, Math.round(0.53 * width)), left: 58, right: 12, top: 10, bottom: 40 };
      const fresh = this.makePicture(this.marks);
      this.picture.replaceWith(fresh);
      this.picture = fresh;
      this.point(this.step);
    }

    findRange() {
      const values = this.names.flatMap(([name]) => this.columns[name]).filter((value) => value > 0);
      const lowest = Math.min(...this.columns.total.filter((value) => value > 0), Math.max(...values));
      this.high = Math.log10(Math.max(...values));
      this.low = Math.log10(Math.max(Math.min(...values), lowest * DEEPEST));
      const room = Math.max(0.04 * (this.high - this.low), (0.7 - (this.high - this.low)) / 2);
      this.high += room;
      this.low -= room;
    }

    x(step) {
      const { width, left, right } = this.area;
      return left + (width - left - right) * (this.steps > 1 ? (step - 1) / (this.steps - 1) : 0.5);
    }

    y(value) {
      const { height, top, bottom } = this.area;
      const share = (Math.log10(value) - this.low) / (this.high - this.low);
      return top + (height - top - bottom) * (1 - Math.min(1, Math.max(0, share)));
    }

    makePicture(stages) {
      const { width, height } = this.area;
      const label = `The losses of ${plural(this.steps, "step", "steps")}, on a logarithmic axis`;
      const picture = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
      picture.append(...this.grid(), ...stages.map((stage) => this.stageMark(stage.step)));
      for (const [name] of [...this.names].reverse()) picture.append(this.path(name));
      this.cross = draw("line", { class: "cross", y1: this.area.top, y2: height - this.area.bottom });
      this.dots = this.names.map(([name]) => draw("circle", { class: name, r: 4 }));
      picture.append(this.cross, ...this.dots);
      picture.addEventListener("pointermove", (event) => this.pointAt(picture, event));
      picture.addEventListener("pointerdown", (event) => this.pointAt(picture, event));
      return picture;
    }

    grid() {
      const { width, height, left, right, bottom } = this.area;
      const ticks = this.lossTicks().flatMap((value) => [
        draw("line", { class: "grid", x1: left, x2: width - right, y1: this.y(value), y2: this.y(value) }),
        draw("text", { x: left - 8, y: this.y(value) + 4, "text-anchor": "end" }, tick(value)),
      ]);
      const steps = this.stepTicks().map((step) => draw("text", { x: this.x(step), y: height - bottom + 20, "text-anchor": "middle" }, number.format(step)));
      return [...ticks, ...steps, draw("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, "step")];
    }

    lossTicks() {
      const decades = this.high - this.low;
      const digits = decades < 1.2 ? [1, 2, 3, 5, 7] : decades < 2.5 ? [1, 2, 5] : [1];
      const every = Math.max(1, Math.ceil(decades / 7));
      const found = [];
      for (let power = Math.floor(this.low); power <= Math.ceil(this.high); power++) {
        if (power % every) continue;
        for (const digit of digits) {
          const value = Number(`${digit}e${power}`);
          if (Math.log10(value) >= this.low && Math.log10(value) <= this.high) found.push(value);
        }
      }
      return found;
    }

    stepTicks() {
      if (this.steps === 1) return [1];
      const raw = (this.steps - 1) / Math.max(2, Math.min(8, this.area.width / 80));
      const unit = 10 ** Math.floor(Math.log10(Math.max(1, raw)));
      const spacing = [1, 2, 5, 10].map((factor) => factor * unit).find((size) => size >= raw);
      const found = [];
      for (let step = spacing; step <= this.steps; step += spacing) found.push(step);
      return found;
    }

    stageMark(step) {
      const { height, top, bottom } = this.area;
      return draw("line", { class: "stage-mark", x1: this.x(step), x2: this.x(step), y1: top, y2: height - bottom });
    }

    path(name) {
      let text = "";
      let pen = "M";
      this.columns[name].forEach((value, at) => {
        if (!(value > 0)) { pen = "M"; return; }
        text += `${pen}${this.x(at + 1).toFixed(1)} ${this.y(value).toFixed(1)}`;
        pen = "L";
      });
      return draw("path", { class: `path ${name}`, d: text });
    }

    makeLegend() {
      this.values = this.names.map(([name]) => make("span", {}, make("i", { class: name }), document.createTextNode("")));
      this.legend = make("p", { class: "legend" }, ...this.values);
      return this.legend;
    }

    makeControl() {
      this.control = make("input", { type: "range", min: 1, max: this.steps, step: 1 });
      this.output = make("span", {});
      this.control.addEventListener("input", () => this.point(Number(this.control.value)));
      return make("label", {}, make("span", {}, "Step"), this.control, this.output);
    }

    pointAt(picture, event) {
      const box = picture.getBoundingClientRect();
      const at = ((event.clientX - box.left) / box.width) * this.area.width;
      const { width, left, right } = this.area;
      const share = (at - left) / (width - left - right);
      this.point(Math.min(this.steps, Math.max(1, Math.round(1 + share * (this.steps - 1)))));
    }

    point(step) {
      this.step = step;
      const words = this.names.map(([name, shown]) => `${shown} ${lossText(this.columns[name][step - 1])}`);
      this.values.forEach((node, at) => { node.lastChild.textContent = words[at]; });
      this.control.value = step;
      this.control.setAttribute("aria-valuetext", `Step ${step}: ${words.join(", ")}`);
      setText(this.output, `${step} of ${this.steps}`);
      this.cross.setAttribute("x1", this.x(step));
      this.cross.setAttribute("x2", this.x(step));
      this.dots.forEach((dot, at) => {
        const value = this.columns[this.names[at][0]][step - 1];
        dot.setAttribute("cx", this.x(step));
        dot.setAttribute("cy", value > 0 ? this.y(value) : -99);
      });
    }
  }

  function tick(value) {
    if (value >= 1e-3 && value < 1e5) return number.format(value);
    return value.toExponential(0).replace("e+", " × 10^").replace("e-", " × 10^-").replace(/^1 × /, "");
  }

  const pages = { index: wall, painting };
  addEventListener("DOMContentLoaded", () => pages[document.body.dataset.page].start());

  return {
    list(listed) { data.list = listed; },
    piece(at, entries) { data.pieces[at] = entries; },
    moment(moment) { data.moment = moment; },
  };
})();
