// Draws the chart of a page from the rows in the page. By default Vega compiles expressions with
// eval, which the Content-Security-Policy forbids: vega-interpreter evaluates them instead.
import { expressionInterpreter } from "./vendor/vega-interpreter.js";

const NARROW = 600;

// CSS variables of charts.css, so that colours follow light and dark without drawing again.
const lines = {
  labelColor: "var(--text)",
  titleColor: "var(--text)",
  domainColor: "var(--line)",
  gridColor: "var(--line)",
  tickColor: "var(--line)",
};

function config(width) {
  return {
    background: "transparent",
    font: "Helvetica, Arial, sans-serif",
    axis: { ...lines, labelFontSize: 12, titleFontSize: 12 },
    axisY: { labelLimit: width < NARROW ? width / 3 : 300 },
    legend: { ...lines, orient: "top", labelFontSize: 12 },
    mark: { color: "var(--chart-1)" },
    range: { category: [1, 2, 3, 4].map((number) => `var(--chart-${number})`) },
    view: { stroke: null },
  };
}

async function draw(place, { spec, rows }) {
  const size = { width: "container", autosize: { type: "fit-x", contains: "padding" } };
  const { spec: compiled } = vegaLite.compile(
    { ...spec, ...size, data: { values: rows } },
    // Vega-Lite warns about the height of bar charts without one.
    { config: config(place.clientWidth), logger: vega.logger(vega.Error) },
  );
  const runtime = vega.parse(compiled, null, { ast: true });
  const view = new vega.View(runtime, { expr: expressionInterpreter, renderer: "svg", container: place });
  await view.runAsync();
}

await draw(
  document.getElementById("chart"),
  JSON.parse(document.getElementById("chart-data").textContent),
);
// If drawing fails, the fallback text and the open table remain.
document.getElementById("chart-fallback").remove();
document.getElementById("chart-table").open = false;
