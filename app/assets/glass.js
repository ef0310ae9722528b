// The glass box: tabs, forms, and the large picture of one attention head, read off pixel by pixel.
(() => {
  "use strict";
  const all = (wanted, scope = document) => [...scope.querySelectorAll(wanted)];
  const ask = (detail) => document.dispatchEvent(new CustomEvent("ob:glass", { detail }));
  const root = document.documentElement;

  const show = (name) => { // by an attribute of the root: the classes of a column are Gradio's to write
    root.dataset.glass = name;
    for (const tab of all("[data-glass-tab]")) {
      const mine = tab.dataset.glassTab === name;
      tab.setAttribute("aria-selected", String(mine));
      tab.tabIndex = mine ? 0 : -1;
      const part = document.getElementById(`ob-glass-${tab.dataset.glassTab}`);
      if (part) {
        part.setAttribute("role", "tabpanel");
        part.setAttribute("aria-labelledby", tab.id);
      }
    }
    const part = document.getElementById(`ob-glass-${name}`);
    for (const form of all("form[data-at-once]", part || document.body)) if (part && !form.dataset.asked) send(form);
  };
  const send = (form) => {
    const texts = all("input, textarea", form).map((field) => field.value.trim() ? field.value : field.placeholder);
    form.dataset.asked = "1";
    if (document.querySelector("[data-glass-halt]")) ask({ what: "halt" }); // nobody waits for the last one
    ask({ what: form.dataset.ask, place: form.dataset.place, texts });
  };
  const current = () => {
    const tab = document.querySelector('[data-glass-tab][aria-selected="true"]');
    return tab ? tab.dataset.glassTab : "tokens";
  };
  document.addEventListener("ob:view", (event) => { if (event.detail.view === "glass") show(current()); });
  document.addEventListener("submit", (event) => {
    const form = event.target.closest && event.target.closest("[data-ask]");
    if (form) { event.preventDefault(); send(form); }
  });
  document.addEventListener("keydown", (event) => { // Enter in a text shows it; Shift+Enter is a new line
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    if (event.target.matches && event.target.matches(".ob-ask-glass textarea")) {
      event.preventDefault();
      send(event.target.closest("form"));
    }
  });
  document.addEventListener("input", (event) => {
    if (!event.target.matches(".ob-weights-filter")) return;
    const wanted = event.target.value.trim().toLowerCase();
    for (const row of all(".ob-weight-table tbody tr")) row.hidden = !row.dataset.name.includes(wanted);
  });

  // ---- attention
  const weights = (part) => { // (T, T): the opacity of the picture is the weight
    const image = part.querySelector(".ob-weights img");
    const size = Number(image.getAttribute("width"));
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = size;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0, size, size);
    const data = context.getImageData(0, 0, size, size).data;
    return (row, column) => data[4 * (row * size + column) + 3] / 255;
  };
  const tell = (part) => {
    const row = part.querySelector('[data-row][aria-pressed="true"]');
    const mark = part.querySelector(".ob-row-mark");
    if (!row) return;
    const names = all("[data-row]", part).map((node) => node.textContent);
    const at = weights(part);
    const n = Number(row.dataset.row);
    const found = names.map((name, s) => [at(n, s), name]).filter(([w]) => w >= 0.01).sort((a, b) => b[0] - a[0]).slice(0, 4);
    const word = part.querySelector(".ob-takes-word").cloneNode(true);
    const told = part.querySelector(".ob-takes");
    told.textContent = "";
    const bold = document.createElement("b");
    bold.textContent = names[n];
    word.hidden = false;
    told.append(bold, " ", word, " ");
    found.forEach(([w, name], place) => {
      const code = document.createElement("code");
      code.textContent = name;
      told.append(place ? " · " : "", code, ` ${Math.round(100 * w)} %`);
    });
    mark.hidden = false;
    mark.style.top = `${(100 * n) / names.length}%`;
    mark.style.height = `${100 / names.length}%`;
  };
  document.addEventListener("click", (event) => {
    const at = (wanted) => event.target.closest && event.target.closest(wanted);
    let node;
    if ((node = at("[data-glass-tab]"))) show(node.dataset.glassTab);
    else if (at("[data-glass-halt]")) ask({ what: "halt" });
    else if ((node = at("[data-head]"))) {
      const part = node.closest("[data-heads]");
      for (const other of all("[data-head]", part)) other.setAttribute("aria-pressed", String(other === node));
      const large = part.querySelector(".ob-weights img");
      part.querySelector(".ob-large-name").innerHTML = node.querySelector(".ob-thumb-name").innerHTML; // our own words
      large.addEventListener("load", () => tell(part), { once: true });
      large.src = node.querySelector("img").src;
    } else if ((node = at("[data-row]"))) {
      const part = node.closest("[data-heads]");
      for (const other of all("[data-row]", part)) other.setAttribute("aria-pressed", String(other === node));
      tell(part);
    }
  });
  if (root.dataset.view === "glass") show(current());
})();
