// Keys and dialogs: shortcuts, the list of them, the prompt editor.
(() => {
  "use strict";
  const { $, all, root } = window.openbook;

  // ---- dialogs: the browser's own, which keep the focus inside and give it back
  const show = (id) => {
    const dialog = document.getElementById(id);
    if (!dialog || dialog.open) return;
    if (id === "ob-prompts") choose();
    dialog.showModal();
  };
  const open = () => Boolean($("dialog[open]"));

  // ---- prompts: what differs from the original is kept in this browser and sent with each question
  const chosen = () => $("#ob-prompt").selectedOptions[0];
  const choose = () => {
    const option = chosen();
    const own = window.openbook.prompts()[option.value];
    $("#ob-prompt-text").value = own === undefined ? option.dataset.standard : own;
    $("#ob-prompt-variables").hidden = !option.dataset.variables;
    $("#ob-prompt-variables code").textContent = option.dataset.variables;
    $("#ob-prompt-said").replaceChildren();
    for (const each of all("#ob-prompt option")) {
      each.classList.toggle("ob-edited", window.openbook.prompts()[each.value] !== undefined);
    }
  };
  const store = (name, text) => {
    const all_own = window.openbook.prompts();
    if (text === null) delete all_own[name]; else all_own[name] = text;
    window.openbook.keep("prompts", JSON.stringify(all_own));
  };
  window.openbook.replies.prompt = ({ name, fine, said }) => {
    if (fine && chosen().value === name) {
      const text = $("#ob-prompt-text").value;
      store(name, text.trim() === chosen().dataset.standard.trim() ? null : text);
    }
    choose_said(fine, said);
  };
  const choose_said = (fine, said) => {
    const note = document.createElement("p");
    note.className = fine ? "ob-note" : "ob-failure";
    note.innerHTML = said; // our own server's sentence, escaped there
    $("#ob-prompt-said").replaceChildren(note);
  };
  document.addEventListener("change", (event) => { if (event.target.matches("#ob-prompt")) choose(); });

  document.addEventListener("click", (event) => {
    const at = (selector) => event.target.closest(selector);
    let node;
    if ((node = at("[data-dialog]"))) show(node.dataset.dialog);
    else if ((node = at("[data-close]"))) node.closest("dialog").close();
    else if (at("[data-prompt-save]")) window.openbook.send("prompt", { name: chosen().value, text: $("#ob-prompt-text").value });
    else if (at("[data-prompt-standard]")) { store(chosen().value, null); choose(); }
    else if (event.target.matches("dialog.ob-dialog")) event.target.close(); // the dark around it
  });

  // ---- shortcuts
  const typing = (node) => node.matches && node.matches("input, textarea, select, [contenteditable]");
  const press = (selector) => { const node = $(selector); if (node) node.click(); };
  const visible = (node) => node && node.offsetParent !== null;
  const escape = () => {
    const { closeMenu, closeMentions, unask, closeSettings, sheet, column } = window.openbook;
    if (closeMenu() || closeMentions() || unask() || closeSettings()) return;
    if (sheet()) column(sheet(), false);
    else if (visible($("#ob-stop"))) press("#ob-stop");
  };
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229 || event.defaultPrevented) return;
    const control = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    let done = true;
    if (control && key === "/") show("ob-keys");
    else if (key === "?" && !control && !typing(event.target)) show("ob-keys");
    else if (open()) return; // the dialog has the other keys
    else if (key === "escape" && event.shiftKey) $("#ob-question textarea").focus();
    else if (key === "escape") escape();
    else if (control && event.shiftKey && key === "o") { press("#ob-new"); $("#ob-question textarea").focus(); }
    else if (control && event.shiftKey && key === "c") window.openbook.copyLast();
    else done = false;
    if (done) event.preventDefault();
  });

  window.openbook.settled(() => { // ⌘ where there is no Ctrl
    if (!/mac|iphone|ipad/i.test(navigator.platform)) return;
    for (const cap of all("#ob-keys kbd")) if (cap.textContent === "Ctrl") cap.textContent = "⌘";
  });
  root.classList.add("ob-ready");
})();
