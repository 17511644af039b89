// The outbox of a page: its journal, when to try again, and what people see of it.
import { openJournal } from "./journal.js";
import { Outbox } from "./outbox.js";

/** The outbox of this person in this project; sends again when the connection or the person comes back. */
export async function openOutbox({ userId, projectId }) {
  const outbox = new Outbox({ journal: await openJournal(`outbox-${userId}-${projectId}`) });
  window.addEventListener("online", () => outbox.retry());
  document.addEventListener("visibilitychange", () => document.hidden || outbox.status.unsent === 0 || outbox.retry());
  window.addEventListener("beforeunload", (event) => {
    const { unsent, refused, durable } = outbox.status;
    if (!durable && unsent + refused > 0) event.preventDefault();
  });
  await outbox.restore();
  return outbox;
}

/** Save all that is unsent as a file. */
export function downloadUnsent(outbox) {
  const url = URL.createObjectURL(new Blob([outbox.export()], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `unsaved-work-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

const plural = (n) => `${n} answer${n === 1 ? "" : "s"}`;

/** The words for a status, or "" where all is well: shared by the banner and the bar of the annotate screen. */
export function statusWords({ state, unsent, refused, durable }) {
  const open = durable ? "" : " Keep this page open: this browser cannot store them.";
  if (refused) return `${plural(refused)} refused by the server.${open}`;
  if (state === "signed-out") return `You are signed out. ${plural(unsent)} kept here until you sign in again.${open}`;
  if (state === "offline") return `The server does not answer. ${plural(unsent)} kept here, sent when it is back.${open}`;
  return "";
}

/** Tell in #banner what is not saved and what to do; `onReview(entry)` is called for a refused entry. */
export function showOutboxStatus(outbox, { onReview = null } = {}) {
  const banner = document.getElementById("banner");
  const button = (text, run) => {
    const node = document.createElement("button");
    Object.assign(node, { type: "button", className: "link-button", textContent: text, onclick: run });
    return node;
  };
  const show = () => {
    const status = outbox.status;
    const words = statusWords(status);
    banner.hidden = !words;
    banner.replaceChildren();
    if (!words) return;
    const text = document.createElement("span");
    text.textContent = words;
    banner.append(text);
    if (status.state === "signed-out") {
      const link = document.createElement("a");
      Object.assign(link, { href: document.body.dataset.loginUrl, target: "_blank", rel: "noopener", textContent: "Sign in" });
      banner.append(link);
    }
    const refused = outbox.entries.find((entry) => entry.state === "refused");
    if (refused) {
      const why = document.createElement("span");
      why.textContent = [refused.error?.message, refused.error?.hint].filter(Boolean).join(" ");
      banner.append(why, button("Send again", () => outbox.retry(refused.id)));
      if (onReview) banner.append(button("Look at it", () => onReview(refused)));
      banner.append(button("Discard", () => outbox.discard(refused.id)));
    } else {
      banner.append(button("Try now", () => outbox.retry()));
    }
    banner.append(button("Download my unsaved work", () => downloadUnsent(outbox)));
  };
  outbox.addEventListener("status", show);
  show();
}
