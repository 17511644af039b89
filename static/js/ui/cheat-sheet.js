// The list of keys that work now, as a dialog.
import { el, icon } from "../dom.js";

const row = ({ title, chords }) =>
  el("div", { class: "keys__row" }, el("span", { text: title }), el("span", { class: "keys__chords" }, ...chords.map((keys) => el("span", {}, ...keys.map((key) => el("kbd", { text: key }))))));

/** Show `keyboard.sheet()` in a dialog; a second call while it is open closes it. */
export function showCheatSheet(keyboard) {
  const old = document.getElementById("cheat-sheet");
  if (old) return old.close();
  const groups = keyboard.sheet().filter(({ rows }) => rows.length);
  const close = el("button", { class: "button button--ghost button--icon", type: "button", "aria-label": "Close", "data-close-dialog": true }, icon("close"));
  const dialog = el(
    "dialog",
    { class: "dialog dialog--wide", id: "cheat-sheet", "aria-labelledby": "cheat-sheet-title", on: { close: () => dialog.remove() } },
    el("div", { class: "dialog__header" }, el("h2", { id: "cheat-sheet-title", text: "Keyboard" }), close),
    el("div", { class: "dialog__body keys" }, ...groups.map(({ scope, rows }) => el("section", {}, el("h3", { text: scope }), ...rows.map(row)))),
  );
  document.body.append(dialog);
  dialog.showModal();
}
