# SPDX-License-Identifier: MIT
"""`scaling` on work whose growth is in the textbooks, and on laps whose times are known."""
import os
import re
import subprocess
import sys

import common

TEXTBOOK = {"sorted": "n log n", "hash lookups": "1", "tree lookups": "log n", "list scanned": "n", "appended at its end": "n",
            "copied for each byte": "n^2", "multiplied": "n^3", "next gap": "1", "gap drawn": "1", "array lookup": "n"}

LOOP = r" is O\(n\)( or O\(n log n\))? a call and is called n times: (at least )?O\(n²\) in "


def record(directory, *cases, name="rec"):
    for case in cases:
        result = common.run(f"{directory}/scaling_work", case, cwd=directory, LAPMARK_RECORD=name, LAPMARK_PRINT="off")
        common.equal(result.status, 0, result)


def nodes_of(value):
    return {node["path"][-1]: node for node in value["nodes"]}


def finding(value, pattern):
    found = [each for each in value["findings"] if re.match(pattern, each)]
    common.check(found, (pattern, value["findings"], [(node["path"][-1], node["class"], node["candidates"], node["exponent_ci"])
                                                      for node in value["nodes"]]))
    return found[0]


def test_textbook_or_unclear():
    with common.Directory() as directory:
        common.workload(directory, "scaling_work")
        record(directory, "sort", "hash", "tree", "list", "strings", "matrix", "gaps")
        nodes = nodes_of(common.lapmark_json("scaling", "rec", cwd=directory))
        sure = 0
        for label, wanted in TEXTBOOK.items():
            node = nodes[label]
            common.check(node["class"] in (wanted, "unclear"), node)
            common.equal(node["doubt"] is None, node["class"] != "unclear", node)
            low, high = node["exponent_ci"]
            common.check(low <= node["exponent"] <= high, node)
            sure += node["class"] != "unclear"
        common.check(sure >= 3, {label: nodes[label]["class"] for label in TEXTBOOK})
        common.equal(nodes["sorted"]["size_from"], "n")
        common.equal(nodes["array lookup"]["size_from"], "argument 1 of the message 'for %zu gaps'")
        common.equal(nodes["array lookup"]["calls"]["class"], "n", nodes["array lookup"])


def test_loop_that_nobody_wrote():
    with common.Directory() as directory:
        common.workload(directory, "scaling_work")
        record(directory, "gaps")
        value = common.lapmark_json("scaling", "rec", cwd=directory)
        finding(value, '"array lookup"' + LOOP + r"markup_gaps\(\) ")
        common.check(value["findings"][0].startswith('"array lookup" '), value["findings"])
        # What runs as often beside it is constant, and takes less: no finding.
        common.check(not any('"next gap"' in each or '"gap drawn"' in each for each in value["findings"]), value["findings"])
        common.equal(value["sentence"], value["findings"][0])
        text = common.lapmark("scaling", "rec", cwd=directory, COLUMNS="400").out
        common.equal(text.splitlines()[0], value["sentence"])
        common.check("array lookup" in text.split("\n\n", 1)[1], text)
        plain = common.lapmark("scaling", "rec", cwd=directory, COLUMNS="400", LC_ALL="C").out
        common.check("O(n^2)" in plain and plain.isascii(), plain)


def test_what_is_small_comes_behind():
    """A worse kind of growth, in a few percent of the time."""
    with common.Directory() as directory:
        common.workload(directory, "scaling_work")
        record(directory, "gaps", *["resolve"] * 150)
        value = common.lapmark_json("scaling", "rec", cwd=directory)
        finding(value, '"array lookup"' + LOOP)
        common.check(value["findings"][0].startswith('"looked up" '), value["findings"])


def test_loop_that_scans_as_often_each_time():
    with common.Directory() as directory:
        common.workload(directory, "scaling_work")
        record(directory, "resolve")
        value = common.lapmark_json("scaling", "rec", cwd=directory)
        finding(value, r'"looked up" is O\(n\)( or O\(n log n\))? a call and is called 20 times in resolve\(\) ')
        common.equal(nodes_of(value)["looked up"]["calls"]["class"], "1")


