"use strict";
// A link to a trial opens it.
function reveal() {
  const target = document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") {
    target.open = true;
    target.scrollIntoView();
  }
}
addEventListener("hashchange", reveal);

// Tables are sorted by a click on a heading, or by Enter or space while it has the focus.
const UNITS = { ns: 1, µs: 1e3, ms: 1e6, s: 1e9, min: 6e10, h: 3.6e12 };
function sortKey(text) {
  const plain = text.replace(/[\s\u2009\u202f\u00a0]+/g, " ").trim();
  const number = /^[^\d–-]*(-?\d[\d ]*(?:\.\d+)?) ?(ns|µs|ms|s|min|h|%)?/.exec(plain);
  if (plain === "none") return 0;
  if (!number) return plain === "–" || plain === "" ? null : plain;
  return parseFloat(number[1].replace(/ /g, "")) * (UNITS[number[2]] || 1);
}
function compareKeys(a, b) {
  // What is not known stands last, whichever way it is sorted.
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b));
}
function sortBy(table, column, heading) {
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row, index) => ({ row, index, key: sortKey(row.cells[column].textContent) }));
  rows.sort((a, b) => {
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.index - b.index;
    return (down ? -1 : 1) * compareKeys(a.key, b.key) || a.index - b.index;
  });
  body.append(...rows.map((each) => each.row));
}
for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    // A heading that leads somewhere stays a link.
    if (heading.querySelector("a") || !heading.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sortBy(table, column, heading));
    heading.append(button);
  });
}

if (typeof drawCharts === "function") drawCharts();
reveal();
