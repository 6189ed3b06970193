// Improves Datasette's pages for keyboards and screen readers: names of fields, levels of headings.
// The pages work without scripts too.

const FIELDS = {
  'select[name^="_filter_column"]': "Column to filter by",
  'select[name^="_filter_op"]': "Comparison",
  'input[name^="_filter_value"]': "Value to compare with",
  'select[name="_sort"]': "Column to sort by",
  ".cm-content": "SQL",
};

function nameFields() {
  for (const [selector, name] of Object.entries(FIELDS)) {
    for (const field of document.querySelectorAll(`${selector}:not([aria-label])`)) {
      field.setAttribute("aria-label", name);
    }
  }
  // Their text is a sufficient name, and the label does not begin with it.
  for (const button of document.querySelectorAll(".action-menu-button[aria-label]")) {
    button.removeAttribute("aria-label");
  }
}

function levelHeadings() {
  let level = 0;
  for (const heading of document.querySelectorAll("main :is(h1, h2, h3, h4, h5, h6)")) {
    const own = Number(heading.tagName[1]);
    level = Math.min(own, level + 1);
    if (level < own) heading.setAttribute("aria-level", level);
  }
}

// The descriptions of the columns are long, and come before the rows.
function foldDescriptions() {
  for (const list of document.querySelectorAll("dl.column-descriptions")) {
    const fold = document.createElement("details");
    fold.innerHTML = "<summary>Column descriptions</summary>";
    list.replaceWith(fold);
    fold.append(list);
  }
}

// Elements that scroll must be reachable by keyboard.
function makeScrollable() {
  for (const box of document.querySelectorAll("main :is(pre, .table-wrapper)")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
}

nameFields();
levelHeadings();
foldDescriptions();
makeScrollable();
addEventListener("resize", makeScrollable);
// The SQL editor and further filters are added later.
new MutationObserver(nameFields).observe(document.body, { childList: true, subtree: true });

// A page that shows progress is loaded again until it shows none.
async function refresh() {
  const answer = await fetch(location.href);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.title = page.title;
  document.querySelector("main").replaceWith(page.querySelector("main"));
  scheduleRefresh();
}

function scheduleRefresh() {
  const [progress] = document.querySelectorAll("[data-refresh]");
  if (progress) setTimeout(refresh, Number(progress.dataset.refresh));
}

scheduleRefresh();

for (const panel of document.querySelectorAll("[data-closed-on-phones]")) {
  if (matchMedia("(max-width: 576px)").matches) panel.open = false;
}

// The parts of a page as tabs; the address names the one that is shown.
function showTab() {
  const tabs = [...document.querySelectorAll("[data-tab]")];
  const shown = tabs.find((tab) => `#${tab.id}` === location.hash) ?? tabs[0];
  for (const tab of tabs) tab.hidden = tab !== shown;
  for (const link of document.querySelectorAll(".tabs a")) {
    if (link.hash === `#${shown.id}`) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  makeScrollable();
}

if (document.querySelector("[data-tab]")) {
  showTab();
  addEventListener("hashchange", showTab);
}