def test_share_of_a_profiler_in_a_lap():
    """Its time is in the lap behind it, too."""
    with common.Directory() as directory:
        common.workload(directory, "scaling_work")
        record(directory, "batch")
        value = common.lapmark_json("scaling", "rec", cwd=directory)
        said = finding(value, '"one of a batch"' + LOOP + r"batch\(\) ")
        nodes = nodes_of(value)
        share = 100 * nodes["one of a batch"]["total_ns"] / nodes["batch of %zu"]["total_ns"]
        common.check(abs(float(re.search(r"\(([\d.]+)% of its time now", said)[1]) - share) < 0.06, (said, share))


def test_a_dozen_sizes_once_each():
    with common.Directory() as directory:
        common.workload(directory, "scaling_work")
        names = []
        for size in (450, 30, 660, 66, 200, 97, 44, 1400, 300, 140, 960, 2100):
            names.append(f"run-{size}")
            result = common.run(f"{directory}/scaling_work", "square", str(size), cwd=directory, LAPMARK_RECORD=names[-1], LAPMARK_PRINT="off")
            common.equal(result.status, 0, result)
        value = common.lapmark_json("scaling", *names, cwd=directory)
        common.check(re.match(r'no hidden iteration found; "square" grows fastest: O\(n', value["sentence"]), value)


def test_sizes_from_further_out():
    with common.Directory() as directory:
        common.workload(directory, "scaling_work")
        record(directory, "nested")
        nodes = nodes_of(common.lapmark_json("scaling", "rec", cwd=directory))
        for label, source in (("deep", "argument 2 of the message 'of %s and %zu parts'"),
                              ("inside", "argument 2 of the message 'of %s and %zu parts'"),
                              ("answered", "n of the profiler around it"), ("request", "n")):
            common.equal(nodes[label]["size_from"], source)
            common.check(nodes[label]["class"] in ("n", "unclear"), nodes[label])


def test_one_of_a_constant_family_and_a_cheap_child():
    """A machine with other work may leave it open what is constant: in one of three tries it is said. Nothing else ever is."""
    title = r'"title" is O\(n\)( or O\([a-z ]*\))? where the others of open_window\(\) (are constant|do not grow)'
    with common.Directory() as directory:
        common.workload(directory, "scaling_work")
        for turn in range(3):
            record(directory, "window", "save", name=f"rec-{turn}")
            value = common.lapmark_json("scaling", f"rec-{turn}", cwd=directory)
            cheap = finding(value, r'"name checked" is cheap today but is called n times in save\(\) ')
            common.check("n: n of the profiler around it" in cheap, cheap)
            common.check(not any('"menu"' in each or '"packed"' in each for each in value["findings"]), value["findings"])
            if any(re.match(title, each) for each in value["findings"]):
                return
        finding(value, title)


def test_known_times_under_load():
    """What takes 400 ns more for each n has that slope, and what is constant is said to be, while both processors are busy."""
    with common.Directory() as directory:
        common.workload(directory, "scaling_work")
        load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
        try:
            record(directory, "spin")
        finally:
            for process in load:
                process.kill()
                process.wait()
        nodes = nodes_of(common.lapmark_json("scaling", "rec", cwd=directory))
        for label, wanted in (("constant", "1"), ("linear", "n"), ("quadratic", "n^2")):
            common.check(nodes[label]["class"] in (wanted, "unclear"), nodes[label])
        common.equal(nodes["constant"]["class"], "1", nodes["constant"])
        if nodes["linear"]["class"] == "n":
            common.check(abs(nodes["linear"]["factor"] / 400 - 1) < 0.1, nodes["linear"])
            common.check(abs(nodes["linear"]["offset"] / 3000 - 1) < 0.5, nodes["linear"])


