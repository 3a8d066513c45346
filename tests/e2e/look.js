/** What a page shows that no page should; run in the browser by test_looks.py. Gives the faults as sentences. */
() => {
  const faults = new Set();
  const wide = document.documentElement.clientWidth;
  const shown = (element) => element.checkVisibility({ visibilityProperty: true }) && element.getClientRects().length > 0;
  const called = (element) => {
    const text = (element.textContent || "").trim().slice(0, 30);
    const test = element.dataset?.testid ? `[${element.dataset.testid}]` : "";
    return `${element.tagName.toLowerCase()}${element.id ? `#${element.id}` : ""}${test} "${text}"`;
  };
  /** Whether something above scrolls or clips sideways, so that what is wider does not widen the page. */
  const framed = (element) => {
    for (let above = element.parentElement; above && above !== document.body; above = above.parentElement) {
      if (getComputedStyle(above).overflowX !== "visible") return true;
    }
    return false;
  };
  const named = (element) =>
    (element.getAttribute("aria-label") || element.title || "").trim() ||
    (element.labels && [...element.labels].some((label) => label.textContent.trim())) ||
    (!["INPUT", "SELECT", "TEXTAREA"].includes(element.tagName) && element.textContent.trim()) ||
    element.querySelector?.("img[alt]:not([alt=''])");

  if (document.documentElement.scrollWidth > wide + 1) faults.add(`the page is ${document.documentElement.scrollWidth} px wide, the window ${wide}`);
  for (const element of document.querySelectorAll("body *")) {
    if (!shown(element) || element.closest("svg svg, defs")) continue;
    const box = element.getBoundingClientRect();
    if (box.width && box.right > wide + 1 && !framed(element)) faults.add(`beyond the edge: ${called(element)}`);
    const card = element.closest(".balances > div, .figure");
    if (card && box.right > card.getBoundingClientRect().right + 1) faults.add(`beyond its card: ${called(element)}`);
    const cell = element.matches("td button, td a") ? element.closest("td").getBoundingClientRect() : box;
    if (box.right > cell.right + 1) faults.add(`beyond its cell: ${called(element)}`);
    const own = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.textContent.trim()).join("");
    if (/^[a-z]{1,12}(\.[A-Za-z0-9_]+)+$/.test(own) && !element.matches(".mono, .mono *, code, td *, td")) faults.add(`a key and no text: ${own}`);
    if (/\b(undefined|NaN|\[object |null)\b/.test(own)) faults.add(`no value: ${called(element)}`);
    if (element.matches("button, a[href], input:not([type=hidden]), select, textarea, summary, [role=button], [tabindex='0'][role]") && !named(element)) {
      faults.add(`no name: ${element.outerHTML.slice(0, 120)}`);
    }
  }
  return [...faults];
};
