// Curves, drawn by uPlot into a canvas, in the page's colours and as wide as what they are in.

const CHART_HEIGHT = 280;
const AXIS_WIDTH = 64; // room for "999 ms"
const AXIS_HEIGHT = 28;
const chartsShown = new Set();

function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Makes it anew: uPlot keeps the colours that it was made with.
function drawChart(chart) {
    chart.plot?.destroy();
    const font = "12px system-ui, sans-serif";
    const axis = {stroke: colour("--muted"), font, labelFont: font, labelSize: 18, filter: (plot, splits) => splits,
        grid: {stroke: colour("--line"), width: 1}, ticks: {show: false}};
    const options = chart.options();
    options.axes = options.axes.map((each, place) => ({...axis, size: place === 0 ? AXIS_HEIGHT : AXIS_WIDTH, ...each}));
    chart.plot = new uPlot({width: chart.place.clientWidth, height: CHART_HEIGHT, pxAlign: 0, cursor: {drag: {x: false, y: false}},
        legend: {markers: {dash: (plot, place) => options.series[place].dash ? "dashed" : "solid"}}, ...options}, chart.data, chart.place);
    const canvas = chart.place.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", chart.title);
}

// options() is asked again when the colours change.
function showChart(place, title, options, data) {
    const chart = {place, title, options, data, plot: null};
    drawChart(chart);
    chartsShown.add(chart);
    const observer = new ResizeObserver(() => {
        if (place.clientWidth > 0 && place.clientWidth !== chart.plot.width)
            chart.plot.setSize({width: place.clientWidth, height: CHART_HEIGHT});
    });
    observer.observe(place);
    return {
        close() {
            observer.disconnect();
            chartsShown.delete(chart);
            chart.plot.destroy();
        },
    };
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chartsShown.forEach(drawChart));

const shownValue = (text) => (plot, value) => value === null || value === undefined ? "–" : text(value);

// Places of a logarithmic axis: 1, 2, 5, 10, ... or powers of ten alone where that were too many.
function logarithmicSplits(plot, axis, least, most) {
    const decades = Math.log10(most / least);
    const steps = decades > 3 ? [1] : [1, 2, 5];
    const splits = [];
    for (let power = Math.floor(Math.log10(least)); power <= Math.log10(most); power++)
        splits.push(...steps.map((step) => step * 10 ** power));
    return splits.filter((at) => at >= least && at <= most);
}

// With some room at the ends.
const LOGARITHMIC = {distr: 3, range: (plot, least, most) => least > 0 ? [least / 1.3, most * 1.3] : [1, 10]};

// Curves of percentiles, [{label, pairs, colour, dash}], as HdrHistogram draws them: each 9 more of 99.9 % is as wide. Greater
// differences than a factor of 30 are on a logarithmic scale. A single instance has no curve. Returns how to take them away.
function showPercentiles(panel, curves) {
    if (!curves.some(({pairs}) => pairs.length > 2))
        return {close() {}};
    const place = panel.appendChild(element("div", {class: "chart"}));
    const isLogarithmic = curves.some(({pairs}) => pairs.at(-1)[1] > 30 * pairs[Math.floor(pairs.length / 2)][1]);
    const places = curves.flatMap(({pairs}) => pairs.slice(0, -1).map(([percent]) => 100 / (100 - percent)));
    const end = 2 * Math.max(...places); // where 100 % stands, which is infinitely far away
    const x = (percent) => percent === 100 ? end : 100 / (100 - percent);
    const percentText = (at) => at >= end ? "100 %" : `${Number((100 - 100 / at).toPrecision(7))} %`;
    const tables = curves.map(({pairs}) => [
        pairs.map(([percent]) => x(percent)),
        pairs.map(([, ns]) => isLogarithmic && ns <= 0 ? null : ns)]);
    const splits = [1, 2, 10, 100, 1e3, 1e4, 1e5, 1e6].filter((at) => at <= end / 2).concat(end);
    const options = () => ({
        scales: {
            x: {time: false, distr: 3, range: () => [1, end]},
            y: isLogarithmic ? LOGARITHMIC : {range: (plot, least, most) => [0, most * 1.05 || 1]},
        },
        axes: [
            {label: "percentile", splits: (plot) => splits.filter((at) => at !== 2 || plot.width > 500),
                values: (plot, each) => each.map((at) => at >= end ? "max" : percentText(at))},
            {splits: isLogarithmic ? logarithmicSplits : undefined, values: (plot, each) => each.map(durationText)},
        ],
        series: [
            {label: "percentile", value: shownValue(percentText)},
            ...curves.map((curve) => ({label: curve.label, stroke: colour(curve.colour), width: 2, dash: curve.dash, spanGaps: true,
                points: {show: true, size: 5}, value: shownValue(durationText)})),
        ],
    });
    return showChart(place, `percentiles of ${curves.map(({label}) => label).join(" and ")}`, options, uPlot.join(tables));
}

const GROWTHS = {
    "1": () => 0,
    "log n": (n) => Math.log1p(n),
    "n": (n) => n,
    "n log n": (n) => n * Math.log1p(n),
    "n^2": (n) => n ** 2,
    "n^3": (n) => n ** 3,
};
const LINE_STEPS = 100;

// Costs by size, and the lines that were fitted: the likelier one, and dashed the other candidate. text(cost) is a cost in words.
function showCosts(panel, {points, lines}, sizeText, text) {
    const place = panel.appendChild(element("div", {class: "chart"}));
    const [least, most] = [points[0][0], points.at(-1)[0]];
    const sizes = Array.from({length: LINE_STEPS + 1}, (unused, step) => least * (most / least) ** (step / LINE_STEPS));
    const positive = (cost) => cost > 0 ? cost : null;
    const fitted = [sizes, ...lines.map((line) => sizes.map((n) => positive(line.offset + line.factor * GROWTHS[line.class](n))))];
    const costs = [points.map(([n]) => n), points.map(([, cost]) => positive(cost))];
    const options = () => ({
        scales: {
            x: {time: false, distr: 3, range: LOGARITHMIC.range},
            y: LOGARITHMIC,
        },
        axes: [
            {label: sizeText, splits: logarithmicSplits, values: (plot, each) => each.map(countText)},
            {splits: logarithmicSplits, values: (plot, each) => each.map(text)},
        ],
        series: [
            {label: "size", value: shownValue((n) => countText(Math.round(n)))},
            ...lines.map((line, place) => ({label: `${place > 0 ? "or" : "fitted"}: ${classText(line.class)}`, stroke: colour("--more"),
                width: 2, dash: place > 0 ? [6, 6] : undefined, spanGaps: true, points: {show: false}, value: shownValue(text)})),
            {label: "measured", stroke: colour("--less"), paths: () => null, points: {show: true, size: 6, fill: colour("--less")},
                value: shownValue(text)},
        ],
    });
    return showChart(place, "cost by size, with the fitted curve", options, uPlot.join([fitted, costs]));
}
