// The page's own script: language switch, citations, starters, keys, dropping files. It sends nothing itself:
// it presses the page's buttons, and the server checks everything again.
(() => {
  "use strict";
  const root = document.documentElement;
  const KEY = "openbook.language";
  const $ = (selector) => document.querySelector(selector);

  // ---- language: the saved choice, else the browser's
  const language = () => {
    let saved = null;
    try { saved = localStorage.getItem(KEY); } catch (error) { /* storage may be off */ }
    if (saved === "en" || saved === "zh") return saved;
    return (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";
  };
  const translate = (scope) => {
    const code = root.dataset.ui;
    for (const node of scope.querySelectorAll("[data-t]")) {
      const text = node.dataset[code];
      if (text !== undefined && node.getAttribute(node.dataset.t) !== text) node.setAttribute(node.dataset.t, text);
    }
  };
  const show = (code) => {
    root.dataset.ui = code;
    root.lang = code === "zh" ? "zh-CN" : "en";
    translate(document);
    for (const button of document.querySelectorAll("[data-language]")) {
      button.setAttribute("aria-pressed", String(button.dataset.language === code));
    }
  };
  const fill = (selector, text) => {
    const input = $(selector);
    if (!input) return null;
    const prototype = input.tagName === "TEXTAREA" ? HTMLTextAreaElement.prototype : HTMLInputElement.prototype;
    Object.getOwnPropertyDescriptor(prototype, "value").set.call(input, text);
    input.dispatchEvent(new Event("input", { bubbles: true }));
    return input;
  };
  const choose = (code) => {
    try { localStorage.setItem(KEY, code); } catch (error) { /* as above */ }
    show(code);
    relabel();
  };
  // Gradio's own labels come from the server, one language at a time. Whenever they are in the wrong one (the
  // first paint follows the browser, replies may cross) they are asked for again; at most one request a second.
  let asked = 0;
  let times = 0;
  const relabel = () => {
    const probe = $("#ob-probe");
    const button = $("#ob-new");
    if (!probe || !button || button.innerText.trim() === probe.dataset[root.dataset.ui]) return;
    const wait = asked + 1000 - Date.now();
    if (wait > 0) { setTimeout(relabel, wait + 20); return; }
    asked = Date.now();
    times += 1;
    fill("#ob-language textarea, #ob-language input", root.dataset.ui + " ".repeat(times % 2));
  };
  show(language());

  // ---- evidence
  let selected = null; // the turn whose passages are shown; null: the newest
  const sections = () => [...document.querySelectorAll("#ob-evidence .ob-evidence")];
  const reveal = (turn) => {
    const all = sections();
    if (!all.length) return;
    const wanted = all.find((section) => section.dataset.turn === String(turn)) || all[all.length - 1];
    for (const section of all) section.classList.toggle("ob-shown", section === wanted);
  };
  const flash = (node) => {
    node.classList.remove("ob-flash");
    void node.offsetWidth; // restarts the animation
    node.classList.add("ob-flash");
  };
  const cite = (chip) => {
    selected = chip.dataset.turn;
    reveal(selected);
    const card = document.getElementById(`ob-p-${chip.dataset.turn}-${chip.dataset.n}`);
    if (!card) return;
    card.open = true;
    const anchor = document.getElementById(`ob-m-${chip.dataset.turn}-${chip.dataset.quote}`);
    const mark = (anchor && (anchor.tagName === "MARK" ? anchor : anchor.nextElementSibling)) || card.querySelector("mark");
    const target = mark || card;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    target.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
    flash(target);
    const summary = card.querySelector("summary");
    if (summary) summary.focus({ preventScroll: true });
  };

  // ---- clicks, delegated: the page's parts come and go
  const copy = async (button) => {
    const said = button.closest(".ob-answer").querySelector(".ob-body, .ob-refusal");
    const pieces = said.cloneNode(true); // quotations, chips as [n], places
    for (const hidden of pieces.querySelectorAll(".ob-chip")) hidden.textContent = `[${hidden.dataset.n}]`;
    for (const hidden of pieces.querySelectorAll(".t > span")) {
      if (!hidden.lang.startsWith(root.dataset.ui)) hidden.remove();
    }
    const blocks = [...pieces.querySelectorAll("p, footer")].map((node) => node.textContent.trim());
    const text = blocks.filter(Boolean).join("\n");
    try {
      await navigator.clipboard.writeText(text);
    } catch (error) { // a page served without https has no clipboard
      const area = document.body.appendChild(document.createElement("textarea"));
      area.value = text;
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.dataset.copied = "1";
    setTimeout(() => { button.dataset.copied = "0"; }, 1500);
  };
  document.addEventListener("click", (event) => {
    const at = (selector) => event.target.closest(selector);
    let node;
    if ((node = at(".ob-chip"))) cite(node);
    else if ((node = at("[data-show]"))) {
      selected = node.dataset.show;
      reveal(selected);
      $("#ob-right").scrollIntoView({ block: "nearest" });
    } else if ((node = at("[data-language]"))) choose(node.dataset.language);
    else if ((node = at(".ob-copy"))) copy(node);
    else if ((node = at(".ob-starter"))) {
      fill("#ob-question textarea", node.textContent);
      setTimeout(() => { const send = $("#ob-send"); if (send) send.click(); }, 60);
    } else if ((node = at("[data-ask]"))) {
      for (const row of document.querySelectorAll(".ob-doc.ob-asking")) row.classList.remove("ob-asking");
      const row = node.closest(".ob-doc");
      row.classList.add("ob-asking");
      row.querySelector("[data-keep]").focus({ preventScroll: true });
      row.scrollIntoView({ block: "nearest" });
    } else if ((node = at("[data-keep]"))) node.closest(".ob-doc").classList.remove("ob-asking");
  });
  document.addEventListener("input", (event) => {
    if (!event.target.matches(".ob-filter")) return;
    const wanted = event.target.value.trim().toLowerCase();
    for (const row of document.querySelectorAll(".ob-doc")) row.hidden = !row.dataset.name.includes(wanted);
  });

  // ---- keys
  document.addEventListener("keydown", (event) => {
    // Enter that confirms an input method's candidate is not a question; 229: browsers that end composition first.
    if (event.key === "Enter" && (event.isComposing || event.keyCode === 229)) {
      event.stopImmediatePropagation();
      return;
    }
    if (event.key === "Escape" && !event.isComposing) {
      const asking = $(".ob-doc.ob-asking");
      const stop = $("#ob-stop");
      if (asking) asking.classList.remove("ob-asking");
      else if (stop && stop.offsetParent !== null) stop.click();
    }
  }, true);

  // ---- files dropped anywhere go to the upload button
  let depth = 0;
  const carries = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  const over = (on) => document.body.classList.toggle("ob-dropping", on);
  document.addEventListener("dragenter", (event) => { if (carries(event)) { depth += 1; over(true); } });
  document.addEventListener("dragleave", (event) => { if (carries(event) && --depth <= 0) { depth = 0; over(false); } });
  document.addEventListener("dragover", (event) => { if (carries(event)) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    depth = 0;
    over(false);
    const input = $("#ob-left input[type=file]");
    if (!input || !event.dataTransfer.files.length) return;
    const files = new DataTransfer();
    for (const file of event.dataTransfer.files) files.items.add(file);
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });

  // ---- what Gradio puts into the page later
  let turns = 0;
  let queued = false;
  const settle = () => {
    queued = false;
    translate(document);
    for (const button of document.querySelectorAll("[data-language]")) {
      button.setAttribute("aria-pressed", String(button.dataset.language === root.dataset.ui));
    }
    relabel();
    const count = document.querySelectorAll("#ob-log .ob-turn").length;
    if (count !== turns) {
      turns = count;
      selected = null;
      const log = $("#ob-log");
      if (log) log.scrollTop = log.scrollHeight;
    }
    const shown = sections().filter((section) => section.classList.contains("ob-shown"));
    const wanted = selected === null ? null : String(selected);
    if (wanted !== null && (shown.length !== 1 || shown[0].dataset.turn !== wanted)) reveal(selected);
    const log = $("#ob-log");
    if (log && !log.hasAttribute("role")) {
      log.setAttribute("role", "log");
      log.setAttribute("aria-live", "polite");
      log.tabIndex = 0;
    }
    const live = $("#ob-live [aria-busy]");
    if (log && live && log.scrollHeight - log.scrollTop - log.clientHeight < 160) log.scrollTop = log.scrollHeight;
  };
  const watch = () => {
    settle();
    new MutationObserver(() => {
      if (!queued) { queued = true; requestAnimationFrame(settle); }
    }).observe(document.body, { childList: true, subtree: true });
  };
  if (document.body) watch();
  else document.addEventListener("DOMContentLoaded", watch);
})();
