// The dashboard: retries all jobs that failed for a reason, after a preview, and shows the progress
// of running jobs as it changes.

const base = new URL("..", import.meta.url).pathname;
const dialog = document.getElementById("confirm");
const result = document.getElementById("bulk-result");

function jobs(number, resource) {
  return `${number.toLocaleString("en")} ${number === 1 ? resource.replace(/s$/, "") : resource}`;
}

async function post(resource, body) {
  const response = await fetch(`${base}api/${resource}/bulk`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function confirmed(question, details) {
  document.getElementById("confirm-question").textContent = question;
  document.getElementById("confirm-details").textContent = details;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  });
}

async function retryAll(button) {
  const { resource } = button.dataset;
  const body = JSON.parse(button.dataset.bulk);
  try {
    const preview = await post(resource, { ...body, dry_run: true });
    const question = `Retry ${jobs(preview.changed, resource)}?`;
    if (!(await confirmed(question, "They are queued again for the next worker."))) return;
    const done = await post(resource, body);
    result.textContent = `${jobs(done.changed, resource)} queued again.`;
    button.closest("li").remove();
  } catch (error) {
    result.textContent = `Nothing was changed: ${error.message}`;
  }
}

for (const button of document.querySelectorAll("button[data-bulk]")) {
  button.hidden = false;
  button.addEventListener("click", () => retryAll(button));
}

function show(item, job) {
  const bar = item.querySelector("progress");
  if (bar && job.progress !== null) {
    bar.value = job.progress;
    bar.nextSibling.textContent = ` ${job.progress} %`;
  }
  item.querySelector("[data-part=current_step]").textContent = job.current_step ?? "";
  const pill = item.querySelector("[data-part=status] .pill");
  if (pill && pill.textContent !== job.status) {
    pill.textContent = job.status;
    pill.className = "pill";
  }
}

const items = [...document.querySelectorAll("[data-live]")];
for (const resource of new Set(items.map((item) => item.dataset.live))) {
  const changes = new EventSource(`${base}api/${resource}/changes?since=latest`);
  changes.addEventListener("update", (event) => {
    const { id, job } = JSON.parse(event.data);
    const key = `${resource}/${id}`;
    const item = items.find((one) => `${one.dataset.live}/${one.dataset.job}` === key);
    if (item && job) show(item, job);
  });
}
