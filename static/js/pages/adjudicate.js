// The adjudication screen: one disagreement at a time, worst first; a reviewer's key settles it.
import { el } from "../dom.js";
import { createKeyboard } from "../keyboard.js";
import { request } from "../store/api.js";
import { mount as mountChoices } from "../tools/classification.js";
import { showCheatSheet } from "../ui/cheat-sheet.js";
import { toast } from "../ui/toasts.js";
import { agreementWords, gather, marksOf, modelWords, wordsOf } from "../workspace/votes.js";

const root = document.getElementById("adjudicate");
const config = JSON.parse(root.dataset.config);
const at = (id) => document.getElementById(id);
const api = (path) => `${config.api}${path}`;
const canvasModule = import(`../canvas/${config.canvas}.js`);
const keyboard = createKeyboard();
const decided = []; // items settled on this page, newest last
const later = new Set(); // items put off on this page
let shown = null;
let panel = null;
let canvas = null;
let named = false;
let busy = false;

wire();
advance();

function wire() {
  at("decide").addEventListener("click", decide);
  at("leave").addEventListener("click", leave);
  at("undo").addEventListener("click", undo);
  at("names").addEventListener("click", toggleNames);
  at("help").addEventListener("click", help);
  at("model").addEventListener("toggle", () => at("model").open && void alone(askModel));
  at("gold-field").hidden = !config.canGold;
  const own = { gold: ["Shift+KeyG"], names: ["Shift+KeyN"] };
  const titles = { submit: "Decide", skip: "Later", undo: "Undo the last decision", help: "Show the keys", gold: "Use as gold", names: "Show who answered" };
  keyboard.push(
    "Disagreement",
    { ...keyboard.pick("submit", "skip", "undo", "help"), ...own },
    { submit: decide, skip: leave, undo, help, gold: toggleGold, names: toggleNames },
    { titles, inDialogs: ["help"] },
  );
}

function help() {
  showCheatSheet(keyboard);
}

function toggleGold() {
  if (!config.canGold) return false;
  at("gold").checked = !at("gold").checked;
  return undefined;
}

function toggleNames() {
  named = !named;
  at("names").setAttribute("aria-pressed", String(named));
  if (shown) showVotes(shown);
}

/** One request at a time: a key that is pressed twice decides once. */
async function alone(work) {
  if (busy) return;
  busy = true;
  enable();
  try {
    await work();
  } catch (error) {
    toast(error.message, { level: "error", hint: error.hint ?? "" });
  } finally {
    busy = false;
    enable();
  }
}

function advance() {
  return alone(fetchNext);
}

async function fetchNext() {
  const { case: next, left } = await request(api("cases/next/"), { method: "POST" });
  at("left").textContent = left === 1 ? "1 disagreement" : `${left} disagreements`;
  if (next && later.delete(next.item.id)) toast("Only what you put off is left.", { level: "info" });
  if (next) await show(next);
  else showMessage("Nothing waits for a decision.", left ? "Other reviewers have the last ones." : "New disagreements show after the next count.");
}

async function show(document_, chosen = []) {
  canvas?.destroy();
  panel?.destroy();
  shown = document_;
  const { mount } = await canvasModule;
  const { item } = shown;
  at("stage").replaceChildren();
  canvas = mount(at("stage"), { item: { ...item, image: item.url && { url: item.url, ...item.meta.image } }, keyboard });
  panel = mountChoices(at("choices"), {
    item: { regions: [{ kind: "choice", classes: chosen }] },
    schema: config.schema,
    keyboard,
    onChange: enable,
  });
  at("gold").checked = false;
  at("model").hidden = at("model").open = false;
  at("model-says").textContent = "";
  at("stage").setAttribute("aria-busy", "false");
  showVotes(shown);
  enable();
}

function showVotes({ answers, ...facts }) {
  const rows = gather(answers).map(({ classes, names, count }) =>
    el("div", { class: "votes__row" }, el("strong", { text: `${count} ×` }), el("span", { dir: "auto", text: wordsOf(classes, config.schema.names) }), named && el("span", { class: "votes__names", text: names.join(", ") })),
  );
  panel.mark(marksOf(answers, { named }));
  at("votes").replaceChildren(...rows, el("p", { class: "votes__agreement", text: agreementWords(facts) }));
}

/** Only who asks is told, so that nobody is led. */
async function askModel() {
  if (!shown) return;
  const { item } = shown;
  let words;
  try {
    words = modelWords(await request(`${config.predictions}?after=${item.row - 1}&limit=1`), item.id, config.schema.names);
  } catch (error) {
    if (error.code !== "no_model") throw error;
    words = error.message;
  }
  if (shown?.item === item) at("model-says").textContent = words;
}

function enable() {
  const ready = Boolean(shown) && !busy;
  at("decide").disabled = !ready || !panel || (!config.schema.multiple && panel.chosen.length !== 1);
  at("leave").disabled = !ready;
  at("undo").disabled = busy || !decided.length;
}

function decide() {
  if (!shown || at("decide").disabled) return false;
  const { item } = shown;
  const body = { item: item.id, classes: panel.chosen, gold: at("gold").checked };
  return void alone(async () => {
    try {
      const made = await request(api("decisions/"), { method: "POST", json: body });
      decided.push({ item: item.id, gold: body.gold, decision: made.id });
    } catch (error) {
      if (error.code !== "already_decided") throw error;
      toast(error.message, { level: "error", hint: "Their decision stands; yours was not stored." });
    }
    await fetchNext();
  });
}

function leave() {
  if (!shown) return false;
  const { item } = shown;
  return void alone(async () => {
    await request(api(`cases/${item.id}/leave/`), { method: "POST" });
    later.add(item.id);
    await fetchNext();
  });
}

/** Take the last decision of this page back and show its item again. */
function undo() {
  const last = decided.at(-1);
  if (!last || busy) return false;
  return void alone(async () => {
    const before = await request(api(`cases/${last.item}/`));
    if (before.decision?.id !== last.decision) {
      decided.pop();
      throw new Error("Somebody else has changed this decision since; it stays.");
    }
    await request(api(`decisions/${last.item}/?decision=${last.decision}`), { method: "DELETE" });
    if (last.gold) await request(api(`gold/${last.item}/`), { method: "DELETE" });
    decided.pop();
    await show(before, before.decision?.classes ?? []);
  });
}

function showMessage(message, hint) {
  canvas?.destroy();
  panel?.destroy();
  canvas = panel = shown = null;
  at("model").hidden = true;
  at("votes").replaceChildren();
  at("stage").setAttribute("aria-busy", "false");
  const again = el("button", { class: "button", type: "button", text: "Look again", on: { click: advance } });
  at("stage").replaceChildren(el("div", { class: "canvas-message", role: "status" }, el("div", {}, el("h2", { text: message }), el("p", { text: hint }), again)));
}
