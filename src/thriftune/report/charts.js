"use strict";
// Draws the charts, those in the window first and folded ones when they are opened; folds panels.
(() => {
  const { charts, themes } = JSON.parse(document.getElementById("report-data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 52rem)");
  const page = document.documentElement;
  const elements = [...document.querySelectorAll(".chart")];
  const views = new Map();
  let waiting = new Set(elements);
  let working = false;

  function themed(spec, theme, width) {
    const config = structuredClone(theme.config);
    config.legend.columns = Math.max(1, Math.floor(width / 200));
    config.axisY.labelLimit = Math.min(220, Math.round(width * 0.34));
    return { ...spec, params: [...(spec.params ?? []), ...theme.params], config };
  }

  async function draw(element) {
    const theme = dark.matches ? "dark" : "light";
    const spec = themed(charts[element.dataset.chart], themes[theme], element.clientWidth);
    spec.description = element.getAttribute("aria-label"); // Vega writes it onto the element, or removes what is there
    views.get(element)?.finalize();
    views.set(element, await vegaEmbed(element, spec, { actions: false, renderer: "svg", tooltip: { theme } }));
    element.setAttribute("role", "img");
    element.dataset.theme = theme; // for the print: its paper is the page's
    element.style.minHeight = "";
  }

  function next() {
    const open = [...waiting].filter((element) => !element.closest("details:not([open])"));
    const inWindow = (box) => box.bottom > 0 && box.top < window.innerHeight;
    return open.find((element) => inWindow(element.getBoundingClientRect())) ?? open[0];
  }

  async function work() {
    if (working) return;
    working = true;
    delete page.dataset.drawn;
    for (let element = next(); element; element = next()) {
      waiting.delete(element);
      await draw(element);
      await new Promise((resolve) => setTimeout(resolve));
    }
    page.dataset.drawn = "true";
    working = false;
  }

  function drawAgain() {
    waiting = new Set(elements);
    work();
  }

  let width = page.clientWidth;
  let timer = 0;
  window.addEventListener("resize", () => {
    if (page.clientWidth === width) return;
    width = page.clientWidth;
    clearTimeout(timer);
    timer = setTimeout(drawAgain, 200);
  });
  dark.addEventListener("change", drawAgain);
  document.addEventListener("toggle", work, true);

  // A box that scrolls can be reached by keyboard and has a name; one that does not is no stop.
  function stops() {
    for (const box of document.querySelectorAll(".scroll[data-label]")) {
      const scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
      const now = scrolls ? { tabindex: "0", role: "region", "aria-label": box.dataset.label } : {};
      for (const name of ["tabindex", "role", "aria-label"]) {
        if (name in now) box.setAttribute(name, now[name]);
        else box.removeAttribute(name);
      }
    }
  }
  window.addEventListener("resize", stops);
  document.addEventListener("toggle", stops, true);
  stops();

  const panels = [...document.querySelectorAll("details.panel")];
  const button = document.getElementById("fold-all");
  button.addEventListener("click", () => {
    const open = panels.some((panel) => !panel.open);
    for (const panel of panels) panel.open = open;
  });
  document.addEventListener(
    "toggle",
    () => {
      button.textContent = panels.some((panel) => !panel.open) ? "Open all panels" : "Close all panels";
    },
    true,
  );

  const contents = document.querySelector("nav details");
  const fit = () => (contents.open = !narrow.matches);
  narrow.addEventListener("change", fit);
  fit();
  contents.addEventListener("click", (event) => {
    if (event.target.closest("a") && narrow.matches) contents.open = false;
  });

  // A link to a panel opens it.
  document.addEventListener("click", (event) => {
    const href = event.target.closest?.("a[href^='#']")?.getAttribute("href");
    if (href) unfold(href);
  });
  function unfold(hash) {
    const target = hash.length > 1 ? document.getElementById(decodeURIComponent(hash.slice(1))) : null;
    target?.querySelector(":scope > details.panel")?.setAttribute("open", "");
  }
  unfold(location.hash);
  work();
})();
