// Around the question: settings, where to look, @-completion, files dropped on the page.
(() => {
  "use strict";
  const { $, all, root, read, keep } = window.openbook;

  // ---- settings: kept in this browser, sent with each question
  const NUMBERS = ["temperature", "top_p", "seed", "k"];
  const form = () => $("#ob-settings");
  const standard = () => {
    const values = {};
    for (const name of NUMBERS) values[name] = Number(form().elements[name].dataset.default);
    values.mode = $("input[name=mode][data-default]", form()).value;
    values.strategy = $("#ob-strategy option[data-default]").value;
    return values;
  };
  const settings = () => {
    const values = {};
    if (!form()) return values;
    for (const name of NUMBERS) values[name] = Number(form().elements[name].value);
    values.mode = form().elements.mode.value;
    values.strategy = form().elements.strategy.value;
    return values;
  };
  const apply = (values) => {
    for (const [name, value] of Object.entries(values)) {
      const input = form().elements[name];
      if (input) input.value = value;
    }
    told();
  };
  const told = () => {
    const values = settings();
    for (const output of all("output", form())) {
      const input = document.getElementById(output.htmlFor.value);
      const text = Number(input.value).toFixed(input.step === "1" ? 0 : 2);
      if (output.textContent !== text) output.textContent = text;
    }
    for (const scope of [form(), $("#ob-settings-open")]) {
      for (const node of all("[data-for]", scope)) {
        node.hidden = ![values.mode, values.strategy].includes(node.dataset.for);
      }
    }
    const strategy = values.strategy === standard().strategy ? "" : $("#ob-strategy").selectedOptions[0].label;
    const shown = { temperature: values.temperature, k: values.k, strategy: strategy && `${strategy} · ` };
    for (const node of all("#ob-summary [data-value]")) {
      const text = String(shown[node.dataset.value]);
      if (node.textContent !== text) node.textContent = text;
    }
  };
  const changed = () => {
    const start = standard();
    const own = Object.fromEntries(Object.entries(settings()).filter(([name, value]) => value !== start[name]));
    keep("settings", JSON.stringify(own));
    told();
  };
  const drawer = (open) => {
    form().hidden = !open;
    $("#ob-settings-open").setAttribute("aria-expanded", String(open));
    if (open) $("input, select", form()).focus();
    else $("#ob-settings-open").focus();
  };
  window.openbook.closeSettings = () => {
    const open = form() && !form().hidden;
    if (open) drawer(false);
    return open;
  };
  const object = (text) => {
    try { const value = JSON.parse(text || "{}"); return value && typeof value === "object" ? value : {}; } catch (error) { return {}; }
  };
  window.openbook.prompts = () => object(read("prompts"));

  // ---- where to look: files and collections that were clicked
  let scope = { files: [], collections: [] };
  const key = { scopeFile: "files", scopeShelf: "collections" };
  const kinds = Object.keys(key);
  const value = (node, kind) => (kind === "scopeFile" ? Number(node.dataset[kind]) : node.dataset[kind]);
  const toggle = (kind, wanted) => {
    const list = scope[key[kind]];
    const at = list.indexOf(wanted);
    if (at < 0) list.push(wanted); else list.splice(at, 1);
    marks();
  };
  const marks = () => { // the rows that are chosen, and a chip for each above the question
    const bar = $("#ob-scope");
    if (!bar) return;
    const chips = [];
    for (const kind of kinds) {
      const attribute = kind === "scopeFile" ? "scope-file" : "scope-shelf";
      const rows = all(`button[data-${attribute}]`);
      const known = new Set(rows.map((row) => value(row, kind)));
      if (rows.length) scope[key[kind]] = scope[key[kind]].filter((one) => known.has(one));
      for (const row of rows) {
        const chosen = scope[key[kind]].includes(value(row, kind));
        if (row.getAttribute("aria-pressed") !== String(chosen)) row.setAttribute("aria-pressed", String(chosen));
        if (chosen && !chips.some((chip) => chip.kind === kind && chip.value === value(row, kind))) {
          chips.push({ kind, value: value(row, kind), name: $("b", row).textContent });
        }
      }
    }
    const state = JSON.stringify(chips);
    if (bar.dataset.state === state) return;
    bar.dataset.state = state;
    bar.hidden = !chips.length;
    $(".ob-scopes", bar).replaceChildren(...chips.map((chip) => {
      const node = $("#ob-scope-chip").content.firstElementChild.cloneNode(true);
      $("b", node).textContent = chip.name;
      node.addEventListener("click", () => { toggle(chip.kind, chip.value); $("#ob-question textarea").focus(); });
      window.openbook.translate(node);
      return node;
    }));
    $("[data-gather]", bar).hidden = scope.files.length < 2;
  };
  window.openbook.sent = () => JSON.stringify({
    settings: settings(), scope, prompts: window.openbook.prompts(),
    collection: $("#ob-collection") ? $("#ob-collection").value : "",
  });

  document.addEventListener("input", (event) => {
    if (event.target.closest("#ob-settings")) changed();
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches("#ob-settings")) event.preventDefault();
    if (event.target.matches("#ob-gather")) {
      event.preventDefault();
      const name = $("input", event.target).value;
      if (name.trim()) window.openbook.send("gather", { files: scope.files, name });
      event.target.hidden = true;
      window.openbook.tab("left", "files");
    }
  });
  document.addEventListener("click", (event) => {
    const at = (selector) => event.target.closest(selector);
    let node;
    if (at("[data-settings]")) drawer(form().hidden);
    else if (at("[data-reset]")) { apply(standard()); changed(); }
    else if ((node = at("button[data-scope-file]"))) toggle("scopeFile", Number(node.dataset.scopeFile));
    else if ((node = at("button[data-scope-shelf]"))) toggle("scopeShelf", node.dataset.scopeShelf);
    else if (at("[data-gather]")) {
      const gather = $("#ob-gather");
      gather.hidden = !gather.hidden;
      if (!gather.hidden) $("input", gather).focus();
    }
  });

  // ---- @: files, folders and collections by a part of their name
  let found = [];
  let active = 0;
  const area = () => $("#ob-question textarea");
  const list = () => $("#ob-mentions");
  const term = () => {
    const input = area();
    if (!input || document.activeElement !== input) return null;
    const match = /(?:^|[\s，。；？！、：（(])([@＠])([^\s@＠，。；？！]{0,60})$/.exec(input.value.slice(0, input.selectionStart));
    return match && { start: input.selectionStart - match[2].length - 1, text: match[2].toLowerCase() };
  };
  const hide = () => {
    if (!list() || list().hidden) return false;
    list().hidden = true;
    area().removeAttribute("aria-activedescendant");
    return true;
  };
  const suggest = () => {
    const now = term();
    if (!now) { hide(); return; }
    const names = [...new Set(all("[data-mention]").map((node) => node.dataset.mention))];
    const ranked = names.map((name) => [name.toLowerCase().replace(/^(@|in:)"?/, "").indexOf(now.text), name]).filter(([at]) => at >= 0);
    found = ranked.sort((one, two) => Math.min(one[0], 1) - Math.min(two[0], 1)).slice(0, 8).map(([, name]) => name);
    if (!found.length) { hide(); return; }
    active = 0;
    list().replaceChildren(...found.map((name, index) => {
      const item = document.createElement("li");
      item.id = `ob-mention-${index}`;
      item.setAttribute("role", "option");
      item.textContent = name;
      item.addEventListener("mousedown", (event) => { event.preventDefault(); take(index); });
      return item;
    }));
    list().hidden = false;
    point();
  };
  const point = () => {
    for (const item of list().children) item.setAttribute("aria-selected", String(item.id === `ob-mention-${active}`));
    area().setAttribute("aria-activedescendant", `ob-mention-${active}`);
    list().children[active].scrollIntoView({ block: "nearest" });
  };
  const take = (index) => {
    const now = term();
    const input = area();
    if (!now) return;
    const after = input.value.slice(input.selectionStart);
    const before = `${input.value.slice(0, now.start)}${found[index]} `;
    window.openbook.put(input, before + after.replace(/^\s+/, ""));
    input.setSelectionRange(before.length, before.length);
    hide();
  };
  window.openbook.closeMentions = hide;
  document.addEventListener("input", (event) => { if (event.target === area()) suggest(); });
  document.addEventListener("focusout", (event) => { if (event.target === area()) hide(); });
  window.addEventListener("keydown", (event) => { // before Gradio sees Enter and before the page's own keys
    // Enter that confirms an input method's candidate is not a question; 229: browsers that end composition first.
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key === "Enter" && composing) { event.stopImmediatePropagation(); return; }
    if (composing || event.target !== area() || !list() || list().hidden) return;
    const step = { ArrowDown: 1, ArrowUp: found.length - 1 }[event.key];
    if (step) { active = (active + step) % found.length; point(); }
    else if ((event.key === "Enter" && !event.shiftKey) || event.key === "Tab") take(active);
    else if (event.key === "Escape") hide();
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);

  // ---- files and folders dropped anywhere go to the upload button
  const MOST = 200; // files that are looked for in folders; the server says how many it takes
  let depth = 0;
  const carries = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  const over = (on) => document.body.classList.toggle("ob-dropping", on);
  const walk = async (entry, into) => {
    if (into.length >= MOST || !entry || entry.name.startsWith(".")) return;
    if (entry.isFile) { into.push(await new Promise((done, fail) => entry.file(done, fail))); return; }
    const reader = entry.createReader();
    for (;;) {
      const batch = await new Promise((done, fail) => reader.readEntries(done, fail));
      if (!batch.length) return;
      for (const inner of batch) await walk(inner, into);
    }
  };
  const collect = async (transfer) => {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
    if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
    const folder = entries.length === 1 ? entries[0].name : "";
    if (folder && !$("#ob-collection").value) $("#ob-collection").value = folder;
    const files = [];
    for (const entry of entries) await walk(entry, files);
    return files;
  };
  document.addEventListener("dragenter", (event) => { if (carries(event)) { depth += 1; over(true); } });
  document.addEventListener("dragleave", (event) => { if (carries(event) && --depth <= 0) { depth = 0; over(false); } });
  document.addEventListener("dragover", (event) => { if (carries(event)) event.preventDefault(); });
  document.addEventListener("drop", async (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    depth = 0;
    over(false);
    const input = $("#ob-left input[type=file]");
    const dropped = await collect(event.dataTransfer);
    if (!input || !dropped.length) return;
    window.openbook.tab("left", "files");
    const files = new DataTransfer();
    for (const file of dropped) files.items.add(file);
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });

  let ready = false;
  window.openbook.settled(() => {
    const input = area();
    if (input && !input.hasAttribute("aria-controls")) {
      for (const [name, text] of [["aria-autocomplete", "list"], ["aria-controls", "ob-mentions"],
        ["aria-haspopup", "listbox"], ["aria-describedby", "ob-hint"]]) input.setAttribute(name, text);
    }
    if (!ready && form()) { ready = true; apply({ ...standard(), ...object(read("settings")) }); }
    if (ready) told();
    marks();
  });
})();
