// The page of `lapmark report`: the tree of profilers and laps, with bars for where the time went.

// Sites come depth first, so the one around each is the last that is one level up. A tree for each thread or process has a heading.
function reportTree(sites) {
    const roots = [];
    let above = [], around = "", heading = null;
    for (const site of sites) {
        const group = site.process === undefined ? "" : JSON.stringify([site.process, site.thread]);
        if (group !== around) {
            heading = {label: groupText(site), isProfiler: true, data: null, children: [], total_ns: 0};
            roots.push(heading);
            around = group;
        }
        const depth = site.path.length - 1;
        const node = {label: site.path[depth], isProfiler: site.kind === "profiler", data: site, children: [], heading,
            parent: depth > 0 ? above[depth - 1] : null};
        above = [...above.slice(0, depth), node];
        (node.parent ?? heading ?? {children: roots}).children.push(node);
        if (depth === 0 && heading)
            heading.total_ns += site.total_ns;
    }
    return roots;
}

function groupText({process, thread}) {
    if (!thread)
        return process;
    return thread.name ? `thread ${thread.name} (${thread.id}) of ${process}` : `thread ${thread.id} of ${process}`;
}

function reportSentence(report) {
    const threads = report.processes.reduce((sum, process) => sum + process.threads, 0);
    return [countedText(report.processes.length, "process"), countedText(threads, "thread"),
        `${countedText(report.events, "event")} in ${durationText(report.span_ns)}`].join(", ");
}

const PROCESSES_SHOWN = 10;

function processText({program, pid, host, state, duration_ns, command}) {
    const span = durationText(duration_ns);
    const how = {running: `runs since ${span}`, snapshot: `a snapshot, ${span} after its start`,
        unknown: `unknown whether it runs; stored ${span}`}[state] ?? `${state} after ${span}`;
    return `${program} ${pid} on ${host}, ${how}: ${command}`;
}

function openText({message, open_ns}, {program, pid}) {
    return `${message}, for ${durationText(open_ns)}, in ${program} ${pid}`;
}

function reportHead(report) {
    const processes = report.processes.slice(0, PROCESSES_SHOWN).map(processText);
    const open = report.processes.flatMap((process) => process.open.map((each) => openText(each, process)));
    const processes_ns = report.processes.reduce((sum, process) => sum + process.duration_ns, 0);
    const more = (all) => all > PROCESSES_SHOWN ? [`and ${countText(all - PROCESSES_SHOWN)} more`] : [];
    const counted = (count, what, rest) => count > 0 ? [countedText(count, what) + rest] : [];
    return [
        ["process", [...processes, ...more(report.processes.length)]],
        ["lost", [report.lost === 0 ? "nothing" : countedText(report.lost, "event"),
            ...counted(report.samples_lost, "lap", " without memory for statistics")]],
        ["overwritten", counted(report.overwritten, "event", report.source === "statistics" ? ", which the statistics below still count"
            : ", which are missing below")],
        ["taken back", counted(report.taken_back, "event", " of profilers below their thresholds, which the statistics still count")],
        ["abandoned", counted(report.abandoned, "profiler", " left without an end")],
        ["cost", [`about ${durationText(report.cost_ns)} for recording, ${shareText(report.cost_ns, processes_ns)} of the processes' time`]],
        ["still open", [...open.slice(0, PROCESSES_SHOWN), ...more(open.length)]],
    ];
}

function reportDetails(node, wholeOf, panel) {
    const site = node.data;
    const callers = (site.callers ?? []).map(({path, count}) => `${path.join(" › ")} (${countText(count)})`);
    if (site.callers_left_out > 0)
        callers.push(`and ${countText(site.callers_left_out)} more`);
    panel.append(pathElement(site.path), factsElement([
        ["where", placeText(site)],
        ["called from", callers.join(", ")],
        ["count", countText(site.count)],
        ["total", durationText(site.total_ns)],
        ["of all", shareText(site.total_ns, wholeOf(node))],
        ["of parent", node.parent ? shareText(site.total_ns, node.parent.data.total_ns) : ""],
        ["self", node.isProfiler ? durationText(site.self_ns) : ""],
        ["mean", durationText(site.mean_ns)],
        ["min", durationText(site.min_ns)],
        ["p50", durationText(site.p50_ns)],
        ["p90", durationText(site.p90_ns)],
        ["p99", durationText(site.p99_ns)],
        ["p99.9", durationText(site.p999_ns)],
        ["max", durationText(site.max_ns)],
    ]));
    return showPercentiles(panel, [{label: "time", pairs: site.percentiles, colour: "--less"}]);
}

function showReport(report, content) {
    const roots = reportTree(report.sites);
    const all_ns = roots.reduce((sum, {data}) => sum + (data?.total_ns ?? 0), 0);
    const wholeOf = ({heading}) => heading?.total_ns ?? all_ns;
    const time = (title, name, width) => ({title, class: `number ${width}`, cell: ({data}) => durationText(data[name])});
    const tree = new Tree(roots, {
        title: "profilers and laps",
        columns: [
            {title: "count", class: "number medium", cell: ({data}) => countText(data.count)},
            time("total", "total_ns", ""),
            {title: "of all", class: "share", cell: (node) => {
                const cell = new DocumentFragment();
                cell.append(element("span", {class: "number"}, shareText(node.data.total_ns, wholeOf(node))),
                    barElement(node.data.total_ns / (wholeOf(node) || 1)));
                return cell;
            }},
            {title: "self", class: "number wide", cell: ({data, isProfiler}) => isProfiler ? durationText(data.self_ns) : ""},
            {...time("mean", "mean_ns", "medium"), cell: ({data}) => (data.near_resolution ? "~ " : "") + durationText(data.mean_ns)},
            time("p50", "p50_ns", "wide"),
            time("p99", "p99_ns", "medium"),
            time("max", "max_ns", "wide"),
        ],
        details: (node, panel) => reportDetails(node, wholeOf, panel),
        weight: (node) => node.data?.total_ns ?? node.total_ns,
    });
    if (roots.length > 0)
        content.append(tree.table);
    return {
        sentence: roots.length > 0 ? reportSentence(report) : "no profiler has ended and no checkpoint was met",
        findings: [],
        head: reportHead(report),
        notes: report.sites.some((site) => site.near_resolution)
            ? `~ near the clock's resolution (${durationText(report.resolution_ns)}): the sum of many is sound, a single time is rough` : "",
    };
}
