// Draws the chart of a page from the rows that the page holds. Vega would make functions of texts,
// which the Content-Security-Policy forbids: its interpreter takes their place.
import { expressionInterpreter } from "./vendor/vega-interpreter.js";

const NARROW = 600;

// The colours are those of charts.css, so that they follow light and dark without drawing again.
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
    // It would warn of a height that bars of a list never had.
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
// Had it failed, the table would still be open, and the sentence would say why.
document.getElementById("chart-waits").remove();
document.getElementById("chart-table").open = false;
