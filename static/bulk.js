// Actions on many rows of a list: check boxes, a preview of what will change, and undo.
// A form of class "bulk" names the resource of the API, its key, and the filter of the page.

const form = document.querySelector("form.bulk");
const message = document.querySelector(".bulk-message");
const rows = document.querySelector("[data-rows]");

const picks = () => [...rows.querySelectorAll("[data-pick]")];
const picked = () => picks().filter((box) => box.checked).map((box) => box.dataset.pick);
const many = (number) =>
  `${number.toLocaleString("en")} ${form.dataset.noun}${number === 1 ? "" : "s"}`;

// The rows that an action is about: those checked, or else all that the page's filters match.
function target() {
  const keys = picked();
  if (keys.length) return { [`${form.dataset.key}__in`]: keys };
  return form.dataset.filter ? JSON.parse(form.dataset.filter) : null;
}

function showTarget() {
  const keys = picked();
  const all = form.querySelector("[data-all]");
  all.checked = keys.length > 0 && keys.length === picks().length;
  all.indeterminate = keys.length > 0 && !all.checked;
  const text = form.dataset.filter ? "All that match" : "None selected";
  form.querySelector("[data-target]").textContent = keys.length ? `${keys.length} selected` : text;
  for (const button of form.querySelectorAll("[data-action]")) button.disabled = !target();
}

async function send(path, body) {
  const answer = await fetch(`${form.dataset.api}/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

function show(text, ...buttons) {
  message.replaceChildren(text, ...buttons);
  buttons[0]?.focus();
}

function button(text, act) {
  const one = document.createElement("button");
  one.type = "button";
  one.className = "core";
  one.textContent = text;
  one.addEventListener("click", () => attempt(act));
  return one;
}

async function attempt(act) {
  form.inert = message.inert = true;
  try {
    await act();
  } catch (error) {
    show(`Not done: ${error.message}`);
  } finally {
    form.inert = message.inert = false;
    message.querySelector("button")?.focus();
  }
}

const named = (action) => action[0].toUpperCase() + action.slice(1);

async function preview(action) {
  const filter = target();
  const { changed, left } = await send("bulk", { action, filter, dry_run: true });
  const rest = left ? ` ${many(left)} need no change.` : "";
  if (!changed) return show(`Nothing to ${action}.${rest}`);
  show(
    `${named(action)} ${many(changed)}?${rest} `,
    button(`${named(action)} ${changed.toLocaleString("en")}`, () => run(action, filter)),
    button("Cancel", () => show("")),
  );
}

async function run(action, filter) {
  const { changed, undo } = await send("bulk", { action, filter });
  await reload();
  const text = `${named(action).replace(/e$/, "")}ed ${many(changed)}. `;
  show(text, ...(undo ? [button("Undo", () => takeBack(undo))] : []));
}

async function takeBack(token) {
  const { changed, left } = await send("undo", { undo: token });
  await reload();
  show(`Undone: ${many(changed)}.${left ? ` ${many(left)} changed since, and stay.` : ""}`);
}

async function reload() {
  const answer = await fetch(location.href);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const selector of ["[data-rows]", ".facet-results", ".table-summary"]) {
    const [old, fresh] = [document, page].map((one) => one.querySelector(selector));
    if (old && fresh) old.replaceChildren(...fresh.childNodes);
  }
  showTarget();
}

if (form) {
  form.hidden = false;
  form.addEventListener("click", ({ target: { dataset } }) => {
    if (dataset.action) attempt(() => preview(dataset.action));
  });
  form.querySelector("[data-all]").addEventListener("change", ({ target: all }) => {
    for (const box of picks()) box.checked = all.checked;
    showTarget();
  });
  rows.addEventListener("change", showTarget);
  rows.addEventListener("click", ({ target: one }) => {
    const key = one.dataset.switch;
    if (!key) return;
    const action = one.getAttribute("aria-checked") === "true" ? "disable" : "enable";
    attempt(() => run(action, { [`${form.dataset.key}__in`]: [key] }));
  });
  showTarget();
}
