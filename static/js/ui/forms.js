// Copy buttons, the guard against losing a half-filled form, class colours and 'select all' boxes.
import { all, onLoad } from "../dom.js";
import { toast } from "./toasts.js";

async function copy(button) {
  const source = button.dataset.copyFrom && document.querySelector(button.dataset.copyFrom);
  const text = source ? (source.value ?? source.textContent).trim() : button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied", { level: "success" });
  } catch {
    // The clipboard needs a secure origin: select the text, so that the person can copy it.
    if (source) getSelection().selectAllChildren(source);
    toast("Copying is not allowed here", { level: "warning", hint: "The text is selected: copy it with the keyboard." });
  }
}

export function wireCopy() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (button) copy(button);
  });
}

const state = (form) => JSON.stringify([...new FormData(form)].filter(([name]) => name !== "csrfmiddlewaretoken").map(([name, value]) => [name, value instanceof File ? value.name : value]));

/** form[data-guard]: leaving the page with unsaved changes asks first. */
export function wireGuard() {
  const clean = new WeakMap();
  const leaving = new WeakSet();
  onLoad((root) => all(root, "form[data-guard]").forEach((form) => clean.set(form, state(form))));
  document.addEventListener("submit", (event) => event.defaultPrevented || leaving.add(event.target));
  document.body.addEventListener("htmx:afterRequest", (event) => {
    const form = event.detail.elt;
    if (event.detail.successful && clean.has(form)) clean.set(form, state(form));
  });
  window.addEventListener("beforeunload", (event) => {
    const dirty = [...document.querySelectorAll("form[data-guard]")].some((form) => !leaving.has(form) && clean.has(form) && state(form) !== clean.get(form));
    if (dirty) event.preventDefault();
  });
}

/** [data-color="#rrggbb"] gives --class-color to its element: the one thing a server page may not style inline. */
export function wireColors() {
  onLoad((root) => {
    for (const node of all(root, "[data-color]")) {
      if (/^#[0-9a-f]{6}$/i.test(node.dataset.color)) node.style.setProperty("--class-color", node.dataset.color);
    }
  });
}

/** input[data-check-all="name"] ticks every box of that name in its form or table. */
export function wireCheckAll() {
  document.addEventListener("change", (event) => {
    const master = event.target.closest("input[data-check-all]");
    if (!master) return;
    const scope = master.closest("form, table") ?? document;
    for (const box of scope.querySelectorAll(`input[type=checkbox][name="${CSS.escape(master.dataset.checkAll)}"]`)) {
      if (box.checked === master.checked) continue;
      box.checked = master.checked;
      box.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });
}
