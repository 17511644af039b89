// <time datetime data-relative> reads "3 minutes ago"; [data-seconds] a duration; [data-rate][data-since] a speed.
import { all, formatSeconds, onLoad } from "../dom.js";

const UNITS = [["year", 31557600], ["month", 2629800], ["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60]];

/** "5 minutes ago", "in 2 days", "now": `then` and `now` in milliseconds. */
export function relative(then, now, format = new Intl.RelativeTimeFormat("en", { numeric: "auto" })) {
  const seconds = (then - now) / 1000;
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return format.format(Math.trunc(seconds / size), unit);
  }
  return Math.abs(seconds) < 10 ? "now" : format.format(Math.trunc(seconds), "second");
}

/** "120/s", "4.2/s", "12/min": how fast `done` things went in `seconds`. */
export function rate(done, seconds) {
  if (!(seconds > 0) || !(done > 0)) return "";
  const perSecond = done / seconds;
  if (perSecond >= 10) return `${Math.round(perSecond).toLocaleString("en")}/s`;
  if (perSecond >= 1) return `${perSecond.toFixed(1)}/s`;
  return `${Math.max(1, Math.round(perSecond * 60))}/min`;
}

function refresh(root) {
  for (const time of all(root, "time[data-relative]")) {
    const then = Date.parse(time.dateTime);
    if (Number.isNaN(then)) continue;
    time.textContent = relative(then, Date.now());
    time.title = new Date(then).toLocaleString();
  }
}

function once(root) {
  refresh(root);
  for (const node of all(root, "[data-seconds]")) node.textContent = formatSeconds(Number(node.dataset.seconds));
  for (const node of all(root, "[data-rate][data-since]")) {
    const text = rate(Number(node.dataset.rate), (Date.now() - Date.parse(node.dataset.since)) / 1000);
    node.textContent = text ? `${text} ·` : "";
  }
}

export function wireTimes() {
  onLoad(once);
  setInterval(() => document.hidden || refresh(document), 30000);
}
