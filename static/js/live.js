// Live events: tiny JSON from a socket, fired again as DOM events on the body ("live:job", "live:job:17").
// Where the socket cannot connect, "live:poll" is fired every few seconds, so that pages stay current.

const FIRST = 500;
const LONGEST = 30000;
const POLL = 4000;
const REFUSED = new Set([4401, 4403, 4404]);

/**
 * Where the project's socket is. `url` is a proxy's address ("wss://host/ws/"); without it, `port` on this host, and
 * on an https page, which a proxy serves anyway, this site itself.
 */
export function socketAddress({ url = "", port = "", projectId }, location) {
  const here = port && location.protocol === "http:" ? `http://${location.hostname}:${port}` : `${location.protocol}//${location.host}`;
  const base = url ? new URL(url, location.href).href : here;
  return `${base.replace(/^http/, "ws").replace(/\/+$/, "").replace(/\/ws$/, "")}/ws/projects/${projectId}/`;
}

/** Milliseconds before try number `n` (from 0): doubling, capped, with full jitter in its upper half. */
export function backoff(n, random = Math.random) {
  const ceiling = Math.min(LONGEST, FIRST * 2 ** n);
  return ceiling / 2 + (random() * ceiling) / 2;
}

/**
 * Keep a socket to `url` open and hand each event to `fire(name, detail)`.
 * While it is down, `fire("live:poll")` comes every few seconds; hidden pages neither poll nor reconnect.
 */
export function connect(url, { fire, WebSocket = globalThis.WebSocket, page = globalThis.document, timers = globalThis, random = Math.random } = {}) {
  let socket = null;
  let tries = 0;
  let retry = null;
  let polling = null;
  let stopped = false;
  let wasOpen = false;

  function receive(text) {
    let event;
    try {
      event = JSON.parse(text);
    } catch {
      return;
    }
    if (typeof event?.type !== "string") return;
    fire(`live:${event.type}`, event);
    if (event.id !== undefined) fire(`live:${event.type}:${event.id}`, event);
  }

  function poll(on) {
    if (on && polling === null) polling = timers.setInterval(() => page.hidden || fire("live:poll", {}), POLL);
    if (!on && polling !== null) {
      timers.clearInterval(polling);
      polling = null;
    }
  }

  function open() {
    retry = null;
    if (stopped || socket || page.hidden) return;
    socket = new WebSocket(url);
    socket.onopen = () => {
      poll(false);
      fire("live:open", {});
      // Events sent while the socket was down are lost: let the page look once.
      if (wasOpen || tries > 0) fire("live:poll", {});
      wasOpen = true;
      tries = 0;
    };
    socket.onmessage = (message) => receive(message.data);
    socket.onclose = (closing) => {
      socket = null;
      if (stopped) return;
      fire("live:closed", { code: closing.code });
      if (REFUSED.has(closing.code)) return stop();
      poll(true);
      if (!page.hidden) retry = timers.setTimeout(open, backoff(tries++, random));
    };
  }

  function visible() {
    if (page.hidden || stopped) return;
    if (!socket) {
      if (retry !== null) timers.clearTimeout(retry);
      fire("live:poll", {});
      open();
    }
  }

  function stop() {
    stopped = true;
    poll(false);
    if (retry !== null) timers.clearTimeout(retry);
    page.removeEventListener("visibilitychange", visible);
    socket?.close();
    socket = null;
  }

  page.addEventListener("visibilitychange", visible);
  open();
  return { stop, get connected() { return socket?.readyState === 1; } };
}

/** Connect this page, where it belongs to a project. */
export function wireLive() {
  const { socketUrl: url, socketPort: port, projectId, userId } = document.body.dataset;
  if (!projectId || !userId) return null;
  const fire = (name, detail) => document.body.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));
  return connect(socketAddress({ url, port, projectId }, location), { fire });
}
