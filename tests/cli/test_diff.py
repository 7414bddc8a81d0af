# SPDX-License-Identifier: MIT
"""`diff` on recordings of steps whose times are known by the clock, one of them slower, more often or renamed; and against what
`report` says of each run."""
import os
import shutil
import tempfile

import common

WORK = tempfile.mkdtemp(prefix="lapmark-test-", dir="/var/tmp" if os.access("/var/tmp", os.W_OK) else None)
TURNS, PARSE_US, LOOKUPS, LOOKUP_US, STORE_US = 100, 100, 2, 40, 50
PLAIN = (PARSE_US, LOOKUPS, "store")
TURN = ["job", "turn()"]


def record(name, parse_us, lookups, store, **variables):
    if not os.path.exists(f"{WORK}/busy_steps"):
        common.workload(WORK, "busy_steps")
    result = common.run(f"{WORK}/busy_steps", str(TURNS), str(parse_us), str(lookups), store, LAPMARK_RECORD=f"{WORK}/{name}",
                        LAPMARK_PRINT="off", **variables)
    common.equal((result.status, result.err), (0, ""), result)
    return f"{WORK}/{name}"


def sides(name, new, runs=4):
    """Recordings of runs in turn, so that what else the machine does comes to both sides. Made once."""
    names = [[f"{name}-base-{run}", f"{name}-new-{run}"] for run in range(runs)]
    if not os.path.exists(f"{WORK}/{names[0][0]}"):
        for base, other in names:
            record(base, *PLAIN)
            record(other, *new)
    return [f"{WORK}/{base}" for base, _ in names], [f"{WORK}/{other}" for _, other in names]


def compared(base, new):
    value = common.lapmark_json("diff", *base, "--", *new)
    for node in value["nodes"]:
        before, after = (node[side]["total_ns"] if node[side] else 0 for side in ("base", "new"))
        close(node["added_ns"], after - before, 1e-6, 0.01)
        close(node["by_count_ns"] + node["by_cost_ns"], node["added_ns"], 1e-6, 0.01)
        around = {} if node["parent"] is None else value["nodes"][node["parent"]]
        common.equal((node["path"] if node["new"] else node["base_path"])[:-1],
                     (around.get("path") if node["new"] else around.get("base_path")) or [], node)
        close(node["self_added_ns"] + node["inherited_added_ns"], node["added_ns"], 1e-6, 0.01)
        if node["ratio"]:
            close(node["ratio"], node["new"]["mean_ns"] / node["base"]["mean_ns"], 1e-4)
            low, high = node["ratio_ci"]
            common.check((low is None or low <= node["ratio"]) and (high is None or node["ratio"] <= high), node)
    order = [abs(node["shift_ns"]) or abs(node["added_ns"]) for node in value["nodes"]]
    changed = sum(node["shift_ns"] != 0 for node in value["nodes"])
    common.equal(order, sorted(order[:changed], reverse=True) + sorted(order[changed:], reverse=True))
    return value, {tuple(node["path"]): node for node in value["nodes"]}


def close(got, wanted, part, at_least=0.0):
    common.check(abs(got - wanted) <= part * abs(wanted) + at_least, (got, wanted))


def found(name, new, cause):
    """The sides in which the cause is found. Something that did not change may be told in one comparison of twenty, and a machine that
    is busy makes it large; not in three in a row."""
    for attempt in range(3):
        base, other = sides(f"{name}-{attempt}", new)
        value = common.lapmark_json("diff", *base, "--", *other)
        if value["cause"] == cause:
            break
        print(value["sentence"])
    common.equal(value["cause"], cause, value["sentence"])
    return base, other


def slower():
    return found("slower", (2 * PARSE_US, LOOKUPS, "store"), TURN + ["parse"])


def often():
    return found("often", (PARSE_US, 3 * LOOKUPS, "write"), TURN + ["lookup"])


def test_slower():
    base, new = slower()
    value, nodes = compared(base, new)
    parse, lookup, turn = (nodes[tuple(path)] for path in (TURN + ["parse"], TURN + ["lookup"], TURN))
    common.equal((value["changed"], value["cause"]), (TURN, TURN + ["parse"]), value["sentence"])
    common.check(parse["p50_changed"] and not parse["count_changed"] and not lookup["count_changed"], parse)
    close(parse["base"]["p50_ns"], PARSE_US * 1e3, 0.03)
    close(parse["p50_ratio"], 2, 0.03)
    common.check(parse["p50_ratio_ci"][0] > 1.5 and parse["p50_ratio_ci"][1] < 2.5, parse)
    close(lookup["p50_ratio"], 1, 0.03)
    if parse["shift_ns"] != parse["added_ns"]:  # else the sums are sure as they are, with what the machine did meanwhile
        close(parse["shift_ns"], PARSE_US * TURNS * 1e3, 0.05)
    common.check(turn["p50_changed"] and turn["p50_ratio"] > 1.2, turn)
    text = common.lapmark("diff", *base, "--", *new).out
    common.check(text.startswith("turn() is 1."), text)
    common.check("x slower (" in text and ' of it in "parse", whose count did not change\n' in text, text)
    common.equal(text.splitlines()[0], value["sentence"])
    common.check("\nruns        4 before, 4 after; " in text and "for the noise between runs; with so few they are wide\n" in text, text)


def test_faster():
    new, base = slower()
    value, nodes = compared(base, new)
    common.equal((value["changed"], value["cause"]), (TURN, TURN + ["parse"]), value["sentence"])
    close(nodes[tuple(TURN + ["parse"])]["p50_ratio"], 0.5, 0.03)
    common.check("x faster (" in value["sentence"], value)


