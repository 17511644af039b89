// Learning curves with confidence bands; the same numbers as a table for those who cannot or would not see the picture.
//
// Data: {x_label, y_label, format: "percent" | "number", least?, most?, empty?, series: [{name, points: [{x, y, low, high}]}]}
import uPlot from "uplot";
import { el } from "../dom.js";
import { faded, onTheme, palette } from "./colors.js";
import { align, formatPoint, formatValue, lineStyle, tableRows, valueRange } from "./data.js";
import { follow, onRemoved } from "./source.js";

const HEIGHT = 260;

function options(node, data, width, readout) {
  const { color, done } = palette(node);
  const text = color("--text-2");
  const grid = color("--grid");
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { stroke: text, font, labelFont: font, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 4 } };
  const series = [{}];
  const bands = [];
  data.series.forEach((curve, i) => {
    const style = lineStyle(i);
    const stroke = color(style.color);
    const at = series.length;
    series.push({ label: curve.name, stroke, width: 2, dash: style.dash, spanGaps: true, points: { show: curve.points.length < 40, size: 5, fill: stroke } });
    // The edges of the band are series of their own, without a line.
    for (let edge = 0; edge < 2; edge += 1) series.push({ stroke: "transparent", width: 0, spanGaps: true, points: { show: false } });
    bands.push({ series: [at + 2, at + 1], fill: faded(stroke, 0.15) });
  });
  done();
  return {
    width,
    height: HEIGHT,
    series,
    bands,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 7 } },
    scales: { x: { time: false }, y: { range: () => valueRange(data.series, data) } },
    axes: [
      { ...axis, label: data.x_label, size: 28, labelSize: 20, labelGap: 0, values: (_, values) => values.map((value) => formatValue(value, "number")) },
      { ...axis, size: 56, values: (_, values) => values.map((value) => (data.format === "percent" ? `${Math.round(value * 1000) / 10} %` : formatValue(value, data.format))) },
    ],
    hooks: {
      setCursor: [
        (plot) => {
          const at = plot.cursor.idx;
          readout.textContent = at === null || at === undefined ? "" : describe(data, plot.data[0][at]);
        },
      ],
    },
  };
}

function describe(data, x) {
  const values = data.series.map(({ name, points }) => [name, points.find((point) => point.x === x)]).filter(([, point]) => point);
  return [`${data.x_label} ${formatValue(x, "number")}`, ...values.map(([name, point]) => `${name} ${formatPoint(point, data.format)}`)].join(" · ");
}

function table(data) {
  const head = el("tr", {}, el("th", { class: "num", scope: "col", text: data.x_label }), ...data.series.map(({ name }) => el("th", { class: "num", scope: "col", text: name })));
  const rows = tableRows(data.series, data.format).map(([x, ...texts]) => el("tr", {}, el("th", { class: "num", scope: "row", text: formatValue(x, "number") }), ...texts.map((text) => el("td", { class: "num", text }))));
  return el("details", { class: "disclosure" }, el("summary", { text: "Show as a table" }), el("div", { class: "table-wrap table-wrap--tall", tabindex: "0", role: "region", "aria-label": "The chart's numbers" }, el("table", { class: "table" }, el("thead", {}, head), el("tbody", {}, ...rows))));
}

function legend(data) {
  const items = data.series.map(({ name }, i) => {
    const swatch = el("span", { class: "chart__swatch", "aria-hidden": "true" });
    swatch.style.setProperty("--series-color", `var(${lineStyle(i).color})`);
    return el("li", {}, swatch, name);
  });
  return el("ul", { class: "chart__legend" }, ...items);
}

export function mount(node) {
  let plot = null;
  let data = null;
  let readout = null;
  const holder = el("div", { class: "chart__plot" });
  const width = () => Math.max(200, holder.clientWidth);

  function drawPlot() {
    plot?.destroy();
    plot = null;
    const summary = data.series.map(({ name, points }) => `${name}: ${points.length ? `last ${formatPoint(points.at(-1), data.format)}` : "no values"}`).join("; ");
    holder.setAttribute("role", "img");
    holder.setAttribute("aria-label", `${data.y_label} by ${data.x_label}. ${summary}`);
    plot = new uPlot(options(node, data, width(), readout), align(data.series), holder);
  }

  function draw(next) {
    data = next;
    node.dataset.drawn = "true";
    const open = node.querySelector("details")?.open ?? false;
    if (!data.series.some(({ points }) => points.length)) {
      plot?.destroy();
      plot = null;
      node.replaceChildren(el("p", { class: "muted", text: data.empty ?? "No values yet." }));
      return;
    }
    readout = el("div", { class: "chart__readout truncate", "aria-hidden": "true" });
    const rows = table(data);
    rows.open = open;
    node.classList.add("chart");
    node.replaceChildren(el("div", { class: "chart__head" }, legend(data), readout), holder, rows);
    drawPlot();
  }

  const unfollow = follow(node, draw);
  const stopTheme = onTheme(() => plot && drawPlot());
  const watcher = new ResizeObserver(() => plot && plot.width !== width() && plot.setSize({ width: width(), height: HEIGHT }));
  watcher.observe(holder);
  const destroy = () => {
    unfollow();
    stopTheme();
    watcher.disconnect();
    plot?.destroy();
  };
  onRemoved(node, destroy);
  return { destroy };
}
