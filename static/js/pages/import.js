// The import pages: files and folders are chosen or dropped, sent in pieces, and a changed mapping asks for another check.
import { csrfToken, errorFromBody } from "../store/api.js";
import { browserMemory, Upload } from "../store/upload.js";
import { chosenFiles, droppedFiles, sorted } from "../ui/dropped.js";

const megabytes = (bytes, round) => round(bytes / 2 ** 20).toLocaleString("en");

/** What is wrong with these files [{name, file}] before they are sent, in words; empty when nothing is. */
export function problem(files, { maxBytes, maxFiles, maxFileBytes = maxBytes, pictures = [] }) {
  if (files.length === 0) return "Choose at least one file.";
  if (files.length > maxFiles) return `Choose at most ${maxFiles.toLocaleString("en")} files at a time.`;
  const isPicture = ({ name }) => pictures.some((ending) => name.toLowerCase().endsWith(ending));
  const large = files.find((each) => each.file.size > maxFileBytes && isPicture(each));
  if (large) return `“${large.name}” has ${megabytes(large.file.size, Math.ceil)} MiB; an image may have ${megabytes(maxFileBytes, Math.floor)} MiB.`;
  const total = files.reduce((sum, { file }) => sum + file.size, 0);
  if (total > maxBytes) return `These files have ${megabytes(total, Math.ceil)} MiB; ${megabytes(maxBytes, Math.floor)} MiB are allowed.`;
  return "";
}

function size(bytes) {
  const [unit, name] = bytes < 2 ** 20 ? [2 ** 10, "KiB"] : [2 ** 20, "MiB"];
  return `${(bytes / unit).toLocaleString("en", { maximumFractionDigits: 1 })} ${name}`;
}

/** What was chosen, in a sentence. */
export function summary(files, others) {
  const bytes = files.reduce((sum, { file }) => sum + file.size, 0);
  const folders = new Set(files.map(({ name }) => name.slice(0, name.lastIndexOf("/") + 1))).size;
  const what = files.length === 1 ? files[0].name : `${files.length.toLocaleString("en")} files${folders > 1 ? ` in ${folders.toLocaleString("en")} folders` : ""}`;
  const left = others ? `; ${others.toLocaleString("en")} of other kinds are left out` : "";
  return `${what}, ${size(bytes)}${left}`;
}

export function wireUpload(form) {
  const part = (name) => form.querySelector(`[data-${name}]`);
  const [zone, error, told, stop] = ["drop", "upload-error", "chosen", "stop"].map(part);
  const bar = form.querySelector("progress");
  const button = form.querySelector("button[type=submit]");
  const inputs = [...form.querySelectorAll("input[type=file]")];
  const limits = { maxBytes: Number(form.dataset.maxBytes), maxFiles: Number(form.dataset.maxFiles), maxFileBytes: Number(form.dataset.maxFileBytes), pictures: form.dataset.pictures.split(" ").filter(Boolean) };
  const endings = form.dataset.endings.split(" ");
  let files = [];
  let upload = null;

  const say = (text) => {
    error.textContent = text;
    error.hidden = !text;
  };
  const take = (all) => {
    const { fitting, others } = sorted(all, endings);
    // One file of a wrong kind is for the server to explain; a folder may hold anything.
    files = fitting.length || all.length > 1 ? fitting : all;
    told.textContent = files.length ? summary(files, all.length > 1 ? others : 0) : "";
    say(all.length && !files.length ? "None of these files can be imported here." : problem(files, limits));
  };
  const sending = (is) => {
    bar.hidden = stop.hidden = !is;
    button.disabled = is;
    inputs.forEach((input) => (input.disabled = is));
  };

  async function send() {
    say("");
    bar.value = 0;
    sending(true);
    upload = new Upload({
      url: form.dataset.uploads,
      files,
      memory: browserMemory(form.dataset.project),
      onProgress: (sent, total) => (bar.value = total ? sent / total : 1),
      onWait: (waiting) => say(waiting ? "The server cannot be reached. The upload goes on by itself as soon as it can." : ""),
    });
    try {
      const id = await upload.send();
      bar.removeAttribute("value"); // unknown: the server looks into the files
      location.assign(await finish(form, id));
    } catch (problem) {
      sending(false);
      const stopped = problem.name === "AbortError";
      say(stopped ? "Stopped. Choose the same files again within a day to go on." : [problem.message, problem.hint].filter(Boolean).join(" "));
    }
  }

  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("is-over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("is-over"));
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("is-over");
    if (button.disabled) return;
    const found = await droppedFiles(event.dataTransfer);
    inputs.forEach((input) => (input.value = ""));
    take(found);
  });
  for (const input of inputs) {
    input.addEventListener("change", () => {
      inputs.filter((other) => other !== input).forEach((other) => (other.value = ""));
      take(chosenFiles(input));
    });
  }
  stop.addEventListener("click", () => upload?.stop());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wrong = problem(files, limits);
    say(wrong);
    if (!wrong) send();
  });
  form.noValidate = true; // what was dropped is in neither field
  part("folder").hidden = false; // folders cannot be chosen without this script
}

/** Hand the complete upload over to the page's own form; the address of the mapping. */
async function finish(form, id) {
  const body = new FormData();
  body.set("upload", String(id));
  const response = await fetch(form.action || location.href, { method: "POST", body, credentials: "same-origin", headers: { Accept: "application/json", "X-CSRFToken": csrfToken() } });
  if (response.ok && response.redirected) return response.url;
  throw errorFromBody(response.status, response.headers.get("Content-Type") ?? "", await response.text());
}

/** A mapping that was changed since the check says so. */
export function wireMapping(root) {
  root.addEventListener("change", (event) => {
    if (!event.target.closest("form[data-mapping]")) return;
    const badge = root.querySelector("[data-outdated]");
    if (badge && root.querySelector("#check .stat")) badge.hidden = false;
  });
}

if (globalThis.document) {
  document.querySelectorAll("form[data-upload]").forEach(wireUpload);
  wireMapping(document.body);
}
