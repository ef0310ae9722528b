// The conversation: citations, copying, editing a question, thumbs, and a scroll position that stays where it is read.
(() => {
  "use strict";
  const { $, all, root, calm, clip, tell } = window.openbook;

  // ---- the passages of one answer at a time
  let selected = null; // the turn whose passages are shown; null: the newest
  const sections = () => all("#ob-evidence .ob-evidence");
  const reveal = (turn) => {
    const found = sections();
    if (!found.length) return;
    const wanted = found.find((section) => section.dataset.turn === String(turn)) || found[found.length - 1];
    for (const section of found) section.classList.toggle("ob-shown", section === wanted);
    tell("turn", { turn: Number(wanted.dataset.turn) });
  };
  const flash = (node) => {
    node.classList.remove("ob-flash");
    void node.offsetWidth; // restarts the animation
    node.classList.add("ob-flash");
  };
  const cite = (chip) => {
    selected = chip.dataset.turn;
    window.openbook.tab("right", "evidence");
    if (root.dataset.right !== "open") window.openbook.column("right", true, chip);
    reveal(selected);
    const card = document.getElementById(`ob-p-${chip.dataset.turn}-${chip.dataset.n}`);
    if (!card) return;
    card.open = true;
    const anchor = document.getElementById(`ob-m-${chip.dataset.turn}-${chip.dataset.quote}`);
    const mark = (anchor && (anchor.tagName === "MARK" ? anchor : anchor.nextElementSibling)) || $("mark", card);
    const target = mark || card;
    target.scrollIntoView({ block: "center", behavior: calm() ? "auto" : "smooth" });
    flash(target);
    const summary = $("summary", card);
    if (summary) summary.focus({ preventScroll: true });
  };

  // ---- copying, with the numbers and places of the quotations
  const said = (answer) => {
    const pieces = $(".ob-body, .ob-refusal", answer).cloneNode(true);
    for (const chip of all(".ob-chip", pieces)) chip.textContent = ` [${chip.dataset.n}]`;
    for (const word of all(".t > span", pieces)) if (!word.lang.startsWith(root.dataset.ui)) word.remove();
    return all("p, footer", pieces).map((node) => node.textContent.trim()).filter(Boolean).join("\n");
  };
  const copy = async (answer) => {
    if (!answer || !$(".ob-body, .ob-refusal", answer)) return;
    const text = said(answer);
    await clip(text);
    const button = $(".ob-copy", answer);
    if (!button) return;
    button.dataset.copied = "1";
    announce($(".ob-tip .ob-copy-yes", button));
    setTimeout(() => { button.dataset.copied = "0"; }, 1500);
  };

  // ---- what a screen reader is told: stages as they come, the answer once; not each redrawn word
  const status = document.createElement("div");
  status.id = "ob-status";
  status.className = "ob-hidden";
  status.setAttribute("role", "status");
  let last = "";
  const words = (node) => {
    const shown = node.cloneNode(true);
    for (const word of all(".t > span", shown)) if (!word.lang.startsWith(root.dataset.ui)) word.remove();
    for (const hidden of all("button", shown)) hidden.remove();
    return shown.textContent.replace(/\s+/g, " ").trim();
  };
  const announce = (node) => {
    const text = node ? words(node).slice(0, 600) : "";
    if (text && text !== last) { last = text; status.textContent = text; }
  };

  // ---- editing
  const edit = (button) => {
    const bubble = button.closest(".ob-question");
    const form = $("#ob-edit-form").content.firstElementChild.cloneNode(true);
    const area = $("textarea", form);
    form.dataset.turn = button.dataset.edit;
    area.value = $("p", bubble).textContent;
    bubble.replaceChildren(form);
    window.openbook.translate(form);
    area.style.height = `${Math.min(area.scrollHeight + 2, 240)}px`;
    area.focus();
    const end = (send) => {
      if (send && area.value.trim()) window.openbook.again(form.dataset.turn, { question: area.value });
      else if (!send) bubble.replaceChildren(...before);
    };
    form.addEventListener("submit", (event) => { event.preventDefault(); end(true); });
    $("[data-cancel]", form).addEventListener("click", () => end(false));
    area.addEventListener("keydown", (event) => {
      if (event.isComposing || event.keyCode === 229) return;
      if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); end(true); }
      if (event.key === "Escape") { event.stopPropagation(); end(false); button.focus(); }
    });
  };
  let before = [];
  window.openbook.again = (turn, more = {}) => window.openbook.send("again", { turn: Number(turn), ...more });

  // ---- thumbs
  const thumb = (button) => {
    const form = $(".ob-why", button.closest(".ob-foot"));
    const mine = button.getAttribute("aria-pressed") === "true";
    if (button.dataset.thumb === "down" && !mine) {
      form.hidden = false;
      form.scrollIntoView({ block: "nearest" });
      $("input", form).focus();
    }
    window.openbook.rating = form;
    rate(button.dataset.turn, mine ? "" : button.dataset.thumb, form);
  };
  const rate = (turn, name, form) => {
    const reasons = all("input:checked", form).map((input) => input.value);
    window.openbook.send("rate", { turn: Number(turn), thumb: name, reasons, comment: $("textarea", form).value });
  };
  let asking = null; // the turn whose reasons are asked for: its form is opened again when the turn is redrawn

  document.addEventListener("click", (event) => {
    const at = (selector) => event.target.closest(selector);
    let node;
    if ((node = at(".ob-chip"))) cite(node);
    else if ((node = at("[data-show]"))) {
      selected = node.dataset.show;
      if (root.dataset.right !== "open") window.openbook.column("right", true, node);
      reveal(selected);
    } else if ((node = at(".ob-copy"))) copy(node.closest(".ob-answer"));
    else if ((node = at("[data-edit]"))) {
      before = [...node.closest(".ob-question").children];
      edit(node);
    } else if ((node = at("[data-thumb]"))) {
      asking = node.dataset.thumb === "down" && node.getAttribute("aria-pressed") !== "true" ? node.dataset.turn : null;
      thumb(node);
    } else if ((node = at("[data-why-send]"))) {
      const why = node.closest(".ob-why");
      asking = null;
      why.hidden = true;
      rate(why.dataset.turn, "down", why);
    } else if ((node = at("[data-why-close]"))) {
      asking = null;
      node.closest(".ob-why").hidden = true;
    } else if ((node = at(".ob-starter"))) {
      window.openbook.put($("#ob-question textarea"), node.textContent);
      setTimeout(() => { const send = $("#ob-send"); if (send) send.click(); }, 60);
    }
  });
  // ---- keep to the end of a growing answer, unless the reader has scrolled up
  let turns = 0;
  let chat = "";
  let follows = true;
  let grew = false;
  window.openbook.settled(() => {
    const log = $("#ob-log");
    if (!log) return;
    if (!log.dataset.ready) {
      log.dataset.ready = "1";
      document.body.append(status);
      log.tabIndex = 0;
      log.setAttribute("role", "log");
      log.setAttribute("aria-live", "off"); // the status line speaks instead
      log.setAttribute("aria-labelledby", "ob-view-chat");
      log.addEventListener("scroll", () => { follows = log.scrollHeight - log.scrollTop - log.clientHeight < 120; }, { passive: true });
    }
    const open = asking !== null && $(`.ob-turn[data-turn="${asking}"] .ob-why`);
    if (open && open.hidden) open.hidden = false;
    const count = all(".ob-turn", log).length;
    const current = $("#ob-chats [aria-current]");
    const now = current ? current.dataset.id : "";
    if (count !== turns || now !== chat) {
      if (now !== chat) asking = null;
      turns = count;
      chat = now;
      selected = null;
      follows = true;
      log.scrollTop = log.scrollHeight;
    }
    const shown = sections().filter((section) => section.classList.contains("ob-shown"));
    if (selected !== null && (shown.length !== 1 || shown[0].dataset.turn !== String(selected))) reveal(selected);
    const live = $("#ob-live .ob-turn");
    const busy = live && live.hasAttribute("aria-busy");
    root.classList.toggle("ob-busy", Boolean(busy));
    if (busy && follows) log.scrollTop = log.scrollHeight;
    else if (grew && follows && live) { // the finished answer is taller than what streamed: it is read from its question on
      log.scrollTop += live.getBoundingClientRect().top - log.getBoundingClientRect().top - 16;
    }
    grew = busy;
    if (live) announce(busy ? $(".ob-now", live) : $(".ob-body, .ob-refusal, .ob-failure, .ob-stopped", live));
  });
  window.openbook.copyLast = () => copy(all("#ob-log .ob-answer").filter((node) => $(".ob-copy", node)).pop());
})();
