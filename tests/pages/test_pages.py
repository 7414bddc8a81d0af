# SPDX-License-Identifier: MIT
# ctest: long
"""The pages of `report`, `diff` and `scaling` in a real browser: what they show is what `--json` prints and the text says, whatever
the labels are; by mouse and by keyboard; on wide and narrow screens, dark and light; with nothing loaded and nothing logged."""
import contextlib
import glob
import json
import os
import re
import shutil
import stat
import sys

sys.path.insert(0, f"{os.environ['SOURCE_DIR']}/tests/cli")
import common  # pylint: disable=wrong-import-position
import helper_browser  # pylint: disable=wrong-import-position

GOLDEN = f"{common.SOURCE}/tests/golden/v1"
WIDE, NARROW = 1280, 400
ENTER, TAB, SPACE = "\ue007", "\ue004", " "


def write_page(name, command, *arguments):
    """Returns the page's path, and what --json prints."""
    path = f"{WORK}/{name}.html"
    result = common.lapmark(command, *arguments, "--json", "--html", path)
    common.check(result.status == 0 and result.err.endswith(f"lapmark: wrote '{path}'\n"), result)
    return path, json.loads(result.out)


def write_altered(name, page, change):
    """A page whose data are not those that it was written with; change() may change them in place."""
    path, data = page_of(page)
    with open(path, encoding="utf-8") as file:
        head, found, tail = re.fullmatch(r'(.*<script type="application/json" id="\w+">)(.*?)(</script>.*)', file.read(), re.DOTALL).groups()
    common.equal(json.loads(found), data)
    altered = json.loads(found)
    change(altered)
    with open(f"{WORK}/{name}.html", "w", encoding="utf-8") as file:
        file.write(head + json.dumps(altered) + tail)
    return f"{WORK}/{name}.html", altered


def record(name, program, *arguments):
    result = common.run(f"{WORK}/{program}", *arguments, LAPMARK_RECORD=f"{WORK}/{name}", LAPMARK_PRINT="off")
    common.equal(result.status, 0, result)
    return f"{WORK}/{name}"


PAGES = {}


def page_of(name):
    """Made once. Each is (path, command, data)."""
    if name not in PAGES:
        makers = {
            "report": lambda: write_page("report", "report", f"{GOLDEN}/good"),
            "by": lambda: write_page("by", "report", "--by", "thread", f"{GOLDEN}/good"),
            "golden": lambda: write_page("golden", "diff", f"{GOLDEN}/good", f"{GOLDEN}/full"),
            "awkward": lambda: write_page("awkward", "report", record("labels", "awkward_labels")),
            "many": lambda: write_page("many", "report", record("nodes", "awkward_labels", "many")),
            "diff": make_diff,
            "scaling": lambda: write_page("scaling", "scaling", record("sizes", "scaling_work", "gaps")),
        }
        PAGES[name] = makers[name]()
    return PAGES[name]


def make_diff():
    """A lap that comes more often, and one that was renamed."""
    runs = [[record(f"{side}-{run}", "busy_steps", "20", "100", lookups, label) for run in range(3)]
            for side, lookups, label in (("base", "2", "store"), ("new", "6", "write"))]
    return write_page("diff", "diff", *runs[0], "--", *runs[1])


def open_page(name, width=WIDE):
    path, data = page_of(name)
    BROWSER.resize(width)
    BROWSER.open(path)
    return data


# ---- numbers in words, once more: as doc/man has them, not as src/page does it


