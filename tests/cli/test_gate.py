# SPDX-License-Identifier: MIT
"""`gate` over runs in turn, over recordings and baselines; what it refuses; its Markdown and JUnit. Rates: tests/gate."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import xml.etree.ElementTree as xml

import common

WORK = tempfile.mkdtemp(prefix="lapmark-test-", dir="/var/tmp" if os.access("/var/tmp", os.W_OK) else None)
JOB = f"{common.BUILD}/tests/programs/gate_job"
RUNS = [f"run-{number}" for number in range(14)]
STEPS = [["job"], ["job", "draw"], ["job", "parse"], ["job", "sort"], ["job", "count"], ["job", "render"]]


def gate(*arguments, **options):
    return common.lapmark("gate", *arguments, cwd=WORK, timeout=280, **options)


def baseline():
    """The lines of a baseline of runs that were recorded once."""
    if not os.path.exists(f"{WORK}/same.tsv"):
        for name in RUNS:
            common.equal(common.lapmark("record", "-o", name, "--", JOB, cwd=WORK).status, 0)
        common.equal(gate("--write-baseline", "same.tsv", "--", *RUNS).status, 0)
    with open(f"{WORK}/same.tsv", encoding="utf-8") as file:
        return file.read().splitlines()


def written(lines, name="other.tsv"):
    with open(f"{WORK}/{name}", "w", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in lines))
    return name


def faster(line, factor, label="parse"):
    """A line whose step takes a part of the time."""
    fields = line.split("\t")
    if fields[0] != "run" or fields[-1] != label:
        return line
    return "\t".join(fields[:4] + [f"{float(ns) * factor:.1f}" for ns in fields[4:7]] + fields[7:])


def test_in_turn():
    before = common.shared_memory()
    with common.Directory() as place:
        result = gate("--base", f"{JOB}; echo loud", "--new", f"{JOB} 300", "--json", "--junit", "slow.xml", TMPDIR=place)
        common.equal((result.status, result.err), (1, ""), result)
        common.equal(os.listdir(place), [], "runs were left behind")
        common.check(not [name for name in common.shared_memory() - before if name.startswith("gate_job")], "in shared memory, too")
        value = common.json.loads(result.out)
        common.check(value["interleaved"] and value["pairs"] >= 20 and value["second_pairs"] == value["pairs"], value)
        parse = next(node for node in value["nodes"] if node["path"] == ["job", "parse"])
        common.equal(parse["verdict"], "fails", value)
        common.check(parse["ratio_ci"][0] <= parse["ratio"] <= parse["ratio_ci"][1] and parse["second_ratio"] > 1.05, parse)
        common.check(1.5 < parse["ratio"] < 10, parse)
        common.check(value["sentence"].startswith('fails: "job'), value["sentence"])


def test_in_turn_same():
    result = gate("--base", JOB, "--new", JOB, "--max-slowdown", "400%")  # clear soon, however busy the machine
    common.equal((result.status, result.err), (0, ""), result)
    common.check(re.match(r"passes: of \d+ steps none is found to be slower by 400.0%, in \d+ pairs", result.out), result)


def test_coin():
    """Each gate draws its own: the runs of two are in another order. The same in one of a million pairs of gates."""
    orders = []
    for number in range(2):
        log = f"order-{number}"
        base, new = (f"echo {side} >>{log}; {JOB}" for side in ("base", "new"))
        common.equal(gate("--base", base, "--new", new, "--max-slowdown", "400%").status, 0)
        with open(f"{WORK}/{log}", encoding="utf-8") as file:
            orders.append(file.read().split()[2:42])
    common.equal({sorted(order[at:at + 2]) == ["base", "new"] for order in orders for at in range(0, 40, 2)}, {True})
    common.check(orders[0] != orders[1], orders)


def test_once():
    lines = baseline()
    same = gate("--baseline", "same.tsv", "--json", "--", *RUNS)
    common.equal((same.status, same.err), (0, ""), same)
    value = common.json.loads(same.out)
    common.equal((value["pairs"], value["interleaved"], value["second_pairs"]), (14, False, 0))
    for path in STEPS:
        node = next(node for node in value["nodes"] if node["path"] == path)
        common.check(abs(node["ratio"] - 1) < 1e-3, node)
        common.check(node["share"] >= 0.05, node)
        common.check(abs(node["base"]["mean_ns"] - node["new"]["mean_ns"]) < 1, node)
    common.equal(next(node for node in value["nodes"] if node["path"][-1] == "row")["base"]["count"], 400)
    again = gate(*RUNS, "--", *RUNS)
    common.equal(again.status, 0, again)

    half = written([faster(line, 0.5) for line in lines], "half.tsv")
    result = gate("--baseline", half, "--", *RUNS)
    common.equal(result.status, 1, result)
    common.check(result.out.startswith('fails: "job > parse" is 100.0% slower (100.0% to 100.0%)'), result)
    common.check("no error rate is promised" in result.out, result)
    common.check(re.search(r"fails: [^\n]*; a slowdown of [0-9.]+% in any of \d+ steps would have been found by 95 of 100 such gates\n",
                           result.out), result)
    thirtieth = written([faster(line, 1 / 30) for line in lines], "thirtieth.tsv")
    result = gate("--baseline", thirtieth, "--", *RUNS)
    common.check(result.out.startswith('fails: "job > parse" is 30x slower (30x to 30x)'), result)
    slower = gate("--baseline", written([faster(line, 2) for line in lines]), "--", *RUNS)
    common.equal(slower.status, 0, slower)
    for options, status in ((["--min-effect", "1h"], 0), (["--max-slowdown", "110%"], 0), (["--max-slowdown", "90%"], 1)):
        common.equal(gate(*options, "--baseline", half, "--", *RUNS).status, status, options)


def test_power():
    lines = baseline()
    noisy = written([faster(line, 3 if line.startswith("run") and int(line.split("\t")[1]) % 2 else 0.3) for line in lines])
    result = gate("--baseline", noisy, "--", *RUNS)
    common.equal(result.status, 0, result)
    common.check("could not have told a slowdown of 5.0% from none" in result.out, result)
    result = gate("--baseline", noisy, "--require-power", "--", *RUNS)
    common.equal(result.status, 2, result)
    common.equal(result.err, "lapmark: --require-power: a slowdown at the limit could not have been told from none\n")


def test_lost_step():
    """A step that only one side has cannot be compared, and is named."""
    other = written([line.replace("\tjob\tsort", "\tjob\torder by number") for line in baseline()])
    result = gate("--baseline", other, "--markdown", "lost.md", "--junit", "lost.xml", "--", *RUNS)
    common.equal(result.status, 0, result)
    for label in ("sort", "order by number"):
        common.check(f'not gated   "job > {label}": it is not in every run of both sides' in result.out, result)
    with open(f"{WORK}/lost.md", encoding="utf-8") as file:
        paragraphs = file.read().split("\n\n")
    suite = xml.parse(f"{WORK}/lost.xml").getroot()
    skipped = {case.attrib["name"]: case.find("skipped").attrib["message"] for case in suite.findall("testcase")
               if case.find("skipped") is not None}
    common.equal(skipped, {f"job > {label}": "not gated: it is not in every run of both sides" for label in ("sort", "order by number")})
    common.equal((suite.attrib["skipped"], suite.attrib["tests"]), ("2", str(len(suite.findall("testcase")))))
    for label in ("sort", "order by number"):
        common.check(f"**not gated** job > {label}: it is not in every run of both sides" in paragraphs, paragraphs)
    runs = "not interleaved: what else changed between the two sides counts as well, and no error rate is promised"
    common.check(f"**runs** {runs}" in paragraphs, paragraphs)
    common.check(f"runs: {runs}" in suite.find("system-out").text.splitlines(), suite.find("system-out").text)


def test_forms():
    half = written([faster(line, 0.5) for line in baseline()])
    result = gate("--baseline", half, "--json", "--junit", "gate.xml", "--markdown", "gate.md", "--", *RUNS)
    common.equal(result.status, 1, result)
    nodes = common.json.loads(result.out)["nodes"]
    suite = xml.parse(f"{WORK}/gate.xml").getroot()
    common.equal(suite.tag, "testsuite")
    common.equal(set(suite.attrib), {"name", "tests", "failures", "errors", "skipped", "time"})
    cases = suite.findall("testcase")
    common.equal([case.attrib["name"] for case in cases], [" > ".join(node["path"]) for node in nodes])
    common.equal({child.tag for case in cases for child in case}, {"failure", "system-out"})
    failed = [case.attrib["name"] for case in cases if case.find("failure") is not None]
    common.equal(failed, [" > ".join(node["path"]) for node in nodes if node["verdict"] == "fails"])
    common.check("job > parse" in failed and suite.attrib["failures"] == str(len(failed)), failed)
    with open(f"{WORK}/gate.md", encoding="utf-8") as file:
        rows = [line for line in file.read().splitlines() if line.startswith("|")]
    common.equal(len(rows), len(nodes) + 2)
    common.equal({len(re.findall(r"(?<!\\)\|", row)) for row in rows}, {9})
    for options in (["--junit", "no/where"], ["--markdown", "no/where"], ["--write-baseline", "no/where"]):
        result = gate("--baseline", half, *options, "--", *RUNS)
        common.equal((result.status, result.err), (2, "lapmark: cannot write 'no/where': no such file or directory\n"), options)


def test_baselines_refused():
    lines = baseline()
    machine = next(number for number, line in enumerate(lines) if line.startswith("machine\tkernel"))
    first = next(number for number, line in enumerate(lines) if line.startswith("run"))
    cases = [
        ([], "it ends without saying of which machine it is"),
        (["something else"], "line 1: it does not begin with 'lapmark baseline 1'"),
        (lines[:machine] + lines[machine + 1:], "it ends without saying of which machine it is"),
        (lines[:first], "it ends without a run"),
        (lines + ["ran\t0"], "neither 'machine' nor 'run'"),
        (lines + ["run\t0\tlap"], "a 'run' line has at least 8 fields"),
        (lines + ["run\t99\tlap\t1\t1\t1\t1\tx"], "the runs are not numbered from 0 on"),
        (lines + ["run\t0\tlap\t0\t1\t1\t1\tx"], "not: run, number, kind"),
        (lines + ["run\t0\tlap\t1\tnan\t1\t1\tx"], "not: run, number, kind"),
        (lines + ["run\t0\tlap\t1\t-1\t1\t1\tx"], "not: run, number, kind"),
        (lines + ["run\t0\tlop\t1\t1\t1\t1\tx"], "not: run, number, kind"),
        (lines + ["run\t0\tlap\t1\t1\t1\t1\tx\\y"], "a backslash that is none of"),
        (lines[:machine] + ["machine\tkernel\t2.0"] + lines[machine + 1:], "of another machine: its kernel is '2.0', here it is '"),
    ]
    for wrong, message in cases:
        result = gate("--baseline", written(wrong, "wrong.tsv"), "--", *RUNS)
        common.equal((result.status, result.out), (2, ""), (message, result))
        common.check("'wrong.tsv'" in result.err and message in result.err and result.err.count("\n") == 1, (message, result))


def test_interrupted():
    """At whatever moment it comes, between two runs as well."""
    with common.Directory() as place:
        for turn in range(6):
            process = subprocess.Popen([common.LAPMARK, "gate", "--base", JOB, "--new", JOB], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True, env=common.environment(TMPDIR=place), cwd=WORK,
                                       start_new_session=True)
            while not os.listdir(place):
                time.sleep(0.01)
            time.sleep(0.5 + 0.013 * turn)
            os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=60)
            common.equal((process.returncode, out, err), (2, "", "lapmark: ended by SIGINT: nothing can be said\n"))
            common.equal(os.listdir(place), [], "runs were left behind")


def test_refused():
    baseline()
    cases = [
        ([], "'gate' needs what is new: give --new 'COMMAND', or recordings behind '--'"),
        (["--new", JOB], "'gate' needs a base: give --base 'COMMAND', --baseline FILE, or recordings before '--'"),
        (["--base", JOB, "--baseline", "same.tsv", "--new", JOB], "the base is given more than once"),
        (["--base", JOB, RUNS[0], "--", RUNS[1]], "the base is given more than once"),
        (["--base", JOB, "--new", JOB, "--", RUNS[1]], "what is new is given twice"),
        (["--base", JOB, "--new", JOB, "--max-slowdown", "5"], "--max-slowdown: '5' is no percentage above 0 such as 5% or 2.5%"),
        (["--base", JOB, "--new", JOB, "--max-slowdown", "0%"], "--max-slowdown: '0%' is no percentage"),
        (["--base", JOB, "--new", JOB, "--min-effect", "x"], "--min-effect: 'x' is no duration"),
        (["--base", JOB, "--new", JOB, "--max-time", "1ms"], "nothing can be said with less than 20: give more --max-time"),
        (["--base", JOB, "--new", "false"], "'false' ended with status 1: a gate needs runs that go well"),
        (["--base", JOB, "--new", "kill -9 $$"], "was ended by SIGKILL: a gate needs runs that go well"),
        (["--base", "true", "--new", JOB], "nothing was recorded: 'true' met no profiler that is on"),
        (["--baseline", "none.tsv", "--new", JOB], "cannot open 'none.tsv': no such file or directory"),
        (["missing", "--", RUNS[0]], "cannot open 'missing': no such file or directory"),
        ([*RUNS[:5], "--", *RUNS[5:]], "5 runs of the base and 9 of the new: nothing can be said with less than 12 of each"),
    ]
    for arguments, message in cases:
        result = gate(*arguments)
        common.equal((result.status, result.out), (2, ""), (arguments, result))
        common.check(result.err.startswith("lapmark: ") and message in result.err, (arguments, result))
        common.equal(result.err.count("\n"), 1, (arguments, result))
    result = gate("--base", JOB, "--new", JOB, TMPDIR="/nowhere")
    common.equal(result.status, 2, result)
    common.check("TMPDIR says where else" in result.err, result)


try:
    common.main(globals())
finally:
    shutil.rmtree(WORK, ignore_errors=True)
