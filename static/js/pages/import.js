// The upload page: files can be dropped, limits are told before anything is sent, progress is shown while it is.
import { csrfToken, errorFromBody } from "../store/api.js";

/** What is wrong with these files before they are sent, in words; empty when nothing is. */
export function problem(files, { maxBytes, maxFiles }) {
  if (files.length === 0) return "Choose at least one file.";
  if (files.length > maxFiles) return `Choose at most ${maxFiles.toLocaleString("en")} files at a time.`;
  const total = [...files].reduce((sum, file) => sum + file.size, 0);
  if (total > maxBytes) return `These files have ${Math.ceil(total / 2 ** 20).toLocaleString("en")} MiB; ${Math.floor(maxBytes / 2 ** 20).toLocaleString("en")} MiB are allowed.`;
  return "";
}

function say(form, text) {
  const error = form.querySelector("[data-upload-error]");
  error.textContent = text;
  error.hidden = !text;
}

function send(form) {
  const bar = form.querySelector("progress");
  const button = form.querySelector("button[type=submit]");
  const request = new XMLHttpRequest(); // fetch tells nothing about what was sent
  const done = () => {
    bar.hidden = true;
    button.disabled = false;
  };
  request.open("POST", form.action || location.href);
  request.setRequestHeader("Accept", "text/html");
  request.setRequestHeader("X-CSRFToken", csrfToken());
  request.upload.onprogress = (event) => event.lengthComputable && (bar.value = event.loaded / event.total);
  request.upload.onload = () => bar.removeAttribute("value"); // unknown: the server looks into the files
  request.onerror = () => {
    done();
    say(form, "The server cannot be reached. Check the connection and try again.");
  };
  request.onload = () => {
    if (request.status < 300 && request.responseURL && request.responseURL !== location.href) return location.assign(request.responseURL);
    done();
    const page = new DOMParser().parseFromString(request.responseText, "text/html");
    const told = page.querySelector("[data-upload-error]")?.textContent.trim();
    say(form, told || errorFromBody(request.status, request.getResponseHeader("Content-Type") ?? "", request.responseText).message);
  };
  say(form, "");
  bar.value = 0;
  bar.hidden = false;
  button.disabled = true;
  request.send(new FormData(form));
}

export function wireUpload(form) {
  const input = form.querySelector("input[type=file]");
  const zone = form.querySelector("[data-drop]");
  const limits = { maxBytes: Number(form.dataset.maxBytes), maxFiles: Number(form.dataset.maxFiles) };
  const check = () => {
    const wrong = problem(input.files, limits);
    say(form, wrong);
    return !wrong;
  };
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    check();
  });
  input.addEventListener("change", check);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (check()) send(form);
  });
}

if (globalThis.document) document.querySelectorAll("form[data-upload]").forEach(wireUpload);
