// Shows the progress of the running jobs of the dashboard as it changes.

const base = new URL("..", import.meta.url).pathname;

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
