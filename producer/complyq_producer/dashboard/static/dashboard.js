// Keeps the page up to date: pieces of HTML come as server-sent events, and only what differs in them is changed, so
// that focus, selection and what a screen reader is at stay where they are. Without this file the page is as it was loaded.
"use strict";

const live = document.getElementById("live");
const words = document.getElementById("live-words");
const SILENT_MS = 30_000;
let spoken = Date.now();

/** Say how fresh the page is. */
function tell(state, text) {
  if (live.dataset.state !== state) {
    live.dataset.state = state;
    words.textContent = text;
  }
}

/** Make one element's children those of another, changing as little as can be. */
function patch(from, to) {
  const now = [...from.childNodes];
  const next = [...to.childNodes];
  next.forEach((node, index) => {
    const old = now[index];
    if (!old) from.append(node);
    else if (old.nodeType !== node.nodeType || old.nodeName !== node.nodeName) old.replaceWith(node);
    else if (node.nodeType === Node.ELEMENT_NODE) patchElement(old, node);
    else if (old.data !== node.data) old.data = node.data;
  });
  now.slice(next.length).forEach((node) => node.remove());
}

function patchElement(old, node) {
  if (old.isEqualNode(node)) return;
  for (const { name } of [...old.attributes]) if (!node.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of [...node.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  patch(old, node);
}

/** Write times in the reader's time zone; the server wrote them in UTC. */
function localise(root) {
  const today = new Date().toDateString();
  const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const day = { year: "numeric", month: "short", day: "numeric" };
  for (const element of root.querySelectorAll("time")) {
    const moment = new Date(element.dateTime);
    const isToday = moment.toDateString() === today;
    const short = "short" in element.dataset && isToday;
    element.textContent = moment.toLocaleString(undefined, short ? clock : { ...day, ...clock });
  }
  for (const element of root.querySelectorAll("[data-moment]")) {
    const moment = new Date(element.dataset.moment);
    const isDay = moment.getHours() + moment.getMinutes() + moment.getSeconds() === 0;
    const form = isDay ? { month: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    if (moment.getSeconds()) form.second = "2-digit";
    element.textContent = moment.toLocaleString(undefined, form);
  }
}

function show(pieces) {
  for (const [name, html] of Object.entries(pieces)) {
    const target = document.querySelector(`[data-piece="${CSS.escape(name)}"]`);
    if (!target) continue;
    const parsed = new DOMParser().parseFromString(html, "text/html").body; // runs no script
    localise(parsed);
    patch(target, parsed);
  }
}

function follow() {
  const source = new EventSource(live.dataset.stream);
  source.addEventListener("fragments", (event) => {
    const pieces = JSON.parse(event.data);
    if (Object.keys(pieces).length === 0) return; // nothing could be read: else at least the time is another one
    spoken = Date.now();
    tell("live", "live, as of");
    show(pieces);
  });
  source.addEventListener("error", () => {
    tell("lost", "connection lost, as of");
    // Refused, not lost: the page that the server gives now says why, for example by asking for the token.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 15_000);
  });
  setInterval(() => Date.now() - spoken > SILENT_MS && tell("lost", "silent, as of"), 5_000);
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}

localise(document);
if (live) follow();
