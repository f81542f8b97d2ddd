"use strict";
const form = document.querySelector("form");
const field = form.elements.words;
const tables = [...document.querySelectorAll("section.table")].map((section) => ({
  section,
  all: section.textContent.toLowerCase(),
  head: `${section.querySelector("h2").textContent} ${section.querySelector(".head").textContent}`.toLowerCase(),
  opened: false,
  rows: [...section.querySelectorAll("tbody")].map((row) => ({ row, words: row.textContent.toLowerCase() })),
}));
const total = tables.reduce((sum, { rows }) => sum + rows.length, 0);
const details = [...document.querySelectorAll("main details")];

function fits({ device }, { model, built, state }) {
  const wanted = form.elements;
  return (
    [[wanted.device, device], [wanted.model, model], [wanted.built, built]].every(([filter, value]) => !filter.value || filter.value === value) &&
    (!wanted.state.value || state === wanted.state.value || (wanted.state.value === "any" && Boolean(state)))
  );
}

function say(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

// What a search opened is closed after it; what a reader opened stays.
function open(table, wanted) {
  if (wanted === table.opened) return;
  table.opened = wanted;
  for (const part of table.section.querySelectorAll("details")) part.open = wanted;
}

function filter() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  const narrowed = [...form.elements].some((filter) => filter.value);
  const selected = [...form.querySelectorAll("select")].some((filter) => filter.value);
  let found = 0;
  let holding = 0;
  let noted = 0;
  for (const table of tables) {
    const { section, all, head, rows } = table;
    let shown = 0;
    for (const { row, words: own } of rows) {
      row.hidden = !(fits(section.dataset, row.dataset) && words.every((word) => own.includes(word) || head.includes(word)));
      shown += !row.hidden;
    }
    // A table whose notes or claims alone have the words is shown without its rows.
    const mentions = !shown && !selected && words.length > 0 && words.every((word) => all.includes(word));
    section.querySelector("table").hidden = !shown;
    section.hidden = !shown && !mentions;
    open(table, mentions);
    found += shown;
    holding += shown > 0;
    noted += mentions;
  }
  // What was found stands right below the search.
  for (const part of document.querySelectorAll("nav, section[aria-labelledby=attention]")) part.hidden = narrowed;
  const said = narrowed ? `${found} of ${say(total, "row")} in ${say(holding, "table")}` : `${say(total, "row")} in ${say(tables.length, "table")}`;
  document.getElementById("count").textContent = said + (noted ? `; ${say(noted, "more table")} in notes or claims` : "");
}

function clear() {
  form.reset();
  filter();
}

function follow() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.closest("[hidden]")) clear();
  if (target) target.scrollIntoView();
}

for (const part of details) part.open = false;
const list = document.querySelector("nav details");
if (list) list.open = matchMedia("(min-width: 52rem)").matches;
form.hidden = false;
filter();
form.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("keydown", (event) => {
  const typing = event.target === field;
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    field.focus();
    field.select();
  } else if (event.key === "Escape") {
    clear();
  }
});
window.addEventListener("hashchange", follow);
window.addEventListener("beforeprint", () => details.forEach((part) => { part.open = true; }));
follow();
