// The page of `lapmark diff`: what each node adds to a run, with both sides' percentile curves.

function diffTree(nodes) {
    const made = nodes.map((data) => ({label: data.path.at(-1), isProfiler: data.kind === "profiler", data, children: []}));
    const roots = [];
    for (const node of made)
        (node.data.parent === null ? roots : made[node.data.parent].children).push(node);
    return roots;
}

const hasChanged = (node) => node.shift_ns !== 0;

// What a node was taken for, if that is not plain.
function matchText(node) {
    const was = node.base_path?.join(" › ");
    return {same: "", renamed: `renamed, it was ${was}`, moved: `moved, it was ${was}`, new: "new", gone: "gone"}[node.match];
}

function sidesText(node, name, text) {
    const side = (values) => values && values[name] !== null && values.count > 0 ? text(values[name]) : "";
    return pairText(side(node.base), side(node.new));
}

function countsText(node) {
    return pairText(meanCountText(node.base?.count ?? 0), meanCountText(node.new?.count ?? 0));
}

function sidesElement(node) {
    const value = (side, name, text) => side && side[name] !== null ? text(side[name]) : "-";
    const row = (title, name, text, ratio) => element("tr", {}, element("th", {scope: "row"}, title),
        element("td", {class: "number"}, value(node.base, name, text)), element("td", {class: "number"}, value(node.new, name, text)),
        element("td", {class: "number"}, ratio ? ratioText(node[ratio]) : ""),
        element("td", {class: "number"}, ratio ? intervalText(node[`${ratio}_ci`]) : ""));
    const heads = ["", "base", "new", "ratio", "95 %"].map((title) => element("th", {scope: "col", class: "number"}, title));
    const table = element("table", {class: "sides"}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {},
        row("count", "count", meanCountText, "count_ratio"),
        row("mean", "mean_ns", durationText, "ratio"),
        row("p50", "p50_ns", durationText, "p50_ratio"),
        row("p99", "p99_ns", durationText, "p99_ratio"),
        row("total", "total_ns", durationText, null),
        row("self", "self_ns", durationText, null)));
    return element("div", {class: "scrolling"}, table);
}

function diffDetails({data}, panel) {
    const error = data.added_error_ns === null ? "" : ` ± ${durationText(data.added_error_ns)}`;
    panel.append(pathElement(data.path), factsElement([
        ["match", matchText(data)],
        ["where", placeText(data)],
        ["adds to a run", addedText(data.added_ns) + error],
        ["by count", addedText(data.by_count_ns)],
        ["by cost", addedText(data.by_cost_ns)],
        ["of that in itself", addedText(data.self_added_ns)],
        ["inherited", addedText(data.inherited_added_ns)],
    ]), sidesElement(data));
    return showPercentiles(panel, [
        {label: "base", pairs: data.base?.percentiles ?? [], colour: "--less", dash: [6, 4]},
        {label: "new", pairs: data.new?.percentiles ?? [], colour: "--more"},
    ].filter(({pairs}) => pairs.length > 0));
}

const FEW_RUNS = 5;
const MATCHED_SHOWN = 10;

// Which labels are taken for which others, as the text says it: lines of the head.
function matchedLines(nodes, match, text) {
    const lines = nodes.filter((node) => node.match === match).map(text);
    const shown = lines.slice(0, MATCHED_SHOWN);
    return lines.length > MATCHED_SHOWN ? [...shown, `and ${countText(lines.length - MATCHED_SHOWN)} more`] : shown;
}

const around = (path) => path.at(-2) ?? "(outermost)";

function showDiff(diff, content) {
    const most_ns = Math.max(...diff.nodes.map((node) => Math.abs(node.added_ns)), 1);
    const tree = new Tree(diffTree(diff.nodes), {
        title: "profilers and laps",
        columns: [
            {title: "adds to a run", class: "share", cell: ({data}) => {
                const cell = new DocumentFragment();
                const sign = hasChanged(data) ? data.added_ns > 0 ? "slower" : "faster" : "same";
                cell.append(element("span", {class: `number ${sign}`}, addedText(data.added_ns) + (hasChanged(data) ? " *" : "")),
                    barElement(data.added_ns / most_ns, true));
                return cell;
            }},
            {title: "count", class: "number medium", cell: ({data}) => countsText(data)},
            {title: "mean", class: "number medium", cell: ({data}) => sidesText(data, "mean_ns", durationText)},
            {title: "ratio", class: "number", cell: ({data}) => ratioText(data.ratio)},
            {title: "95 %", class: "number wide", cell: ({data}) => intervalText(data.ratio_ci)},
            {title: "", class: "wide", cell: ({data}) => data.match === "same" ? "" : data.match},
        ],
        details: diffDetails,
        weight: ({data}) => Math.abs(data.added_ns),
    });
    content.append(tree.table);
    const isOneRun = diff.base_runs === 1 && diff.new_runs === 1;
    const isFewRuns = Math.min(diff.base_runs, diff.new_runs) < FEW_RUNS;
    return {
        sentence: diff.sentence,
        findings: diff.also,
        head: [
            ["runs", [`${diff.base_runs} before, ${diff.new_runs} after; ${durationText(diff.base_total_ns)} → ` +
                `${durationText(diff.new_total_ns)} each in the mean`]],
            ["intervals", [isOneRun ? "95 %, for the noise inside a run only: what differs from one run to the next they cannot know; " +
                "record several runs a side" : `95 %, for the noise between runs${isFewRuns ? "; with so few they are wide" : ""}`]],
            ["renamed", matchedLines(diff.nodes, "renamed", ({path, base_path: was}) =>
                `"${was.at(-1)}" → "${path.at(-1)}", by their neighbours and count`)],
            ["moved", matchedLines(diff.nodes, "moved", ({path, base_path: was}) =>
                `"${path.at(-1)}" from "${around(was)}" to "${around(path)}"`)],
            ["untold", diff.untold > 0 ? [`${countedText(diff.untold, "node")}, of which it is not known how much they vary`] : []],
        ],
        notes: diff.changed === null ? "" : "* more than noise, at 5 % for all nodes together",
    };
}
