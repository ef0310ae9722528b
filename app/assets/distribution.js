// Distributions that a temperature redraws: softmax(x / T) over the rows of a group, or over all outcomes where the
// group brings log sum exp(x / T) for every T of the slider. T = 0 takes the likeliest.
(() => {
  "use strict";
  const redraw = (group) => {
    const slider = group.querySelector("[data-temperature]");
    const T = Number(slider.value);
    slider.parentElement.querySelector("output").textContent = T.toFixed(2);
    slider.setAttribute("aria-valuetext", T.toFixed(2));
    const rows = [...group.querySelectorAll(".ob-out")];
    const x = rows.map((row) => Number(row.dataset.x));
    const most = Math.max(...x);
    let p;
    if (T < 0.025) {
      const first = x.indexOf(most);
      p = x.map((_, n) => (n === first ? 1 : 0));
    } else {
      const sums = (group.dataset.sums || "").split(" ").filter(Boolean).map(Number);
      const known = sums[Math.round(T / 0.05) - 1];
      const scaled = x.map((value) => (value - most) / T);
      const log = known === undefined ? Math.log(scaled.reduce((sum, value) => sum + Math.exp(value), 0)) + most / T : known;
      p = x.map((value) => Math.exp(value / T - log));
    }
    let kept = p;
    const nucleus = group.querySelector("[data-top-p]");
    if (nucleus) {
      const limit = Number(nucleus.value);
      nucleus.parentElement.querySelector("output").textContent = limit.toFixed(2);
      let before = 0;
      let mass = 0;
      const inside = p.map((value) => { const here = before < limit; before += value; if (here) mass += value; return here; });
      // With the likeliest of many listed, a nucleus that reaches beyond them keeps its place in the whole.
      if (before >= limit || !group.dataset.sums) kept = p.map((value, n) => (inside[n] ? value / mass : 0));
    }
    rows.forEach((row, n) => {
      row.querySelector(".ob-bar-p i").style.width = `${(100 * kept[n]).toFixed(2)}%`;
      row.querySelector(".ob-p").textContent = `${(100 * kept[n]).toFixed(1)} %`;
      row.classList.toggle("ob-out-zero", kept[n] === 0);
    });
  };
  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-temperature], [data-top-p]")) redraw(event.target.closest("[data-dist]"));
  });
  document.addEventListener("click", (event) => {
    const at = (wanted) => event.target.closest && event.target.closest(wanted);
    const more = at("[data-unfold]");
    if (more) {
      for (const row of more.closest("[data-dist]").querySelectorAll(".ob-folded")) row.classList.remove("ob-folded");
      more.remove();
    }
    const token = at(".ob-tok");
    if (token) {
      const part = token.closest("[data-tokens]");
      const open = token.getAttribute("aria-expanded") === "true";
      for (const other of part.querySelectorAll(".ob-tok")) other.setAttribute("aria-expanded", "false");
      for (const place of part.querySelectorAll(".ob-place")) place.hidden = open || place.dataset.place !== token.dataset.place;
      token.setAttribute("aria-expanded", String(!open));
    }
  });
})();
