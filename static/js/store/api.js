// fetch with the house's manners: CSRF, a time limit, typed errors read from problem+json.

/** `code` and `message` are the server's; status 0 means that no answer came (`offline`, `timeout`). */
export class ApiError extends Error {
  constructor(message, { status = 0, code = "error", hint = "", problem = null } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.hint = hint;
    this.problem = problem;
  }

  /** Whether the same request may succeed later without anybody doing anything. */
  get transient() {
    if (this.status === 501 || this.status === 507) return false; // not built in; the disk is full
    return this.code === "unexpected" || this.status === 0 || this.status === 408 || this.status === 425 || this.status === 429 || this.status >= 500;
  }
}

const WORDS = {
  401: ["You are signed out.", "signed_out"],
  403: ["You may not do this.", "forbidden"],
  404: ["There is nothing here.", "not_found"],
  409: ["Somebody else changed this meanwhile.", "conflict"],
  413: ["This is too large.", "too_large"],
  429: ["Too many requests; wait a moment.", "throttled"],
};

/** The error that a response means; the body is used only where it is a problem document. */
export function errorFromBody(status, contentType, body) {
  const [message, code] = WORDS[status] ?? [status >= 500 ? "Something went wrong on the server." : "The request was refused.", "error"];
  if (contentType.includes("json")) {
    try {
      const problem = JSON.parse(body);
      const known = status === 401 ? "signed_out" : (problem.code ?? code);
      return new ApiError(problem.title ?? message, { status, code: known, hint: problem.detail ?? "", problem });
    } catch {
      // Not JSON after all: the general words do.
    }
  }
  return new ApiError(message, { status, code });
}

/** The CSRF token: from the cookie, which stays right after a new sign-in, else from the page. */
export function csrfToken(doc = globalThis.document) {
  if (!doc) return "";
  const cookie = /(?:^|;\s*)csrftoken=([^;]+)/.exec(doc.cookie ?? "");
  if (cookie) return decodeURIComponent(cookie[1]);
  try {
    return JSON.parse(doc.body?.getAttribute("hx-headers") ?? "{}")["X-CSRFToken"] ?? "";
  } catch {
    return "";
  }
}

/**
 * Send a request and return the parsed JSON (null where there is none).
 * `json` is the body, or `body` as it is; `idempotencyKey` makes a repeat harmless; `keepalive` lets it outlive the page.
 */
export async function request(url, { method = "GET", json, body: raw, idempotencyKey, timeout = 20000, keepalive = false, signal, headers = {}, fetch = globalThis.fetch, token = csrfToken } = {}) {
  const clock = AbortSignal.timeout(timeout);
  const options = {
    method,
    keepalive,
    credentials: "same-origin",
    redirect: "manual",
    signal: signal ? AbortSignal.any([clock, signal]) : clock,
    headers: { Accept: "application/json", ...headers },
  };
  if (method !== "GET" && method !== "HEAD") options.headers["X-CSRFToken"] = token();
  if (idempotencyKey) options.headers["Idempotency-Key"] = idempotencyKey;
  if (json !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(json);
  } else if (raw !== undefined) {
    options.body = raw;
  }
  let response;
  let body;
  try {
    response = await fetch(url, options);
    body = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    if (error.name === "TimeoutError" || clock.aborted) throw new ApiError("The server took too long to answer.", { code: "timeout" });
    throw new ApiError("The server cannot be reached.", { code: "offline", hint: "Check the connection." });
  }
  // Only the way to the login page redirects an API call.
  if (response.type === "opaqueredirect" || (response.status >= 300 && response.status < 400)) {
    throw new ApiError(WORDS[401][0], { status: 401, code: "signed_out" });
  }
  const type = response.headers.get("Content-Type") ?? "";
  if (!response.ok) throw errorFromBody(response.status, type, body);
  if (!body) return null;
  try {
    return JSON.parse(body);
  } catch {
    // Not our server: a proxy's or a hotel's page.
    throw new ApiError("The server's answer was not understood.", { status: response.status, code: "unexpected" });
  }
}

export const get = (url, options) => request(url, options);
export const post = (url, json, options) => request(url, { ...options, method: "POST", json });
