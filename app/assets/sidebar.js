// The left column: rows with menus and confirmations, renaming in place, search, days in the reader's own words.
(() => {
  "use strict";
  const { $, all, root } = window.openbook;

  // ---- days: today, yesterday, 12 March
  const day = (iso) => {
    const [year, month, date] = iso.split("-").map(Number);
    const then = new Date(year, month - 1, date);
    const now = new Date();
    const past = Math.round((new Date(now.getFullYear(), now.getMonth(), now.getDate()) - then) / 86400000);
    if (past < 2) return new Intl.RelativeTimeFormat(root.lang, { numeric: "auto" }).format(-Math.max(past, 0), "day");
    const year_too = year === now.getFullYear() ? {} : { year: "numeric" };
    return new Intl.DateTimeFormat(root.lang, { day: "numeric", month: "long", ...year_too }).format(then);
  };

  // ---- menus: one open at a time, arrows go through it, Escape closes it
  const close = (focus = false) => {
    for (const menu of all(".ob-menu:not([hidden])")) {
      menu.hidden = true;
      const button = $("[data-menu]", menu.parentElement);
      button.setAttribute("aria-expanded", "false");
      if (focus) button.focus();
    }
  };
  window.openbook.closeMenu = () => {
    const open = Boolean($(".ob-menu:not([hidden])"));
    close(true);
    return open;
  };
  const menu = (button) => {
    const mine = $(".ob-menu", button.closest("li"));
    const open = mine.hidden;
    close();
    mine.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    if (!open) return;
    const room = button.closest("#ob-chats").getBoundingClientRect().bottom - button.getBoundingClientRect().bottom;
    mine.classList.toggle("ob-above", room < mine.offsetHeight + 8);
    $("[role=menuitem]", mine).focus();
  };
  document.addEventListener("keydown", (event) => {
    const mine = event.target.closest && event.target.closest(".ob-menu");
    if (!mine || !["ArrowDown", "ArrowUp"].includes(event.key)) return;
    event.preventDefault();
    const items = all("[role=menuitem]", mine);
    const step = event.key === "ArrowDown" ? 1 : items.length - 1;
    items[(items.indexOf(document.activeElement) + step) % items.length].focus();
  });

  // ---- renaming in the row itself
  const rename = (row) => {
    const button = $("[data-do=open]", row);
    const input = document.createElement("input");
    input.type = "text";
    input.maxLength = 120;
    input.value = button.dataset.title;
    input.className = "ob-rename";
    input.setAttribute("aria-label", $("[data-rename]", row).textContent.trim());
    button.hidden = true;
    button.after(input);
    input.select();
    let over = false;
    const end = (take) => {
      if (over) return;
      over = true;
      if (take && input.value.trim() && input.value.trim() !== button.dataset.title) {
        window.openbook.send("rename", { id: button.dataset.id, title: input.value });
        $("span", button).textContent = input.value;
      }
      input.remove();
      button.hidden = false;
      button.focus();
    };
    input.addEventListener("blur", () => end(true));
    input.addEventListener("keydown", (event) => {
      if (event.isComposing || event.keyCode === 229) return;
      if (event.key === "Enter") { event.preventDefault(); end(true); }
      if (event.key === "Escape") { event.stopPropagation(); end(false); }
    });
  };

  // ---- confirmations in the row
  const ask = (row) => {
    for (const other of all(".ob-asking")) other.classList.remove("ob-asking");
    row.classList.add("ob-asking");
    $("[data-keep]", row).focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  };
  window.openbook.unask = () => {
    const asking = $(".ob-asking");
    if (asking) asking.classList.remove("ob-asking");
    return Boolean(asking);
  };

  let finding = 0;
  document.addEventListener("input", (event) => {
    if (event.target.matches(".ob-filter")) {
      const wanted = event.target.value.trim().toLowerCase();
      for (const row of all(".ob-doc")) row.hidden = !row.dataset.name.includes(wanted);
      for (const shelf of all(".ob-shelf")) shelf.hidden = !$(".ob-doc:not([hidden])", shelf);
    }
    if (event.target.matches("#ob-find")) {
      clearTimeout(finding);
      finding = setTimeout(() => window.openbook.send("find", { query: event.target.value }), 180);
    }
  });
  document.addEventListener("click", (event) => {
    const at = (selector) => event.target.closest(selector);
    let node;
    if ((node = at("[data-menu]"))) menu(node);
    else if ((node = at("[data-rename]"))) { close(); rename(node.closest("li")); }
    else if ((node = at("[data-confirm]"))) { close(); ask(node.closest("li")); }
    else if ((node = at("[data-keep]"))) node.closest("li").classList.remove("ob-asking");
    else if (at("[data-new]")) $("#ob-new").click();
    else if ((node = at("[data-do]"))) {
      close();
      const { do: name, t, en, zh, ...data } = node.dataset;
      window.openbook.send(name, data);
    } else if (!at(".ob-menu")) close();
    if (at("[data-do=open], #ob-new") && window.openbook.sheet() === "left") window.openbook.column("left", false);
  });

  // ---- what the server answers: a file to save
  window.openbook.replies.file = ({ name, type, text }) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  window.openbook.reply = (said) => {
    let reply = null;
    try { reply = JSON.parse(said); } catch (error) { return; }
    const act = reply && window.openbook.replies[reply.kind];
    if (act) act(reply);
  };

  // ---- the open conversation stands in the address, so that a reload finds it
  window.openbook.place = () => (location.hash.startsWith("#c=") ? decodeURIComponent(location.hash.slice(3)) : "");
  const conversation = () => { const here = $("#ob-here textarea, #ob-here input"); return here ? here.value : ""; };
  window.openbook.arrived = async () => { // the open conversation, once the server has said which it is
    for (let waited = 0; !ready && waited < 200; waited += 1) await new Promise((done) => setTimeout(done, 50));
    return conversation();
  };
  let ready = false;
  let shown = null;
  window.openbook.settled(() => {
    for (const title of all("[data-day]")) {
      const text = day(title.dataset.day);
      if (title.textContent !== text) title.textContent = text;
    }
    const here = $("#ob-here textarea, #ob-here input");
    if (!here || !$("#ob-chats .ob-chat, #ob-chats .ob-none")) return; // the page has not arrived yet
    if (shown !== here.value) { // the list of another conversation is whole
      shown = here.value;
      $("#ob-find").value = "";
    }
    const wanted = here.value ? `#c=${encodeURIComponent(here.value)}` : "";
    if (location.hash !== wanted && (wanted || location.hash.startsWith("#c="))) {
      history.replaceState(null, "", wanted || location.pathname + location.search);
    }
    if (!ready) {
      ready = true;
      if (!window.openbook.read("left-tab") && !($("#ob-chats .ob-chat") && $(".ob-doc"))) window.openbook.tab("left", "files", false);
    }
  });
})();
