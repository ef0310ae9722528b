// What the other scripts stand on: language, theme, columns, tabs, and a call when Gradio has changed the page.
// The page's scripts send nothing themselves: they press the page's buttons, and the server checks everything again.
(() => {
  "use strict";
  const root = document.documentElement;
  const $ = (selector, scope = document) => scope.querySelector(selector);
  const all = (selector, scope = document) => [...scope.querySelectorAll(selector)];
  const read = (key) => { try { return localStorage.getItem(`openbook.${key}`); } catch (error) { return null; } };
  const keep = (key, value) => { try { localStorage.setItem(`openbook.${key}`, value); } catch (error) { /* storage may be off */ } };
  const tell = (name, detail) => document.dispatchEvent(new CustomEvent(`ob:${name}`, { detail }));
  const clip = async (text) => { // to the clipboard
    try {
      await navigator.clipboard.writeText(text);
    } catch (error) { // a page served without https has none
      const area = document.body.appendChild(document.createElement("textarea"));
      area.value = text;
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };
  const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  // ---- language: the saved choice, else the browser's
  const language = () => {
    const saved = read("language");
    if (saved === "en" || saved === "zh") return saved;
    return (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";
  };
  const translate = (scope) => {
    const code = root.dataset.ui;
    const nodes = scope.matches && scope.matches("[data-t]") ? [scope, ...all("[data-t]", scope)] : all("[data-t]", scope);
    for (const node of nodes) {
      const text = node.dataset[code];
      if (text === undefined) continue;
      for (const name of node.dataset.t.split(" ")) if (node.getAttribute(name) !== text) node.setAttribute(name, text);
    }
  };
  const press = (selector, chosen) => {
    for (const node of all(selector)) node.setAttribute("aria-pressed", String(chosen(node)));
  };
  const show = (code) => {
    root.dataset.ui = code;
    root.lang = code === "zh" ? "zh-CN" : "en";
    translate(document);
    press("[data-language]", (node) => node.dataset.language === code);
  };
  const put = (input, text) => { // as if it had been typed
    if (!input) return null;
    const prototype = input.tagName === "TEXTAREA" ? HTMLTextAreaElement.prototype : HTMLInputElement.prototype;
    Object.getOwnPropertyDescriptor(prototype, "value").set.call(input, text);
    input.dispatchEvent(new Event("input", { bubbles: true }));
    return input;
  };
  // Gradio's own labels come from the server, one language at a time. Whenever they are in the wrong one (the
  // first paint follows the browser, replies may cross) they are asked for again; at most one request a second.
  let asked = 0;
  let times = 0;
  const relabel = () => {
    const probe = $("#ob-probe");
    const button = $("#ob-new");
    if (!probe || !button || button.textContent.trim() === probe.dataset[root.dataset.ui]) return;
    const wait = asked + 1000 - Date.now();
    if (wait > 0) { setTimeout(relabel, wait + 20); return; }
    asked = Date.now();
    times += 1;
    put($("#ob-language textarea, #ob-language input"), root.dataset.ui + " ".repeat(times % 2));
  };

  // ---- theme: the system's, light or dark
  const themes = ["auto", "light", "dark"];
  const system = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => {
    if (!themes.includes(root.dataset.theme)) root.dataset.theme = themes.includes(read("theme")) ? read("theme") : "auto";
    const dark = root.dataset.theme === "dark" || (root.dataset.theme === "auto" && system.matches);
    root.style.colorScheme = dark ? "dark" : "light";
    if (document.body && document.body.classList.contains("dark") !== dark) document.body.classList.toggle("dark", dark);
  };
  system.addEventListener("change", paint);

  // ---- columns: beside the chat where there is room, else sheets over it
  const narrow = { left: matchMedia("(max-width: 760px)"), right: matchMedia("(max-width: 1080px)") };
  let opener = null;
  const sheet = () => ["left", "right"].find((side) => narrow[side].matches && root.dataset[side] === "open");
  const modal = () => { // a sheet is alone with the keyboard
    const side = sheet();
    root.classList.toggle("ob-sheet", Boolean(side));
    for (const name of ["left", "middle", "right"]) {
      const column = $(`#ob-${name}`);
      if (column) column.inert = Boolean(side) && name !== side;
    }
    for (const button of all("button[data-side]")) {
      button.setAttribute("aria-expanded", String(root.dataset[button.dataset.side] === "open"));
    }
  };
  const column = (side, open, from = null) => {
    if (open && narrow[side].matches) {
      const other = side === "left" ? "right" : "left";
      if (narrow[other].matches) root.dataset[other] = "closed";
      opener = from;
    }
    root.dataset[side] = open ? "open" : "closed";
    if (!narrow[side].matches) keep(side, root.dataset[side]);
    modal();
    if (narrow[side].matches) {
      const first = open ? $(`#ob-${side} button`) : opener;
      if (first && first.isConnected) first.focus({ preventScroll: true });
    }
  };
  const arrange = () => {
    for (const side of ["left", "right"]) {
      root.dataset[side] = narrow[side].matches ? "closed" : read(side) === "closed" ? "closed" : "open";
    }
    modal();
  };
  for (const side of ["left", "right"]) narrow[side].addEventListener("change", arrange);

  // ---- tabs and views
  const choose = (side, name) => {
    root.dataset[`${side}Tab`] = name;
    for (const tab of all(`button[data-${side}-tab]`)) {
      const mine = tab.dataset[`${side}Tab`] === name;
      tab.setAttribute("aria-selected", String(mine));
      tab.tabIndex = mine ? 0 : -1;
    }
  };
  const tab = (side, name, remember = true) => {
    choose(side, name);
    if (remember) keep(`${side}-tab`, name);
    if (side === "right") tell("tab", { tab: name });
  };
  const view = (name) => {
    root.dataset.view = name;
    press("button[data-view]", (node) => node.dataset.view === name);
    tell("view", { view: name });
  };

  // ---- what Gradio puts into the page later
  const settlers = [];
  let queued = false;
  let focused = null; // how to find the focused button again when its HTML has been replaced
  const NAMED = ["do", "turn", "id", "version", "thumb", "scopeFile", "scopeShelf", "edit", "form"];
  const selector = (node) => {
    if (node.id) return `#${CSS.escape(node.id)}`;
    const known = NAMED.filter((name) => node.dataset && node.dataset[name] !== undefined);
    const attribute = (name) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    return known.map((name) => `[data-${attribute(name)}="${CSS.escape(node.dataset[name])}"]`).join("");
  };
  document.addEventListener("focusin", (event) => { focused = { node: event.target, selector: selector(event.target) }; });
  const settle = () => {
    queued = false;
    translate(document);
    paint();
    press("[data-language]", (node) => node.dataset.language === root.dataset.ui);
    press("button[data-view]", (node) => node.dataset.view === root.dataset.view);
    choose("left", root.dataset.leftTab);
    choose("right", root.dataset.rightTab);
    modal();
    relabel();
    for (const run of settlers) run();
    if (focused && !focused.node.isConnected && document.activeElement === document.body) {
      const again = focused.selector && $(focused.selector);
      if (again) again.focus({ preventScroll: true });
    }
  };
  const watch = () => {
    settle();
    new MutationObserver(() => {
      if (!queued) { queued = true; requestAnimationFrame(settle); }
    }).observe(document.body, { childList: true, subtree: true });
    new MutationObserver(paint).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  };

  document.addEventListener("click", (event) => {
    const at = (wanted) => event.target.closest(wanted);
    let node;
    if ((node = at("[data-language]"))) {
      keep("language", node.dataset.language);
      show(node.dataset.language);
      settle();
    } else if (at("[data-theme-next]")) {
      root.dataset.theme = themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length];
      keep("theme", root.dataset.theme);
      paint();
    } else if ((node = at("button[data-side]"))) column(node.dataset.side, root.dataset[node.dataset.side] !== "open", node);
    else if ((node = at("button[data-left-tab]"))) tab("left", node.dataset.leftTab);
    else if ((node = at("button[data-right-tab]"))) tab("right", node.dataset.rightTab);
    else if ((node = at("button[data-view]"))) view(node.dataset.view);
    else if (sheet() && !at(`#ob-${sheet()}, #ob-header, dialog`)) column(sheet(), false); // beside the sheet
  });
  document.addEventListener("keydown", (event) => { // arrows go from tab to tab
    const node = event.target.closest && event.target.closest("[role=tab]");
    if (!node || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const tabs = all("[role=tab]", node.parentElement);
    const next = tabs[(tabs.indexOf(node) + (event.key === "ArrowRight" ? 1 : tabs.length - 1)) % tabs.length];
    next.click();
    next.focus();
  });

  root.dataset.view = "chat";
  root.dataset.rightTab = "evidence";
  root.dataset.leftTab = ["chats", "files"].includes(read("left-tab")) ? read("left-tab") : "chats";
  show(language());
  paint();
  arrange();
  window.openbook = {
    $, all, read, keep, tell, put, translate, column, sheet, narrow, tab, view, calm, clip, replies: {},
    root, settled: (run) => settlers.push(run), send: (name, data) => window.openbookSend && window.openbookSend(name, data),
  };
  if (document.body) watch();
  else document.addEventListener("DOMContentLoaded", watch);
})();
