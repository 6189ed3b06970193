// Sends the request in the form of /api/docs and shows the response. Links to a schema open it.
"use strict";

const form = document.getElementById("api-try");
const field = (name) => document.getElementById(`api-${name}`);

function headers() {
  const values = {};
  if (field("token").value) values["Authorization"] = `Bearer ${field("token").value}`;
  if (field("body").value) values["Content-Type"] = "application/json";
  return values;
}

function formatted(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function send(event) {
  event.preventDefault();
  const method = field("method").value;
  const address = new URL(field("path").value, window.location.href);
  if (address.origin !== window.location.origin) {
    field("response").textContent = "Requests can be sent to this server only.";
    return;
  }
  const body = method === "GET" ? undefined : field("body").value || undefined;
  try {
    const response = await fetch(address, { method, headers: headers(), body });
    const tag = response.headers.get("ETag");
    const first = `${response.status} ${response.statusText}${tag ? `\nETag: ${tag}` : ""}`;
    field("response").textContent = `${first}\n\n${formatted(await response.text())}`;
  } catch (error) {
    field("response").textContent = `No response: ${error.message}`;
  }
}

function openTarget() {
  const target = document.getElementById(window.location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
}

form.hidden = false;
form.addEventListener("submit", send);
window.addEventListener("hashchange", openTarget);
openTarget();