def duration(ns):
    if 600e9 <= ns < 1e18:
        seconds = int(ns / 1e9 + 0.5)
        return f"{seconds // 60} min {seconds % 60} s" if seconds < 3600 else f"{seconds // 3600} h {seconds % 3600 // 60} min"
    if ns <= 0:
        return "0 ns"
    for scale, unit in ((1, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")):
        if ns / scale < 999.5:
            break
    shown = ns / scale
    decimals = 2 if shown < 9.995 else 1 if shown < 99.95 else 0
    return f"{int(shown * 10**decimals + 0.5) / 10**decimals:.{decimals}f} {unit}"


def added(ns):
    return "0" if abs(ns) < 0.5 else ("-" if ns < 0 else "+") + duration(abs(ns))


def share(part, whole):
    return "<0.1%" if 0 < part / whole < 0.0005 else f"{100 * part / whole:.1f}%"


def mean_count(count):
    return f"{int(count):,}" if count == int(count) else f"{count:.{1 if count < 100 else 0}f}"


def factor(value):
    return "%#.2g" % value if value < 0.0995 else f"{value:.{3 if value < 10 else 1}f}"


def ratio(value):
    return "" if value is None else f"{factor(value)}x"


def interval(pair):
    if pair is None:
        return ""
    if None in pair or pair[1] >= 1e6:
        return "?"
    return " to ".join(map(factor, pair))


def growth(name):
    return name.replace("n^2", "n²").replace("n^3", "n³")


def growth_of(curve):
    if curve is None or curve["size_from"] is None:
        return ""
    return f"unclear ({' or '.join(map(growth, curve['candidates']))})" if curve["candidates"] else growth(curve["class"])


def exponent(curve):
    return "" if curve["exponent"] is None else "{:.2f} ({:.2f} to {:.2f})".format(curve["exponent"], *curve["exponent_ci"])


def pair(before, after):
    return before if before == after else f"{before or '-'} → {after or '-'}"


def sides(node, name, text):
    return pair(*(text(node[side][name]) if node[side] and node[side]["count"] else "" for side in ("base", "new")))


# ---- what is shown


OPEN_ALL = """
    for (let closed; (closed = document.querySelectorAll('.twisty[aria-expanded="false"]')).length > 0; )
        closed.forEach((twisty) => twisty.click());
"""


def shown_rows():
    """The texts of all rows, everything opened, as [[label, cell, ...]]."""
    return BROWSER.run(f"""
        {OPEN_ALL}
        return [...document.querySelectorAll('.tree > tbody > tr:not(.details)')].map((row) => [...row.cells].map((cell) => cell.innerText.trim()));
    """)


def shown_details():
    """Opens each node, and takes it away again: its facts, and its table, as texts."""
    return BROWSER.run("""
        return [...document.querySelectorAll('.label .node')].map((button) => {
            button.click();
            const panel = button.closest('tr').nextElementSibling;
            const facts = [...panel.querySelectorAll('.facts > div')].map((fact) => [...fact.children].map((part) => part.innerText));
            const table = [...panel.querySelectorAll('.sides > tbody > tr')].map((row) => [...row.cells].map((cell) => cell.innerText));
            const charts = panel.querySelectorAll('canvas').length;
            button.click();
            return {facts, table, charts};
        });
    """)


def label_of(node):
    return node["path"][-1]


def whole_of(sites):
    return sum(site["total_ns"] for site in sites if len(site["path"]) == 1)


def report_row(site, whole):
    near = "~ " if site["near_resolution"] else ""
    return [label_of(site), f"{site['count']:,}", duration(site["total_ns"]), share(site["total_ns"], whole),
            duration(site["self_ns"]) if site["kind"] == "profiler" else "", near + duration(site["mean_ns"]), duration(site["p50_ns"]),
            duration(site["p99_ns"]), duration(site["max_ns"])]


def in_tree_order(nodes, parent=None):
    for place, node in enumerate(nodes):
        if node["parent"] == parent:
            yield node
            yield from in_tree_order(nodes, place)


def diff_row(node):
    mark = " *" if node["shift_ns"] != 0 else ""
    return [label_of(node), added(node["added_ns"]) + mark,
            pair(*(mean_count(node[side]["count"] if node[side] else 0) for side in ("base", "new"))),
            sides(node, "mean_ns", duration), ratio(node["ratio"]), interval(node["ratio_ci"]),
            "" if node["match"] == "same" else node["match"]]


def scaling_row(node):
    low, high = (f"{int(end + 0.5):,}" for end in node["range"] or (0, 0))
    sizes = "" if not node["range"] or not node["sizes"] else low if low == high else f"{low} to {high}"
    return [label_of(node), f"{node['count']:,}", duration(node["total_ns"]), growth_of(node), exponent(node), growth_of(node["calls"]), sizes]


def same_rows(got, wanted):
    for one, other in zip(got, wanted):
        common.equal(one, other)
    common.equal(len(got), len(wanted))


def test_numbers_are_written_as_by_printf():
    open_page("report")
    values = [0.25, 0.35, 0.75, 1.5, 2.5, 12.25, 12.75, 1.0625, 1.1875, 0.0, -0.0, -0.004, 99.95, 1e-9, 123456.5]
    for decimals in (0, 1, 2, 3):
        common.equal(BROWSER.run("return arguments[0].map((value) => fixed(value, arguments[1]))", values, decimals),
                     [f"{value:.{decimals}f}" for value in values])
    times = [step * 10**power for power in range(-2, 20) for step in (0, 1, 1.005, 1.2345, 4.995, 9.994999, 9.995, 9.9949, 9.99, 9.999)]
    times += [599e9, 600e9, 3599.4e9, 3599.6e9, 86400e9]
    common.equal(BROWSER.run("return arguments[0].map(durationText)", times), [duration(ns) for ns in times])
    factors = [0, 3.04e-6, 9.96e-5, 0.000104, 0.00091, 0.0994, 0.0995, 0.113, 9.9994, 9.9996, 12.14, 1357.2]
    common.equal(BROWSER.run("return arguments[0].map(ratioText)", factors), [ratio(each) for each in factors])


def test_rows():
    data = open_page("report")
    same_rows(shown_rows(), [report_row(site, whole_of(data["sites"])) for site in data["sites"]])
    for name in ("diff", "golden"):
        data = open_page(name)
        same_rows(shown_rows(), [diff_row(node) for node in in_tree_order(data["nodes"])])
    data = open_page("scaling")
    same_rows(shown_rows(), [scaling_row(node) for node in data["nodes"]])


def test_rows_by_thread():
    data = open_page("by")
    rows, at = shown_rows(), 0
    while rows:
        first = data["sites"][at]
        group = [site for site in data["sites"][at:] if (site["process"], site["thread"]) == (first["process"], first["thread"])]
        heading, *rows = rows
        thread = first["thread"]
        name = "" if not thread else f"thread {thread['name']} ({thread['id']}) of " if thread["name"] else f"thread {thread['id']} of "
        common.equal(heading, [name + first["process"]] + [""] * 8)
        same_rows(rows[:len(group)], [report_row(site, whole_of(group)) for site in group])
        rows, at = rows[len(group):], at + len(group)
    common.equal(at, len(data["sites"]))


def test_rows_are_those_of_the_text():
    """Which has the numbers before JSON rounds them; so on recordings that stay as they are."""
    path, _ = page_of("report")
    text = common.lapmark("report", f"{GOLDEN}/good", COLUMNS="400").out
    table = text.split("\n\n")[1].splitlines()[1:]
    open_page("report")
    for row, line in zip(shown_rows(), table, strict=True):
        label, *cells = (re.sub("[▏▎▍▌▋▊▉█~]", "", part).strip() for part in re.split(r"\s{2,}", line.strip()))
        cells = [cell for cell in cells if cell]
        count, total, of_all, _, *times = cells
        common.equal([label.removeprefix("· "), count, total, of_all, *times[:-3], *times[-2:]],
                     [row[0], *(cell.removeprefix("~ ") for cell in row[1:] if cell)], (path, line))
    first = re.match(r"recorded +(.*(?:\n {4}.*)*)", text).group(1)
    common.equal(BROWSER.run("return document.querySelector('h1').innerText"), re.sub(r"\s*\n\s*", " ", first))

    text = common.lapmark("diff", f"{GOLDEN}/good", f"{GOLDEN}/full", COLUMNS="400").out
    data = open_page("golden")
    common.equal(re.findall(r"^(?:also| {4}) {8}(.*)$", text.split("\n\n")[1], re.MULTILINE)[:5], data["also"][:5])
    rows = {(row[0], row[1]): row for row in shown_rows()}
    lines = re.search(r"\n\n[^\n]*adds.*?\n(.*?)\n\n", text + "\n\n", re.DOTALL).group(1).splitlines()
    common.check(lines)
    for line in lines:
        label, adds, *cells = re.split(r"\s{2,}", line.strip().replace("  *  ", " *  "))
        row = rows[label.split(" › ")[-1], adds]
        common.equal([cell for cell in row[2:6] if cell], cells[:len([cell for cell in row[2:6] if cell])], line)
    common.equal(BROWSER.run("return document.querySelector('h1').innerText"), " ".join(text.split("\n\n")[0].split("\n")))


def test_details():
    data = open_page("report")
    shown_rows()
    above = {}
    for site, shown in zip(data["sites"], shown_details(), strict=True):
        facts = dict(shown["facts"])
        above[len(site["path"])] = site
        wanted = {"count": f"{site['count']:,}", "of all": share(site["total_ns"], whole_of(data["sites"]))}
        wanted.update({name.replace("p999", "p99.9"): duration(site[f"{name}_ns"])
                       for name in ("total", "mean", "min", "p50", "p90", "p99", "p999", "max")})
        if site["kind"] == "profiler":
            wanted["self"] = duration(site["self_ns"])
        if len(site["path"]) > 1:
            wanted["of parent"] = share(site["total_ns"], above[len(site["path"]) - 1]["total_ns"])
        if site["file"]:
            wanted["where"] = f"{site['function']} in {site['file']}:{site['line']}"
        common.equal(facts, wanted, site)
        common.equal(shown["charts"], int(site["count"] > 1), site)
    data = open_page("diff")
    shown_rows()
    for node, shown in zip(in_tree_order(data["nodes"]), shown_details(), strict=True):
        facts = dict(shown["facts"])
        error = "" if node["added_error_ns"] is None else f" ± {duration(node['added_error_ns'])}"
        common.equal(facts["adds to a run"], added(node["added_ns"]) + error)
        for name, member in (("by count", "by_count_ns"), ("by cost", "by_cost_ns"), ("of that in itself", "self_added_ns"),
                             ("inherited", "inherited_added_ns")):
            common.equal(facts[name], added(node[member]), node)
        common.equal("match" in facts, node["match"] != "same", node)
        wanted = []
        for name, member, text in (("count", "count", mean_count), ("mean", "mean_ns", duration), ("p50", "p50_ns", duration),
                                   ("p99", "p99_ns", duration), ("total", "total_ns", duration), ("self", "self_ns", duration)):
            values = [text(node[side][member]) if node[side] and node[side][member] is not None else "-" for side in ("base", "new")]
            stem = {"mean": "ratio", "total": None, "self": None}.get(name, f"{name}_ratio")
            wanted.append([name, *values, *((ratio(node[stem]), interval(node[f"{stem}_ci"])) if stem else ("", ""))])
        common.equal(shown["table"], wanted, node)
    common.equal({node["match"] for node in data["nodes"]}, {"same", "renamed"})
    data = open_page("scaling")
    shown_rows()
    for node, shown in zip(data["nodes"], shown_details(), strict=True):
        curves = [curve for curve in (node, node["calls"]) if curve]
        common.equal([text for name, text in shown["facts"] if name == "class"], [text for text in map(growth_of, curves) if text])
        common.equal([text for name, text in shown["facts"] if name == "exponent"], [text for text in map(exponent, curves) if text])
        common.equal(shown["charts"], sum(bool(curve["points"]) for curve in curves), node)


def test_data_are_those_of_json():
    for name in ("report", "by", "diff", "golden", "scaling", "awkward"):
        data = open_page(name)
        shown = BROWSER.run("return document.querySelector('script[type=\"application/json\"]').textContent")
        common.equal(json.loads(shown), data, name)
        if "sentence" in data:
            common.equal(BROWSER.run("return document.querySelector('h1').innerText"), data["sentence"])
        further = data["also"] if "also" in data else data.get("findings", [])[1:]
        common.equal(BROWSER.run("return [...document.querySelectorAll('#findings li')].map((item) => item.innerText)"), further)


def test_what_was_matched():
    """Renamed and moved, below the sentence as in the text."""
    head = """return Object.fromEntries([...document.querySelectorAll('#head > dt')].map((title) => {
        const lines = [];
        for (let line = title.nextElementSibling; line?.tagName === 'DD'; line = line.nextElementSibling)
            lines.push(line.innerText);
        return [title.innerText, lines];
    }));"""
    data = open_page("diff")
    runs = [[f"{WORK}/{side}-{run}" for run in range(3)] for side in ("base", "new")]
    text = common.lapmark("diff", *runs[0], "--", *runs[1], COLUMNS="400").out
    wanted = re.findall(r"^renamed +(.*)$", text, re.MULTILINE)
    common.equal(wanted, ['"store" -> "write", by their neighbours and count'])
    shown = BROWSER.run(head)
    common.equal(([line.replace("→", "->") for line in shown["renamed"]], "moved" in shown), (wanted, False))

    def move(data):
        node = next(node for node in data["nodes"] if node["match"] == "renamed")
        data["nodes"] += [dict(node, match="moved", path=[f"{number}"], base_path=["job", "before", f"{number}"]) for number in range(12)]
        node["match"] = "same"
    path, _ = write_altered("moved", "diff", move)
    BROWSER.open(path)
    shown = BROWSER.run(head)
    common.equal(shown["moved"], [f'"{number}" from "before" to "(outermost)"' for number in range(10)] + ["and 2 more"])
    common.check("renamed" not in shown, shown)


# ---- clicks and keys

COLOURED = """
    const probe = document.createElement('i');
    probe.style.color = getComputedStyle(document.documentElement).getPropertyValue(arguments[0]);
    document.body.append(probe);
    const [red, green, blue] = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
    probe.remove();
    return [...document.querySelectorAll('canvas')].map((canvas) => {
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {willReadFrequently: true});
        copy.drawImage(canvas, 0, 0);
        const pixels = copy.getImageData(0, 0, canvas.width, canvas.height).data;
        let count = 0;
        for (let at = 0; at < pixels.length; at += 4)
            count += pixels[at + 3] > 128 && Math.hypot(pixels[at] - red, pixels[at + 1] - green, pixels[at + 2] - blue) < 24;
        return count;
    });
"""


def coloured(name):
    """How many pixels of each canvas have a colour of the style's, but for what smoothing makes of it."""
    return BROWSER.run(COLOURED, name)


def expanded(selector):
    return BROWSER.run("return document.querySelector(arguments[0]).getAttribute('aria-expanded')", selector)


def mark(label):
    """Gives a node's button an id, so that it can be found."""
    BROWSER.run("""[...document.querySelectorAll('.node')].find((button) => button.innerText.endsWith(arguments[0])).id = 'wanted'""", label)


def test_click():
    data = open_page("diff")
    mark(data["cause"][-1])
    common.equal((expanded("#wanted"), coloured("--less")), ("false", []))
    BROWSER.click("#wanted")
    common.equal(expanded("#wanted"), "true")
    for colour in ("--less", "--more"):
        (pixels,) = coloured(colour)
        common.check(pixels > 150, (colour, pixels))
    common.equal(BROWSER.run("return [...document.querySelectorAll('.u-legend .u-label')].map((each) => each.innerText)"),
                 ["percentile", "base", "new"])
    BROWSER.click("#wanted")
    common.equal((expanded("#wanted"), coloured("--less")), ("false", []))
    open_page("scaling")
    mark("array lookup")
    BROWSER.click("#wanted")
    points, lines = coloured("--less"), coloured("--more")
    common.check(len(points) == len(lines) == 2 and min(points + lines) > 150, (points, lines))


def test_click_beside_the_label():
    open_page("report")
    BROWSER.click(".tree > tbody > tr:first-child > td:last-child")
    common.equal(expanded(".node"), "true")


def test_keyboard():
    open_page("report")
    visited = []
    for _ in range(4):
        BROWSER.press(TAB)
        visited.append(BROWSER.run("const {activeElement: a} = document; return [a.className, a.getAttribute('aria-expanded')]"))
    common.equal(visited[:2], [["twisty", "true"], ["node", "false"]])
    focus = "document.activeElement.id = 'focus'; return getComputedStyle(document.activeElement).outlineStyle"
    common.equal(BROWSER.run(focus), "solid")
    for key, is_open in ((ENTER, "true"), (SPACE, "false"), (ENTER, "true")):
        BROWSER.press(key)
        common.equal(expanded("#focus"), is_open)


def test_closing_takes_everything_away():
    open_page("report")
    rows = shown_rows()
    BROWSER.run("document.querySelectorAll('.node').forEach((button) => button.click())")
    common.check(BROWSER.run("return chartsShown.size") > 0)
    BROWSER.run("document.querySelectorAll('.tree > tbody > tr > .label .twisty').forEach((twisty) => twisty.isConnected && twisty.click())")
    common.equal(BROWSER.run("return document.querySelectorAll('.tree > tbody > tr:not(.details)').length"),
                 len([site for site in page_of("report")[1]["sites"] if len(site["path"]) == 1]))
    BROWSER.run("document.querySelectorAll('.node[aria-expanded=true]').forEach((button) => button.click())")
    common.equal(BROWSER.run("return [chartsShown.size, document.querySelectorAll('canvas').length]"), [0, 0])
    common.equal(shown_rows(), rows)


def test_many_nodes():
    """Few rows at first, and those of a node when it is opened."""
    data = open_page("many")
    common.check(len(data["sites"]) > 4000, len(data["sites"]))
    common.check(BROWSER.run("return document.querySelectorAll('tr').length") < 300)
    BROWSER.run("[...document.querySelectorAll('.twisty[aria-expanded=\"false\"]')].at(-1).click()")
    labels = BROWSER.run("return [...document.querySelectorAll('.label .node')].map((button) => button.textContent)")
    common.equal(labels[-66:], [label_of(site) for site in data["sites"]][-66:])


def test_many_siblings():
    """Some of them at first, and the others by clicks."""
    def multiply(data):
        root = next(site for site in data["sites"] if len(site["path"]) == 1)
        data["sites"] = [root] + [dict(root, path=[root["path"][0], f"part {number}"]) for number in range(450)]
    path, data = write_altered("siblings", "report", multiply)
    BROWSER.open(path)
    rows, clicks = "return [...document.querySelectorAll('.label .node')].map((button) => button.textContent)", 0
    BROWSER.run(OPEN_ALL)
    while (shown := BROWSER.run(rows))[-1].endswith(" more"):
        common.equal(shown[-1], f"and {450 - (len(shown) - 2)} more")
        BROWSER.click(".tree > tbody > tr:last-child .node")
        common.equal(BROWSER.run("return document.activeElement.textContent"), f"part {len(shown) - 2}")
        clicks += 1
    common.equal((clicks, shown), (2, [label_of(site) for site in data["sites"]]))


# ---- looks

OVERFLOWS = """
    const wrong = [];
    if (document.documentElement.scrollWidth > innerWidth)
        wrong.push(`the page is ${document.documentElement.scrollWidth} wide`);
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text; (text = walker.nextNode()); ) {
        const around = text.parentElement;
        if (text.data.trim() === '' || around.closest('script, noscript, .scrolling, .path'))
            continue;
        const range = document.createRange();
        range.selectNodeContents(text);
        const cell = around.closest('th, td, dd, dt, li, h1, h2, p')?.getBoundingClientRect();
        for (const box of range.getClientRects())
            if (box.left < -0.5 || box.right > innerWidth + 0.5 || (cell && (box.left < cell.left - 0.5 || box.right > cell.right + 0.5)))
                wrong.push(`${text.data.slice(0, 40)}: ${box.left} to ${box.right}`);
    }
    for (const each of document.body.querySelectorAll('*'))
        if (!each.closest('.scrolling, .path, .uplot') && getComputedStyle(each).overflowX !== 'visible' && each.scrollWidth > each.clientWidth)
            wrong.push(`${each.className} cuts`);
    return wrong;
"""

LEGIBILITY = """
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
    const rgb = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const luminance = ([red, green, blue]) => {
        const linear = [red, green, blue].map((part) => part / 255).map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const contrast = (one, other) => {
        const [low, high] = [luminance(rgb(one)), luminance(rgb(other))].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    const ground = (element) => {
        for (; element; element = element.parentElement)
            if (rgb(getComputedStyle(element).backgroundColor)[3] > 0)
                return getComputedStyle(element).backgroundColor;
        return 'white';
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text; (text = walker.nextNode()); ) {
        const around = text.parentElement;
        if (text.data.trim() === '' || !around.checkVisibility())
            continue;
        const {color, fontSize} = getComputedStyle(around);
        found.push([contrast(color, ground(around)), parseFloat(fontSize), text.data.slice(0, 40)]);
    }
    const style = getComputedStyle(document.documentElement);
    const panel = document.querySelector('.details > td');
    for (const name of ['--muted', '--less', '--more'])
        found.push([contrast(style.getPropertyValue(name), getComputedStyle(panel).backgroundColor), 12, `${name} in a curve`]);
    return found;
"""


def test_looks():
    for name, label in (("report", "job"), ("diff", "lookup"), ("scaling", "array lookup"), ("awkward", "(rest)")):
        for width in (WIDE, NARROW):
            BROWSER.prefer("light")
            data = open_page(name, width)
            node = next((node for node in data.get("sites") or data["nodes"] if node["count" if "count" in node else "path"] != 1), None)
            mark(label if name in ("diff", "scaling", "awkward") else node["path"][-1])
            BROWSER.click("#wanted")
            pixels = {}
            for scheme in ("light", "dark"):
                BROWSER.prefer(scheme)
                common.equal(BROWSER.run("return matchMedia('(prefers-color-scheme: dark)').matches"), scheme == "dark")
                common.equal(BROWSER.run(OVERFLOWS), [], (name, width, scheme))
                found = BROWSER.run(LEGIBILITY)
                common.check(len(found) > 20, found)
                common.equal([each for each in found if each[0] < 4.5 or each[1] < 12], [], (name, width, scheme))
                pixels[scheme] = coloured("--less")
                common.check(pixels[scheme] and all(count > 100 for count in pixels[scheme]), (name, width, pixels))
    BROWSER.prefer("light")


def test_narrow_and_wide_again():
    """Curves are as wide as the page."""
    open_page("scaling")
    mark("array lookup")
    BROWSER.click("#wanted")
    for width in (NARROW, WIDE):
        BROWSER.resize(width)
        place, canvas = BROWSER.run("return ['.chart', 'canvas'].map((each) => document.querySelector(each).getBoundingClientRect().width)")
        common.check(abs(place - canvas) < 1 and canvas < width, (width, place, canvas))


# ---- what labels can do, and what is loaded


def test_awkward_labels():
    data = open_page("awkward")
    common.equal([row[0] for row in shown_rows()], [re.sub(r"[\t\n]+", " ", label_of(site)) if len(site["path"][-1]) <= 160 else
                                                  label_of(site)[:160] + "…" for site in data["sites"]])
    common.equal(BROWSER.run("return document.title").startswith("lapmark report: "), True)
    common.equal(BROWSER.run("return document.querySelectorAll('script, img, b').length"), 3)
    BROWSER.run("document.querySelectorAll('.node').forEach((button) => button.click())")
    common.equal(BROWSER.run(OVERFLOWS), [])


def test_labels_without_end():
    """What a recorder cuts short is here 64 KiB long, in each text of the data."""
    def lengthen(data):
        for site in data["sites"]:
            site["path"] = [label + " " + "w" * 65536 for label in site["path"]]
            site["function"] = "f" * 65536
    path, _ = write_altered("long", "report", lengthen)
    for width in (WIDE, NARROW):
        BROWSER.resize(width)
        BROWSER.open(path)
        BROWSER.run("document.querySelector('.node').click()")
        common.equal(BROWSER.run(OVERFLOWS), [])


def test_any_recording():
    """Killed, torn, lossy: whatever is missing, nothing is logged."""
    common.equal(BROWSER.log(), [])
    for name in sorted(os.path.basename(path)[:-len(".json")] for path in glob.glob(f"{GOLDEN}/*.json")):
        for command, *others in (("report",), ("scaling",), ("diff", f"{GOLDEN}/full")):
            path, data = write_page(f"{command}-{name}", command, *others, f"{GOLDEN}/{name}")
            BROWSER.open(path)
            BROWSER.run(OPEN_ALL + "[...document.querySelectorAll('.node')].slice(0, 20).forEach((button) => button.click())")
            common.equal(BROWSER.log(), [], path)
            common.equal(BROWSER.run("return document.querySelectorAll('.label .node').length"), len(data.get("sites") or data["nodes"]))


def test_nothing_is_loaded():
    """Nor would it be, if a label were to become markup."""
    BROWSER.log("performance")
    for name in ("report", "diff", "scaling", "awkward"):
        open_page(name)
        common.equal(BROWSER.run("return performance.getEntriesByType('resource').length"), 0)
    messages = [json.loads(entry["message"])["message"] for entry in BROWSER.log("performance")]
    urls = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    common.check(all(url.startswith(f"file://{WORK}/") for url in urls), urls)
    common.equal(BROWSER.log(), [])
    refused = BROWSER.run_async("fetch('http://127.0.0.1:9/').then(() => done(false), (error) => done(String(error)))")
    common.check("fetch" in refused.lower(), refused)
    common.check(any("Content Security Policy" in entry["message"] for entry in BROWSER.log()))


def test_licence():
    with open(page_of("report")[0], encoding="utf-8") as file:
        page = file.read()
    comment = page[:page.index("var uPlot=")]
    common.check("The MIT License (MIT)" in comment and "Leon Sorokin" in comment and "WITHOUT WARRANTY OF ANY KIND" in comment)


# ---- the file


def test_file():
    good = f"{GOLDEN}/good"
    directory = f"{WORK}/files"
    os.mkdir(directory)
    page = f"{directory}/page.html"
    for old in (None, "old"):
        if old:
            with open(page, "w", encoding="utf-8") as file:
                file.write(old)
        result = common.lapmark("report", "--html", page, good)
        common.equal((result.status, result.err), (0, f"lapmark: wrote '{page}'\n"))
        common.check(result.out.startswith("recorded "), result)
        common.equal((os.listdir(directory), stat.S_IMODE(os.stat(page).st_mode)), (["page.html"], 0o666 & ~umask()))
    os.symlink("page.html", f"{directory}/link")
    common.equal(common.lapmark("report", "--html", f"{directory}/link", good).status, 0)
    common.check(os.path.islink(f"{directory}/link") and os.path.getsize(page) > 50000)


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_file_that_cannot_be_written():
    good = f"{GOLDEN}/good"
    for path, reason in ((f"{WORK}/none/page.html", "no such file or directory"), (WORK, "is a directory"),
                         ("/dev/full", "no space left on device")):
        result = common.lapmark("report", "--html", path, good)
        common.equal((result.status, result.err), (2, f"lapmark: cannot write '{path}': {reason}\n"), result)
    common.check(stat.S_ISCHR(os.stat("/dev/full").st_mode))


def leave_where_impossible():
    missing = [program for program in ("chromedriver", "chromium") if not shutil.which(program)]
    refused = common.lapmark("report", "--html", f"{WORK}/page.html", f"{GOLDEN}/good")
    if "built without pages" in refused.err:
        common.equal(refused.status, 2)
        missing.append("--html in this lapmark: uPlot could not be had when it was built")
    if missing:
        print(f"not tested here: the pages, as there is no {', no '.join(missing)}")
        sys.exit(common.SKIPPED)


with contextlib.ExitStack() as stack:
    WORK = stack.enter_context(common.Directory())
    leave_where_impossible()
    BROWSER = stack.enter_context(helper_browser.Browser())
    common.workload(WORK, "busy_steps")
    common.workload(WORK, "scaling_work")
    common.workload(WORK, "awkward_labels", "tests/pages")
    common.main(globals())
