// The queue page and the pages of builds and presentations: what changes is replaced as the server
// sends it, durations count on, rows are reached and selected by keys. All works without it.

const list = document.getElementById("queue");
const live = list || document.getElementById("live");
const news = document.getElementById("news");

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

// Durations of what runs

function lasted(seconds) {
  const parts = [[Math.floor(seconds / 3600), "h"], [Math.floor(seconds / 60) % 60, "min"], [seconds % 60, "s"]];
  return parts.filter(([number]) => number).map(([number, unit]) => `${number} ${unit}`).join(" ") || "0 s";
}

function countOn() {
  for (const place of document.querySelectorAll("[data-start]")) {
    const start = Date.parse(place.dataset.start);
    if (start) place.textContent = lasted(Math.max(0, Math.round((Date.now() - start) / 1000)));
  }
}

// The list

const rowOf = (job) => list.querySelector(`tr[data-job="${CSS.escape(job)}"]`);

function boxFor(row) {
  const box = document.createElement("input");
  box.type = "checkbox";
  box.name = "job";
  box.value = row.dataset.job;
  box.setAttribute("aria-label", `Select ${row.querySelector(".what a").textContent}`);
  return box;
}

function belongs(row) {
  const { state, kind, hours } = list.dataset;
  return (!state || state === row.dataset.state) && (!kind || row.dataset.job.startsWith(`${kind}:`)) && !(hours > 0 && !state);
}

function replaceRow(job, html) {
  const old = rowOf(job);
  const row = parse(html).querySelector("tr");
  if (!row) return old?.remove();
  if (old) {
    const focused = old.contains(document.activeElement) && document.activeElement.closest("td").className;
    row.querySelector(".pick").replaceWith(old.querySelector(".pick"));
    old.replaceWith(row);
    if (focused) row.querySelector(`td.${focused} :is(a, input)`)?.focus();
  } else if (belongs(row)) {
    if (list.querySelector(".queue-bar")) row.querySelector(".pick").append(boxFor(row));
    list.querySelector("tbody").prepend(row);
  }
}

const numbers = list ? JSON.parse(list.dataset.counts) : {};

function showCounts(counts) {
  Object.assign(numbers, counts);
  if (list.dataset.hours > 0) return; // these are the jobs of all times
  const kinds = list.dataset.kind ? [list.dataset.kind] : Object.keys(numbers);
  let total = [0, ""];
  const shown = {};
  for (const kind of kinds) {
    for (const [state, text] of Object.entries(numbers[kind])) {
      const [number, more] = [Number(text.replace(/[,+]/g, "")), text.endsWith("+") ? "+" : ""];
      shown[state] = [(shown[state]?.[0] || 0) + number, (shown[state]?.[1] || "") || more];
      total = [total[0] + number, total[1] || more];
    }
  }
  shown[""] = total;
  for (const place of document.querySelectorAll("[data-count]")) {
    const [number, more] = shown[place.dataset.count] || [0, ""];
    place.textContent = number.toLocaleString("en") + more;
  }
}

function showList({ jobs, counts }) {
  for (const [job, html] of Object.entries(jobs)) replaceRow(job, html);
  showCounts(counts);
  document.getElementById("nothing").hidden = list.querySelector("tbody tr") !== null;
  showSelected();
}

// The page of a job

function showJob({ jobs }) {
  const html = jobs[live.dataset.job];
  if (html === undefined) return;
  if (!html) location.reload();
  for (const part of parse(html).querySelectorAll("section[id]")) {
    const old = document.getElementById(part.id);
    const open = [...old.querySelectorAll("details")].map((one) => one.open);
    part.querySelectorAll("details").forEach((one, index) => (one.open = open[index]));
    old.replaceWith(part);
  }
  const { status } = document.getElementById("job-now").dataset;
  for (const button of document.querySelectorAll(".job-actions button")) {
    button.hidden = !button.dataset.for.split(" ").includes(status);
  }
}

// What is selected

function showSelected() {
  const boxes = [...list.querySelectorAll("tbody input[name=job]")];
  const chosen = boxes.filter((box) => box.checked).length;
  const all = document.getElementById("select-all");
  if (!all) return;
  all.hidden = false;
  all.checked = chosen > 0 && chosen === boxes.length;
  all.indeterminate = chosen > 0 && chosen < boxes.length;
  document.getElementById("selected").textContent = chosen ? `${chosen} selected:` : "Select all:";
  for (const button of list.querySelectorAll(".queue-bar button[name=action]")) button.disabled = !chosen;
}

function changed({ target }) {
  if (target.id === "select-all") {
    for (const box of list.querySelectorAll("tbody input[name=job]")) box.checked = target.checked;
  }
  showSelected();
}

// Keys, while nothing or a part of the list has the focus

function current() {
  return document.activeElement.closest?.("tbody tr");
}

function move(step) {
  const rows = [...list.querySelectorAll("tbody tr")];
  const at = rows.indexOf(current());
  const next = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step))];
  next?.querySelector(".what a").focus();
}

const press = (action) => list.querySelector(`.queue-bar button[value=${action}][name=action]:not(:disabled)`)?.click();

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  x: () => current()?.querySelector("input[name=job]")?.click(),
  r: () => press("retry"),
  c: () => press("cancel"),
};

function pressed(event) {
  const inside = document.activeElement === document.body || list.contains(document.activeElement);
  if (!inside || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
}

if (list) {
  list.addEventListener("change", changed);
  document.addEventListener("keydown", pressed);
  showSelected();
}
if (live) {
  const stream = new EventSource(live.dataset.live);
  stream.addEventListener("jobs", (event) => (list ? showList : showJob)(JSON.parse(event.data)));
  stream.addEventListener("error", () => {
    if (stream.readyState === EventSource.CLOSED && news) news.textContent = "Live updates ended: reload the page.";
  });
  addEventListener("pagehide", () => stream.close());
  setInterval(countOn, 1000);
}
