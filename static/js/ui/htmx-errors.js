// What htmx could not do, in the server's own words.
import { csrfToken, errorFromBody } from "../store/api.js";
import { toast } from "./toasts.js";

/** Show any error that a request ended with: ApiError or other. */
export function showError(error) {
  if (error.code === "signed_out") {
    const action = { text: "Sign in in a new tab", run: () => window.open(document.body.dataset.loginUrl, "_blank", "noopener") };
    return toast("You are signed out.", { level: "error", hint: "Sign in again, then repeat what you did.", action });
  }
  return toast(error.message, { level: "error", hint: error.hint });
}

export function wireHtmxErrors() {
  const body = document.body;
  // The token in the page is old once the person has signed in again elsewhere; the cookie is not.
  body.addEventListener("htmx:configRequest", (event) => {
    const token = csrfToken();
    if (token) event.detail.headers["X-CSRFToken"] = token;
  });
  body.addEventListener("htmx:responseError", (event) => {
    const { xhr } = event.detail;
    showError(errorFromBody(xhr.status, xhr.getResponseHeader("Content-Type") || "", xhr.responseText));
  });
  body.addEventListener("htmx:sendError", () => toast("The server cannot be reached.", { level: "error", hint: "Check the connection and try again." }));
  body.addEventListener("htmx:timeout", () => toast("The server took too long to answer.", { level: "error", hint: "Try again in a moment." }));
  // A fragment must never be a whole login page: follow the redirect as a page instead.
  body.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr } = event.detail;
    const login = body.dataset.loginUrl;
    if (login && xhr.responseURL && new URL(xhr.responseURL).pathname === login && location.pathname !== login) {
      event.detail.shouldSwap = false;
      showError({ code: "signed_out" });
    }
  });
}