def test_counts_are_sizes_where_there_is_nothing_else():
    with common.Directory() as directory:
        common.workload(directory, "scaling_work")
        record(directory, "visit")
        value = common.lapmark_json("scaling", "rec", cwd=directory)
        node = nodes_of(value)["neighbour"]
        common.equal(node["size_from"], 'count of "neighbour" per "visit"')
        finding(value, '"neighbour"' + LOOP + r"visit\(\) ")


def test_what_cannot_be_told():
    with common.Directory() as directory:
        common.workload(directory, "scaling_work")
        record(directory, "little")
        value = common.lapmark_json("scaling", "rec", cwd=directory)
        few, narrow = (nodes_of(value)[label] for label in ("few", "narrow"))
        common.equal((few["class"], few["doubt"], few["sizes"], few["exponent"]), ("unclear", "few sizes", 4, None))
        common.equal((narrow["class"], narrow["doubt"], narrow["exponent"]), ("unclear", "narrow range", None))
        common.equal(value["findings"], [])
        common.check(value["sentence"].startswith("how costs grow cannot be told: it takes 8 different sizes"), value["sentence"])
        text = common.lapmark("scaling", "rec", cwd=directory).out
        common.check("8 sizes, not 4" in text and "sizes over a factor of 4, not 1.6" in text, text)
        result = common.lapmark("scaling", "nowhere", cwd=directory)
        common.equal((result.status, result.out), (2, ""), result)


def test_nodes_are_the_reports():
    with common.Directory() as directory:
        common.workload(directory, "scaling_work")
        record(directory, "gaps", "save", "visit")
        nodes = {tuple(node["path"]): node for node in common.lapmark_json("scaling", "rec", cwd=directory)["nodes"]}
        sites = {tuple(site["path"]): site for site in common.lapmark_json("report", "--events", "rec", cwd=directory)["sites"]}
        common.equal(set(nodes), set(sites))
        for path, site in sites.items():
            for name in ("count", "kind", "file", "line", "function"):
                common.equal(nodes[path][name], site[name], path)
            common.check(abs(nodes[path]["total_ns"] - site["total_ns"]) <= 1e-6 * site["total_ns"] + 1, (nodes[path], site))


def test_points_are_the_costs():
    """Against the durations of the instances themselves; and the fitted line goes through them."""
    with common.Directory() as directory:
        common.workload(directory, "scaling_work")
        record(directory, "gaps")
        node = nodes_of(common.lapmark_json("scaling", "rec", cwd=directory))["for %zu gaps"]
        costs = {}
        for instance in common.lapmark_json("slowest", "-n", "1000", "for %zu gaps", "rec", cwd=directory)["instances"]:
            costs.setdefault(int(instance["message"].split()[1]), []).append(instance["total_ns"])
        common.equal([size for size, _ in node["points"]], sorted(costs))
        for size, cost in node["points"]:
            common.check(0.99 * min(costs[size]) <= cost <= 1.01 * max(costs[size]), (size, cost, costs[size]))
        (line,) = node["lines"] if node["candidates"] is None else node["lines"][:1]
        common.equal((line["offset"], line["factor"]), (node["offset"], node["factor"]))
        common.check(node["candidates"] is None or sorted(each["class"] for each in node["lines"]) == sorted(node["candidates"]), node)
        if line["class"] == "n^2":
            off = sorted(abs(line["offset"] + line["factor"] * size**2 - cost) / cost for size, cost in node["points"])
            common.check(off[len(off) // 2] < 0.5, node)


def test_runs_are_told_apart():
    with common.Directory() as directory:
        common.workload(directory, "scaling_work")
        record(directory, "list", name="one")
        record(directory, "list", name="other")
        value = common.lapmark_json("scaling", "one", "other", cwd=directory)
        common.equal(value["runs"], 2)
        node = nodes_of(value)["list scanned"]
        common.equal(node["count"], 2 * 84)
        common.check(node["class"] in ("n", "unclear"), node)


common.main(globals())
