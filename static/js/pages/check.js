// The self-check: tries from this browser what every page needs, and lets the server say what follows from it.
import { socketAddress } from "../live.js";

const PATIENCE = 5000;
const APPLICATION_CLOSED = 4000; // codes from here on are the application's own: it was reached

/** "open" when the socket server answers at `url`, "failed" when not. No project has the number 0: it closes at once. */
export function trySocket(url, { WebSocket = globalThis.WebSocket, timers = globalThis } = {}) {
  return new Promise((resolve) => {
    let socket;
    const end = (state) => {
      timers.clearTimeout(limit);
      socket?.close();
      resolve(state);
    };
    const limit = timers.setTimeout(() => end("failed"), PATIENCE);
    try {
      socket = new WebSocket(url);
    } catch {
      end("failed");
      return;
    }
    socket.onopen = () => end("open");
    socket.onerror = () => end("failed");
    socket.onclose = (closing) => end(closing.code >= APPLICATION_CLOSED ? "open" : "failed");
  });
}

/** "accepted", "refused" (the cross-site check), or "failed" when there was no answer. */
export async function tryForm(url, token, { fetch = globalThis.fetch } = {}) {
  try {
    const answer = await fetch(url, { method: "POST", headers: { "X-CSRFToken": token }, credentials: "same-origin" });
    if (answer.ok) return "accepted";
    return answer.status === 403 ? "refused" : "failed";
  } catch {
    return "failed";
  }
}

async function start(root) {
  const { url, formUrl, csrf } = root.dataset;
  const { socketUrl, socketPort } = document.body.dataset;
  const address = socketAddress({ url: socketUrl, port: socketPort, projectId: 0 }, location);
  const [socket, form] = await Promise.all([trySocket(address), tryForm(formUrl, csrf)]);
  const said = new URLSearchParams({ origin: location.origin, now: String(Date.now() / 1000), socket, form });
  try {
    await globalThis.htmx.ajax("GET", `${url}?${said}`, { target: root, swap: "innerHTML" });
  } finally {
    root.setAttribute("aria-busy", "false");
  }
}

const root = globalThis.document?.getElementById("check-browser");
if (root) start(root);
