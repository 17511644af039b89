// The annotate screen: one item in hand, the next ones ready behind it, every answer in the outbox before it counts.
import { el } from "../dom.js";
import { createKeyboard } from "../keyboard.js";
import { request } from "../store/api.js";
import { newId } from "../store/ids.js";
import { openOutbox, showOutboxStatus } from "../store/outbox-page.js";
import { Prefetcher, preloadImage, releaseOnLeave } from "../store/prefetch.js";
import { mount as mountChoices } from "../tools/classification.js";
import { showCheatSheet } from "../ui/cheat-sheet.js";
import { toast } from "../ui/toasts.js";
import { Claims } from "../workspace/claims.js";
import { History, Pace, Tab } from "../workspace/session.js";
import { factsOf } from "../workspace/why.js";

const root = document.getElementById("annotate");
const config = JSON.parse(root.dataset.config);
const at = (id) => document.getElementById(id);
const api = (path) => `${config.api}${path}`;
const tab = new Tab(sessionStorage, document.body.dataset.projectId);
const auto = at("auto");
const classNames = new Map(config.schema.classes.map(({ key, name }) => [key, name]));
const AHEAD = 2;
const canvasModule = import(`../canvas/${config.canvas}.js`);

const keyboard = createKeyboard();
const history = new History();
const pace = new Pace();
let outbox;
let claims;
let prefetch;
let panel = null;
let canvas = null;
let shownAt = 0;
let stalled = false; // the server could not be asked for more
const sent = new Map(); // id of an answer or skip that is not acknowledged -> what undo shows again

start();

async function start() {
  const body = document.body.dataset;
  outbox = await openOutbox({ userId: body.userId, projectId: body.projectId });
  showOutboxStatus(outbox, { onReview: review });
  outbox.addEventListener("status", ({ detail }) => {
    showSaved(detail);
    if (detail.state === "idle" && (stalled || claims.unsure)) goOn();
  });
  outbox.addEventListener("acknowledged", ({ detail }) => {
    sent.delete(detail.entry.id);
    showSaved(outbox.status, detail.answer);
  });
  claims = new Claims({ api, tab, outbox, ahead: AHEAD });
  prefetch = new Prefetcher({
    fetchNext: (held) => claims.fetchNext(held),
    preload: (lease) => (lease.item.url ? preloadImage(lease.item.url) : Promise.resolve()),
    heartbeat: (tokens) => claims.heartbeat(tokens),
    release: (tokens) => claims.release(tokens),
    ahead: AHEAD,
    beatEvery: Math.min(60, config.leaseSeconds / 3) * 1000,
  });
  prefetch.addEventListener("error", ({ detail }) => toast(detail.error.message, { level: "error", hint: detail.error.hint }));
  prefetch.addEventListener("lost", () => toast("Items you had opened long ago went back to the queue.", { level: "warning" }));
  releaseOnLeave(prefetch);
  wireControls();
  const recent = request(api("annotations/recent/")).catch(() => []);
  await advance();
  history.load(await recent);
  enable();
}

function wireControls() {
  auto.checked = localStorage.getItem("annotator-auto") !== "off";
  auto.addEventListener("change", () => localStorage.setItem("annotator-auto", auto.checked ? "on" : "off"));
  at("auto").closest("label").hidden = config.schema.multiple;
  at("submit").addEventListener("click", submit);
  at("skip").addEventListener("click", skip);
  at("undo").addEventListener("click", undo);
  at("help").addEventListener("click", () => showCheatSheet(keyboard));
  const titles = { submit: "Submit", skip: "Skip", undo: "Undo the last answer or skip", help: "Show the keys", accept: "Take the suggestion and submit" };
  keyboard.push(
    "Item",
    keyboard.pick("submit", "accept", "skip", "undo", "help"),
    { submit, accept, skip, undo, help: () => showCheatSheet(keyboard) },
    { titles, inDialogs: ["help"] },
  );
  for (const event of ["live:ranking", "live:poll"]) document.body.addEventListener(event, goOn);
}

/** Look for an item where none is shown. */
function goOn() {
  if (prefetch && !prefetch.current) advance();
}

let advancing = null;
/** Show the next item, or why there is none. Whoever asks while that is under way waits for the same one. */
function advance() {
  advancing ??= goToNext().finally(() => (advancing = null));
  return advancing;
}

async function goToNext() {
  let lease;
  stalled = false;
  try {
    lease = await prefetch.next();
  } catch (error) {
    stalled = true;
    return showMessage(error.message, error.hint, { text: "Try again", run: advance });
  }
  if (lease) await show(lease);
  else showNothing();
}

