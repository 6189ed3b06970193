// What Datasette's pages lack for people who use a keyboard or a screen reader: names of fields, steps
// between headings that can be followed. Without scripts the pages read the same.

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
  // What these say is name enough, and their label does not begin with it.
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

// The long list of what each column means stands before the rows.
function foldDescriptions() {
  for (const list of document.querySelectorAll("dl.column-descriptions")) {
    const fold = document.createElement("details");
    fold.innerHTML = "<summary>What the columns mean</summary>";
    list.replaceWith(fold);
    fold.append(list);
  }
}

// What scrolls by itself must be in reach of the keyboard.
function reachScrolling() {
  for (const box of document.querySelectorAll("main :is(pre, .table-wrapper)")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
}

nameFields();
levelHeadings();
foldDescriptions();
reachScrolling();
// The editor and further filters come later.
new MutationObserver(nameFields).observe(document.body, { childList: true, subtree: true });
