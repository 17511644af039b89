import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ApiError, csrfToken, errorFromBody, get, post, request } from "../../static/js/store/api.js";
import { answer } from "./fakes.js";

function serving(response) {
  const calls = [];
  const fetch = async (url, options) => {
    calls.push({ url, ...options });
    if (response instanceof Error) throw response;
    return response;
  };
  return { calls, options: { fetch, token: () => "secret" } };
}

async function errorOf(response) {
  return request("/x", serving(response).options).then(() => assert.fail("no error"), (error) => error);
}

describe("requests", () => {
  test("a post carries JSON, the token and the key that makes a repeat harmless", async () => {
    const { calls, options } = serving(answer(201, { ok: true }));
    assert.deepEqual(await post("/x", { a: 1 }, { ...options, idempotencyKey: "id-1" }), { ok: true });
    const [{ method, body, headers, credentials }] = calls;
    assert.deepEqual([method, body, credentials], ["POST", '{"a":1}', "same-origin"]);
    assert.deepEqual([headers["X-CSRFToken"], headers["Idempotency-Key"], headers["Content-Type"]], ["secret", "id-1", "application/json"]);
  });

  test("reading does not spread the token", async () => {
    const { calls, options } = serving(answer(200, []));
    await get("/x", options);
    assert.equal(calls[0].headers["X-CSRFToken"], undefined);
  });

  test("no content is null", async () => assert.equal(await post("/x", {}, serving(answer(204)).options), null));
});

describe("errors", () => {
  test("a problem document's words, code and hint are kept", async () => {
    const error = await errorOf(answer(409, { title: "This job has already ended.", code: "job_ended", detail: "Look at its result." }, "application/problem+json"));
    assert.ok(error instanceof ApiError);
    assert.deepEqual([error.status, error.code, error.message, error.hint, error.transient], [409, "job_ended", "This job has already ended.", "Look at its result.", false]);
  });

  test("a page instead of a document gets general words, never its HTML", async () => {
    const error = await errorOf(answer(500, "<h1>Traceback</h1>", "text/html"));
    assert.equal(error.message, "Something went wrong on the server.");
    assert.ok(error.transient);
  });

  test("a full disk is not tried again for ever", () => {
    assert.equal(errorFromBody(507, "text/html", "").transient, false);
    assert.equal(errorFromBody(503, "text/html", "").transient, true);
  });

  test("broken JSON in an error is survived", () => {
    assert.equal(errorFromBody(403, "application/json", "{").code, "forbidden");
  });

  for (const [name, response] of [["401", answer(401, { code: "not_authenticated", title: "x" })], ["a redirect to the login page", Response.redirect("http://x/login", 302)], ["an opaque redirect", { type: "opaqueredirect", status: 0, text: async () => "" }]]) {
    test(`${name} means signed out`, async () => {
      const error = await errorOf(response);
      assert.deepEqual([error.status, error.code, error.transient], [401, "signed_out", false]);
    });
  }

  test("no connection is told apart from a server that is too slow", async () => {
    assert.equal((await errorOf(new TypeError("Failed to fetch"))).code, "offline");
    assert.equal((await errorOf(new DOMException("late", "TimeoutError"))).code, "timeout");
  });

  test("the time limit really ends a request", async () => {
    const fetch = (_, { signal }) => new Promise((resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    // AbortSignal's own timer does not keep Node alive.
    const alive = setInterval(() => {}, 1000);
    await assert.rejects(get("/x", { fetch, timeout: 5 }), { code: "timeout" });
    clearInterval(alive);
  });

  test("an abort by the caller stays an abort", async () => {
    const controller = new AbortController();
    const fetch = (_, { signal }) => new Promise((resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const waiting = get("/x", { fetch, signal: controller.signal });
    controller.abort();
    await assert.rejects(waiting, { name: "AbortError" });
  });

  test("a stranger's page with status 200 may pass, so it is worth another try", async () => {
    const error = await errorOf(answer(200, "<html>Log in to the hotel</html>", "text/html"));
    assert.deepEqual([error.code, error.transient], ["unexpected", true]);
  });
});

describe("the CSRF token", () => {
  const page = (cookie, headers) => ({ cookie, body: { getAttribute: () => headers } });

  test("comes from the cookie, which is right after a new sign-in", () => {
    assert.equal(csrfToken(page("a=1; csrftoken=new", '{"X-CSRFToken": "old"}')), "new");
  });

  test("comes from the page where scripts may not read the cookie", () => {
    assert.equal(csrfToken(page("", '{"X-CSRFToken": "page"}')), "page");
  });

  test("is empty where there is none", () => {
    assert.equal(csrfToken(page("", null)), "");
    assert.equal(csrfToken(page("", "{")), "");
  });
});
