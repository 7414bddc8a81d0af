// The page of `lapmark scaling`: how each node's cost grows, with the costs by size and the fitted curve.

const classText = (name) => name.replace("n^2", "n²").replace("n^3", "n³");

function growthText(curve) {
    if (!curve || curve.size_from === null)
        return "";
    return curve.candidates ? `unclear (${curve.candidates.map(classText).join(" or ")})` : classText(curve.class);
}

function exponentText({exponent, exponent_ci}) {
    return exponent === null ? "" : `${fixed(exponent, 2)} (${fixed(exponent_ci[0], 2)} to ${fixed(exponent_ci[1], 2)})`;
}

function rangeText({range, sizes}) {
    if (range === null || sizes === 0)
        return "";
    const [low, high] = range.map((n) => countText(Math.floor(n + 0.5)));
    return low === high ? low : `${low} to ${high}`;
}

// What would make it clear.
function neededText({doubt, sizes, range, range_needed}) {
    return {
        "few sizes": `8 sizes, not ${sizes}`,
        "narrow range": range && `sizes over a factor of 4, not ${fixed(range[1] / range[0], 1)}`,
        "few timings": "each size timed more often",
        "caches": "it may be the caches that grow it",
        "two within the noise": range_needed ? `sizes over a factor of ${countText(Math.floor(range_needed))}` : "less noise, or more sizes",
    }[doubt] ?? "";
}

function scalingTree(nodes) {
    const roots = [];
    let above = [];
    for (const data of nodes) {
        const depth = data.path.length - 1;
        const node = {label: data.path[depth], isProfiler: data.kind === "profiler", data, children: []};
        (depth > 0 ? above[depth - 1].children : roots).push(node);
        above = [...above.slice(0, depth), node];
    }
    return roots;
}

function curveFacts(curve) {
    return [
        ["class", growthText(curve)],
        ["exponent", exponentText(curve)],
        ["sizes", rangeText(curve)],
        ["different sizes", curve.sizes > 0 ? countText(curve.sizes) : ""],
        ["to tell", neededText(curve)],
    ];
}

function curveShow(panel, curve, title, text) {
    panel.append(element("h2", {}, title), factsElement(curveFacts(curve)));
    if (!curve.points?.length)
        return {close() {}};
    return showCosts(panel, {points: curve.points, lines: curve.lines ?? []}, `n: ${curve.size_from}`, text);
}

function scalingDetails({data}, panel) {
    panel.append(pathElement(data.path), factsElement([
        ["where", placeText(data)],
        ["count", countText(data.count)],
        ["total", durationText(data.total_ns)],
    ]));
    const shown = [curveShow(panel, data, "The cost of one", durationText)];
    if (data.calls)
        shown.push(curveShow(panel, data.calls, "How many there are in one of the profiler around it", meanCountText));
    return {close: () => shown.forEach((each) => each.close())};
}

function showScaling(scaling, content) {
    const isSteep = ({class: name}) => name === "n^2" || name === "n^3";
    const tree = new Tree(scalingTree(scaling.nodes), {
        title: "profilers and laps",
        columns: [
            {title: "count", class: "number wide", cell: ({data}) => countText(data.count)},
            {title: "total", class: "number medium", cell: ({data}) => durationText(data.total_ns)},
            {title: "cost of one", class: "growth", cell: ({data}) =>
                element("span", {class: isSteep(data) ? "steep" : null}, growthText(data))},
            {title: "exponent", class: "number medium", cell: ({data}) => exponentText(data)},
            {title: "in each", class: "growth", cell: ({data}) => growthText(data.calls)},
            {title: "sizes", class: "number wide", cell: ({data}) => rangeText(data)},
        ],
        details: scalingDetails,
        weight: ({data}) => data.total_ns,
    });
    if (scaling.nodes.length > 0)
        content.append(tree.table);
    return {
        sentence: scaling.nodes.length > 0 ? scaling.sentence : "no profiler has ended and no checkpoint was met",
        findings: scaling.findings.slice(1),
        head: [
            ["runs", [countedText(scaling.runs, "process")]],
            ["missing", scaling.incomplete
                ? ["the oldest events were overwritten, and what they say of sizes with them: record with --full"] : []],
        ],
        notes: "",
    };
}