async function show(lease, regions = lease.draft) {
  stalled = false;
  tab.remember(lease.item.id);
  const follow = keyboard.walking && at("choices").contains(document.activeElement);
  canvas?.destroy();
  panel?.destroy();
  const { mount } = await canvasModule;
  const { item } = lease;
  at("stage").replaceChildren();
  canvas = mount(at("stage"), { item: { ...item, image: item.url && { url: item.url } }, keyboard });
  panel = mountChoices(at("choices"), {
    item: { regions, suggestion: config.showSuggestions ? lease.suggestion : null },
    schema: config.schema,
    keyboard,
    onChange: onChoice,
    onPick: () => auto.checked && submit(),
  });
  at("stage").setAttribute("aria-busy", "false");
  showWhy(lease.why);
  enable();
  if (follow) panel.focus();
  shownAt = performance.now();
}

let draftTimer;
function onChoice(regions) {
  enable();
  const lease = prefetch.current;
  clearTimeout(draftTimer);
  if (config.schema.multiple || !auto.checked) {
    draftTimer = setTimeout(() => request(api(`drafts/${lease.item.id}/`), { method: "PUT", json: { regions } }).catch(() => {}), 800);
  }
}

function enable() {
  const ready = Boolean(prefetch.current);
  at("submit").disabled = !ready || (!config.schema.multiple && panel.chosen.length !== 1);
  at("skip").disabled = !ready;
  at("undo").disabled = !history.size;
}

function accept() {
  if (!prefetch.current || !panel) return false;
  if (!panel.chosen.length && panel.suggested.length && config.showSuggestions) panel.set(panel.suggested);
  return submit();
}

// Annotators do not see the names that items were imported under.
const nameOf = ({ item }) => item.external_id || `item ${item.row}`;

function submit() {
  const lease = prefetch.current;
  if (!lease || at("submit").disabled && !panel.chosen.length && !config.schema.multiple) return false;
  clearTimeout(draftTimer);
  const id = newId();
  const seconds = (performance.now() - shownAt) / 1000;
  const body = { item: lease.item.id, schema_version: config.schema.version, regions: panel.regions, seconds };
  outbox.add({ id, url: api("annotations/"), body, label: nameOf(lease) });
  history.add({ kind: "annotation", id, item_id: lease.item.id });
  sent.set(id, { lease, regions: panel.regions });
  claims.answered(lease);
  pace.add(seconds);
  at("session").textContent = pace.words();
  return void advance();
}

function skip() {
  const lease = prefetch.current;
  if (!lease) return false;
  const id = newId();
  outbox.add({ id, url: api("skips/"), body: { item: lease.item.id }, label: nameOf(lease) });
  history.add({ kind: "skip", id, item_id: lease.item.id });
  sent.set(id, { lease, regions: panel.regions });
  claims.answered(lease);
  return void advance();
}

/** Bring the last answer or skip back: from the outbox when it has not left, else from the server. */
async function undo() {
  const last = history.pop();
  if (!last) return false;
  at("undo").disabled = true;
  await advancing;
  try {
    const known = sent.get(last.id);
    const { lease, regions } = known && (await outbox.withdraw(last.id)) ? known : await claims.takeBack(last);
    sent.delete(last.id);
    claims.undone(lease);
    prefetch.putBack(lease);
    await show(lease, regions);
  } catch (error) {
    history.add(last);
    toast(error.message, { level: "error", hint: error.hint ?? "" });
    enable();
  }
  return undefined;
}

function review(entry) {
  toast(`Answer to ${entry.label}: ${entry.error?.message ?? "refused"}`, { level: "warning", hint: entry.error?.hint ?? "" });
}

function showWhy(why) {
  at("why").hidden = !why;
  if (!why) return;
  at("why-headline").textContent = why.headline;
  at("why-facts").replaceChildren(...factsOf(why, classNames).flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { text: value })]));
}

function showSaved({ state, unsent }, answer = null) {
  const node = at("save-state");
  node.className = `save-state save-state--${state}`;
  if (unsent) node.textContent = `${unsent} unsent`;
  else if (answer?.revision) node.textContent = `Saved, revision ${answer.revision}`;
}

function showNothing() {
  const nothing = claims.nothing ?? { message: "There is nothing to label now.", hint: "", later: true };
  showMessage(nothing.message, nothing.hint, nothing.later ? { text: "Look again", run: advance } : null);
}

function showMessage(message, hint = "", action = null) {
  canvas?.destroy();
  panel?.destroy();
  canvas = panel = null;
  at("why").hidden = true;
  at("submit").disabled = at("skip").disabled = true;
  at("undo").disabled = !history.size;
  const button = action && el("button", { class: "button", type: "button", text: action.text, on: { click: action.run } });
  at("stage").setAttribute("aria-busy", "false");
  at("stage").replaceChildren(el("div", { class: "canvas-message", role: "status" }, el("div", {}, el("h2", { text: message }), hint && el("p", { text: hint }), button)));
}
