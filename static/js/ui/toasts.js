// Short messages in the corner. Errors stay until dismissed; the rest leave after a while, not while pointed at.
import { all, el, icon, onLoad } from "../dom.js";

const STAY = 6000;
const MOST = 5;

function arm(toast) {
  toast.querySelector("[data-dismiss]")?.addEventListener("click", () => toast.remove());
  if (toast.classList.contains("toast--error")) return;
  let timer;
  const start = () => (timer = setTimeout(() => toast.remove(), STAY));
  const hold = () => clearTimeout(timer);
  for (const type of ["pointerenter", "focusin"]) toast.addEventListener(type, hold);
  for (const type of ["pointerleave", "focusout"]) toast.addEventListener(type, start);
  start();
}

/** Show a message: `level` is info, success, warning or error; `hint` says what to do; `action` is {text, run}. */
export function toast(text, { level = "info", hint = "", action = null } = {}) {
  const box = document.getElementById("toasts");
  const same = [...box.children].find((child) => child.dataset.key === `${level}:${text}`);
  same?.remove();
  const body = el("div", { class: "toast__body" }, el("div", { class: "toast__title", text }));
  if (hint) body.append(el("div", { class: "toast__hint", text: hint }));
  const node = el("div", { class: `toast toast--${level}`, "data-key": `${level}:${text}`, role: level === "error" ? "alert" : false }, body);
  if (action) {
    const run = () => {
      node.remove();
      action.run();
    };
    body.append(el("button", { class: "link-button", type: "button", text: action.text, on: { click: run } }));
  }
  const close = el("button", { class: "button button--ghost button--icon button--small", type: "button", "aria-label": "Dismiss", "data-dismiss": true }, icon("close"));
  node.append(close);
  box.append(node);
  arm(node);
  while (box.children.length > MOST) box.firstElementChild.remove();
  return node;
}

/** Adopt the server's messages and the HX-Trigger event "toast": {"toast": {"text": ..., "level": ...}}. */
export function wireToasts() {
  onLoad((root) => all(root, "[data-toast]").forEach(arm));
  document.body.addEventListener("toast", (event) => toast(event.detail.text, event.detail));
}
