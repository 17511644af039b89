// The entry of every page.
import { all, onLoad } from "./dom.js";
import { wireLive } from "./live.js";
import { wireDialogs } from "./ui/dialogs.js";
import { wireCheckAll, wireColors, wireCopy, wireGuard } from "./ui/forms.js";
import { wireHtmxErrors } from "./ui/htmx-errors.js";
import { wireMenus } from "./ui/menus.js";
import { wireThemeToggle } from "./ui/theme-toggle.js";
import { wireTimes } from "./ui/times.js";
import { wireToasts } from "./ui/toasts.js";

const CHARTS = {
  line: () => import("./charts/line.js"),
  bars: () => import("./charts/bars.js"),
};

wireToasts();
wireHtmxErrors();
wireDialogs();
wireMenus();
wireThemeToggle();
wireTimes();
wireCopy();
wireGuard();
wireColors();
wireCheckAll();
onLoad((root) => {
  for (const node of all(root, "[data-chart]")) CHARTS[node.dataset.chart]?.().then((module) => module.mount(node));
});
wireLive();