def test_more_often():
    value, nodes = compared(*often())
    lookup = nodes[tuple(TURN + ["lookup"])]
    common.equal(value["cause"], TURN + ["lookup"], value["sentence"])
    common.equal((lookup["count_ratio"], lookup["count_ratio_ci"], lookup["count_changed"]), (3, [3, 3], True))
    close(lookup["p50_ratio"], 1, 0.01)
    common.check('"lookup", which comes 3.0x as often (200 → 600 a run), at the same cost each time' in value["sentence"], value)


def test_renamed():
    base, new = often()
    _, nodes = compared(base, new)
    write = nodes[tuple(TURN + ["write"])]
    common.equal((write["match"], write["base_path"], write["base"]["count"]), ("renamed", TURN + ["store"], TURNS))
    close(write["p50_ratio"], 1, 0.03)
    common.check('\nrenamed     "store" -> "write", by their neighbours and count\n' in common.lapmark("diff", *base, "--", *new).out)


def test_same():
    """At most one comparison in twenty may tell a change, so not two in a row; the rate itself is measured in the unit tests."""
    for attempt in range(3):
        value, nodes = compared(*sides(f"same-{attempt}", PLAIN))
        close(nodes[tuple(TURN + ["parse"])]["p50_ratio"], 1, 0.03)
        if value["changed"] is None:
            break
        print(value["sentence"])
    common.equal((value["changed"], value["cause"]), (None, None), value["sentence"])
    common.check(value["sentence"].startswith("no difference"), value)
    common.check(1 < value["detectable_ratio"] < 2 and " would have been seen if it were " in value["sentence"], value)


def test_one_run_a_side():
    base, new = slower()
    causes = []
    for run, other in zip(base, new):
        value, nodes = compared([run], [other])
        causes.append(value["cause"])
    common.check(TURN + ["parse"] in causes, causes)
    common.equal((nodes[("job",)]["ratio_ci"], nodes[("job",)]["base"]["count"]), ([None, None], 1))  # it came once
    common.check(value["untold"] >= 1, value)
    pair = common.lapmark("diff", base[0], new[0])
    common.equal(pair.out, common.lapmark("diff", base[0], "--", new[0]).out)
    common.check("for the noise inside a run only: " in pair.out, pair)
    value, _ = compared(base[:1], base[:1])
    common.equal((value["changed"], {node["added_ns"] for node in value["nodes"]}), (None, {0}))
    common.check(value["detectable_ratio"] >= 1.05, value)  # a run's own noise is not known


def test_as_report_says():
    base, new = often()
    _, nodes = compared(base, new)
    for side, directories in (("base", base), ("new", new)):
        reports = [{tuple(site["path"]): site for site in common.lapmark_json("report", directory)["sites"]}
                   for directory in directories]
        for node in nodes.values():
            path = tuple(node["base_path"] if side == "base" else node["path"])
            sites = [report[path] for report in reports]
            count, total_ns = (sum(site[member] for site in sites) for member in ("count", "total_ns"))
            close(node[side]["count"], count / len(sites), 1e-9)
            curve = dict(node[side]["percentiles"])
            common.equal(curve.get(50, node[side]["p50_ns"]), node[side]["p50_ns"], node)
            close(curve[100], sum(site["max_ns"] for site in sites) / len(sites), 1e-6, 0.001)
            close(node[side]["total_ns"], total_ns / len(sites), 1e-6)
            close(node[side]["mean_ns"], total_ns / count, 1e-6, 0.001)
            for percentile in ("p50_ns", "p99_ns"):
                wanted = sum(site[percentile] for site in sites) / len(sites)
                if count > 10 * len(sites):  # the report's are a bucket's
                    close(node[side][percentile], wanted, 0.1 if percentile == "p50_ns" else 1, 3)  # some ticks


def test_histograms():
    """What the rings have overwritten is in the histograms, whose buckets are told by the interval."""
    common.workload(WORK)
    runs = []
    for name in ("whole", "wrapped"):
        ring = {"LAPMARK_RING": "1M"} if name == "wrapped" else {}
        result = common.run(f"{WORK}/workload", "wrap", "400000", LAPMARK_RECORD=f"{WORK}/{name}", LAPMARK_PRINT="off", **ring)
        common.equal(result.status, 0, result)
        runs.append(f"{WORK}/{name}")
    common.equal([common.lapmark_json("report", run)["overwritten"] > 0 for run in runs], [False, True])
    _, exact = compared(runs[:1], runs[:1])
    _, rough = compared(runs[1:], runs[1:])
    path = ("wrap", "turn")
    common.equal((rough[path]["base"]["count"], exact[path]["base"]["count"]), (400000, 400000))
    for nodes, wide in ((exact, 0), (rough, 0.03)):  # of some 20 ns, of which a bucket's width is one of 16 to 32 parts
        low, high = nodes[path]["p99_ratio_ci"]
        common.check(low < 1 < high or wide == 0, nodes[path])
        common.check(high / low >= 1 + wide, nodes[path])


def test_damaged():
    """Whatever the recordings are, it says something about them, or why it cannot."""
    golden = f"{common.SOURCE}/tests/golden/v1"
    for name in ("broken", "full", "good", "killed", "lossy", "texts", "torn"):
        result = common.lapmark("diff", f"{golden}/good", f"{golden}/{name}")
        common.check(result.status == 0 and result.out or result.status == 2 and result.err.startswith("lapmark: "), result)


try:
    common.main(globals())
finally:
    shutil.rmtree(WORK, ignore_errors=True)
