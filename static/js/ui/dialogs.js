// One confirm dialog for the page; other dialogs open and close by attributes.

let answering = null;

function parts() {
  const dialog = document.getElementById("confirm-dialog");
  const find = (selector) => dialog.querySelector(selector);
  return {
    dialog,
    title: find("#confirm-title"),
    text: find("#confirm-text"),
    ok: find("[data-confirm-ok]"),
    field: find("[data-confirm-field]"),
    expected: find("[data-confirm-expected]"),
    input: find("[data-confirm-input]"),
  };
}

/** Ask; resolves to true or false. With `word`, the person has to type it. */
export function confirmDialog({ text, title = "Are you sure?", action = "OK", danger = false, word = "" }) {
  answering?.(false);
  const { dialog, ...ui } = parts();
  ui.title.textContent = title;
  ui.text.textContent = text;
  ui.ok.textContent = action;
  ui.ok.className = danger ? "button button--danger-solid" : "button button--primary";
  ui.field.hidden = !word;
  ui.expected.textContent = word;
  ui.input.value = "";
  const check = () => (ui.ok.disabled = Boolean(word) && ui.input.value.trim() !== word);
  ui.input.oninput = check;
  check();
  dialog.returnValue = "cancel";
  dialog.showModal();
  (word ? ui.input : danger ? dialog.querySelector("[data-close-dialog]") : ui.ok).focus();
  return new Promise((resolve) => {
    const answer = (value) => {
      answering = null;
      dialog.removeEventListener("close", closed);
      resolve(value);
    };
    const closed = () => answer(dialog.returnValue === "ok");
    answering = answer;
    dialog.addEventListener("close", closed);
  });
}

function question(element, text) {
  const data = element.dataset;
  return {
    text: text || data.confirm,
    title: data.confirmTitle,
    action: data.confirmAction || element.textContent.trim() || undefined,
    danger: "confirmDanger" in data,
    word: data.confirmWord,
  };
}

const speaksHtmx = (element) => ["get", "post", "put", "patch", "delete"].some((verb) => element.hasAttribute(`hx-${verb}`));

export function wireDialogs() {
  const granted = new WeakSet();

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    const asker = event.submitter?.dataset.confirm ? event.submitter : form.dataset.confirm ? form : null;
    if (!asker || speaksHtmx(form) || granted.delete(form)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const submitter = event.submitter;
    const words = question(asker);
    if (asker === form) words.action = form.dataset.confirmAction || submitter?.textContent.trim();
    if (!(await confirmDialog(words))) return;
    granted.add(form);
    form.requestSubmit(submitter);
    granted.delete(form);
  }, true);

  document.body.addEventListener("htmx:confirm", async (event) => {
    const { elt, question: asked, issueRequest } = event.detail;
    const submitter = event.detail.triggeringEvent?.submitter;
    const asker = submitter?.dataset.confirm ? submitter : elt;
    if (!asked && !asker.dataset.confirm) return;
    event.preventDefault();
    if (await confirmDialog(question(asker, asked))) issueRequest(true);
  });

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-dialog]");
    if (opener) document.getElementById(opener.dataset.dialog)?.showModal();
    const closer = event.target.closest("[data-close-dialog]");
    if (closer) closer.closest("dialog")?.close();
    // A click on the backdrop has the dialog itself as its target, outside of its box.
    if (event.target instanceof HTMLDialogElement && event.target.id !== "confirm-dialog") {
      const box = event.target.getBoundingClientRect();
      const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
      if (!inside) event.target.close();
    }
  });
}
