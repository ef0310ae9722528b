// Why this answer: which turn is explained, which passages are pinned or dropped, what the map of a passage shows.
(() => {
  "use strict";
  const root = document.documentElement;
  const ask = (what, detail = {}) => document.dispatchEvent(new CustomEvent("ob:why", { detail: { what, ...detail } }));
  const all = (wanted, scope = document) => [...scope.querySelectorAll(wanted)];
  let turn = -1; // -1: the newest
  let shown = ""; // what the panel was filled for

  // The panel is filled when it is on view, and again when an answer has come or another one is looked at.
  const settle = () => {
    if (root.dataset.rightTab !== "why" || !document.querySelector("#ob-why")) return;
    const turns = all("#ob-log .ob-turn");
    if (turns.some((node) => node.getAttribute("aria-busy") === "true")) { shown = ""; return; }
    const last = turns[turns.length - 1];
    const state = `${turn}|${turns.length}|${last ? last.textContent.length : 0}|${last ? last.dataset.id || "" : ""}`;
    if (state === shown) return;
    shown = state;
    ask("explain", { turn });
  };
  let count = 0;
  const newest = () => {
    const now = all("#ob-log .ob-turn").length;
    if (now !== count) { count = now; turn = -1; }
    settle();
  };
  document.addEventListener("ob:turn", (event) => { turn = Number(event.detail.turn); settle(); });
  document.addEventListener("ob:tab", () => settle());

  const choice = (panel) => {
    const pressed = (name) => all(`[data-${name}][aria-pressed="true"]`, panel).map((node) => Number(node.dataset[name]));
    return { pinned: pressed("pin"), dropped: pressed("drop") };
  };
  const offer = (panel, before) => {
    const button = panel.querySelector("[data-choice]");
    if (button) button.hidden = JSON.stringify(choice(panel)) === before;
  };
  document.addEventListener("click", (event) => {
    const at = (wanted) => event.target.closest && event.target.closest(wanted);
    let node;
    if ((node = at("[data-pin], [data-drop]"))) {
      const panel = node.closest(".ob-explained");
      if (panel.dataset.before === undefined) panel.dataset.before = JSON.stringify(choice(panel));
      const on = node.getAttribute("aria-pressed") !== "true";
      const other = node.parentElement.querySelector(node.matches("[data-pin]") ? "[data-drop]" : "[data-pin]");
      node.setAttribute("aria-pressed", String(on));
      if (on && other) other.setAttribute("aria-pressed", "false");
      offer(panel, panel.dataset.before);
    } else if ((node = at("[data-choice]"))) {
      const panel = node.closest(".ob-explained");
      node.disabled = true;
      shown = "";
      window.openbook.again(Number(panel.dataset.turn), choice(panel));
    } else if ((node = at("[data-look]"))) {
      for (const other of all("[data-look][aria-pressed]")) other.removeAttribute("aria-pressed");
      if (node.dataset.measure === undefined) node.setAttribute("aria-pressed", "true");
      if (document.querySelector("#ob-why-reading [data-halt]")) ask("halt"); // nobody waits for the last one
      ask("look", { turn: node.dataset.turn, n: node.dataset.n, measure: node.dataset.measure !== undefined });
    } else if (at("[data-halt]")) ask("halt");
    else if ((node = at("[data-layer]"))) paint(node.closest("[data-map]"), node.dataset.layer, node);
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-map-layer]")) paint(event.target.closest("[data-map]"), event.target.value, null);
  });
  const paint = (map, layer, button) => {
    if (button) {
      for (const other of all("[data-layer]", map)) other.setAttribute("aria-pressed", String(other === button));
      for (const part of all("[data-for-layer]", map)) part.hidden = part.dataset.forLayer !== layer;
      const select = map.querySelector("[data-map-layer]");
      if (layer === "1" && select) layer = select.value;
    }
    for (const token of all(".ob-h", map)) token.style.setProperty("--heat", token.dataset.h.split(" ")[Number(layer)]);
  };

  let reading = "";
  const arrived = () => { // the map of a passage comes below: it is brought into view
    const part = document.querySelector("#ob-why-reading .ob-reading, #ob-why-reading .ob-why-note");
    const said = part ? part.textContent.slice(0, 200) + part.className : "";
    if (part && said !== reading) part.scrollIntoView({ block: "nearest" });
    reading = said;
  };
  let queued = false;
  const watch = () => new MutationObserver(() => {
    if (queued) return;
    queued = true;
    requestAnimationFrame(() => { queued = false; newest(); arrived(); });
  }).observe(document.body, { childList: true, subtree: true });
  if (document.body) watch();
  else document.addEventListener("DOMContentLoaded", watch);
})();
