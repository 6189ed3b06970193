// Sends a request as it is written into the form of /api/docs, and shows the answer. Links to a
// schema unfold it.
"use strict";

const form = document.getElementById("api-try");
const field = (name) => document.getElementById(`api-${name}`);

function headers() {
  const found = {};
  if (field("token").value) found["Authorization"] = `Bearer ${field("token").value}`;
  if (field("body").value) found["Content-Type"] = "application/json";
  return found;
}

function shown(text) {
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
    field("answer").textContent = "Only this server can be asked from here.";
    return;
  }
  const body = method === "GET" ? undefined : field("body").value || undefined;
  try {
    const response = await fetch(address, { method, headers: headers(), body });
    const tag = response.headers.get("ETag");
    const first = `${response.status} ${response.statusText}${tag ? `\nETag: ${tag}` : ""}`;
    field("answer").textContent = `${first}\n\n${shown(await response.text())}`;
  } catch (error) {
    field("answer").textContent = `No answer: ${error.message}`;
  }
}

function unfold() {
  const target = document.getElementById(window.location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
}

form.hidden = false;
form.addEventListener("submit", send);
window.addEventListener("hashchange", unfold);
unfold();
