// Evidence: the document behind a passage in a dialog, and a citation for the clipboard. Nothing is sent from here
// but numbers, by way of the dialog's own component.
(() => {
  "use strict";
  let opener = null; // what had the focus before the dialog
  let seen = "";

  const ask = (button) => {
    if (!button.closest("dialog")) opener = button;
    button.setAttribute("aria-busy", "true");
    setTimeout(() => button.removeAttribute("aria-busy"), 20000);
    const { turn, n, part } = button.dataset;
    document.dispatchEvent(new CustomEvent("ob:original", { detail: { turn, n, part } }));
  };
  const close = (dialog) => {
    dialog.close();
    dialog.remove(); // a page of a book is large
    if (opener && opener.isConnected) opener.focus({ preventScroll: true });
  };
  const settle = () => {
    const dialog = document.querySelector("#ob-original dialog");
    if (!dialog || dialog.dataset.serial === seen) return;
    seen = dialog.dataset.serial;
    for (const busy of document.querySelectorAll("[data-original][aria-busy]")) busy.removeAttribute("aria-busy");
    for (const other of document.querySelectorAll("dialog.ob-original")) if (other !== dialog) other.remove();
    // Out of its column, which may not be on view; inside the container that narrow-screen rules are scoped to.
    (document.querySelector(".gradio-container .contain") || document.body).appendChild(dialog);
    dialog.showModal();
    const body = dialog.querySelector(".ob-original-body");
    const mark = dialog.querySelector("#ob-original-mark");
    const image = dialog.querySelector(".ob-page img");
    const go = () => {
      if (!mark) { body.focus({ preventScroll: true }); return; }
      const box = mark.getBoundingClientRect();
      const view = body.getBoundingClientRect();
      body.scrollTop += box.top - view.top - view.height / 3;
      mark.focus({ preventScroll: true });
    };
    if (image && !image.complete) image.addEventListener("load", go, { once: true });
    else go();
  };

  const copy = async (button) => {
    const { words, place, page, file } = button.dataset;
    const zh = document.documentElement.dataset.ui === "zh";
    const where = page ? `${place}, ${file}, p. ${page}` : `${place}, ${file}`;
    const text = zh ? `「${words}」——${where}` : `“${words}” — ${where}`;
    await window.openbook.clip(text);
    button.dataset.copied = "1";
    setTimeout(() => { button.dataset.copied = "0"; }, 1500);
  };

  document.addEventListener("click", (event) => {
    if (!event.target.closest) return;
    const original = event.target.closest("[data-original]");
    const dialog = event.target.closest("dialog.ob-original");
    const cite = event.target.closest(".ob-cite-copy");
    if (original && !original.disabled) ask(original);
    else if (cite) copy(cite);
    else if (dialog && (event.target === dialog || event.target.closest("[data-close]"))) close(dialog);
  });
  // Before the page's own keys: Escape closes the dialog and stops no answer.
  window.addEventListener("keydown", (event) => {
    const dialog = document.querySelector("dialog.ob-original[open]");
    if (!dialog || event.isComposing) return;
    if (event.key === "Escape") {
      event.preventDefault();
      event.stopImmediatePropagation();
      close(dialog);
    } else if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && !event.altKey && !event.ctrlKey && !event.metaKey) {
      const step = dialog.querySelectorAll(".ob-step")[event.key === "ArrowLeft" ? 0 : 1];
      if (step && !step.disabled) { event.preventDefault(); ask(step); }
    }
  }, true);

  const watch = () => new MutationObserver(settle).observe(document.body, { childList: true, subtree: true });
  if (document.body) watch();
  else document.addEventListener("DOMContentLoaded", watch);
})();
