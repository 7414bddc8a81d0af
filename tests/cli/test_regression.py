# SPDX-License-Identifier: MIT
"""`./dev demo-regression` on a tenth of its packages: each command says what its documents say that it says."""
import hashlib
import os
import re

import common

LAP = '"newest version found"'


def demo(directory):
    """What the demo printed, and what the commands said, by name."""
    result = common.run("sh", f"{common.SOURCE}/examples/demo_regression.sh", "3000", "400%", timeout=280, BUILD_DIR=directory,
                        EXAMPLES_DIR=os.environ["EXAMPLES_DIR"], LAPMARK_BIN=common.LAPMARK)
    common.equal((result.status, result.err), (0, ""), result)
    common.equal(re.findall(r"^exit status (\d)$", result.out, re.MULTILINE), ["0", "1"], result)
    texts = {}
    for name in ("scaling", "diff", "gate-passes", "gate-fails"):
        with open(f"{directory}/demo-regression/{name}.txt", encoding="utf-8") as file:
            texts[name] = file.read()
        common.check(texts[name].splitlines()[0] in result.out, result)
    return result.out, texts


def gates(text):
    """The gates' commands as they are shown, without what goes on in the next line."""
    shown = re.findall(r"^\$ (lapmark gate --max-slowdown (?:.*\\\n)*.*)$", text, re.MULTILINE)
    return [re.sub(r" \\\n *", " ", command) for command in shown]


def complaints(texts):
    """What is not as it should be."""
    wanted = {
        "scaling": rf"^[^\n]*{LAP} is O\(n[^\n]* a call and is called \d+ times in ",
        "diff": rf'^"closure of %s" is \d+x faster \(p50 [^\n]*: (all|\d+ %) of it in {LAP}, whose count did not change\n',
        "gate-passes": r"^passes: of \d+ steps none is found to be slower by 400\.0%, in \d+ pairs of runs; ",
        "gate-fails": rf'^fails: "package index > look up %zu packages > closure of %s > {LAP[1:]} is \d+x slower ',
    }
    return [f"{name}:\n{texts[name]}" for name, text in wanted.items() if not re.search(text, texts[name])]


def blamed(texts):
    """The laps of scaling's sentences, which stand before its table."""
    return re.findall(r'^(?:also +)?"(.*?)" is ', re.split(r"\n {20}", texts["scaling"])[0], re.MULTILINE)


def check_gates_as_typed(directory, out):
    """What is shown is what was run, and what doc/regression.md shows. In 80 columns the table has an end of each path, of its own, and
    what could have been found."""
    commands = gates(out)
    with open(f"{common.SOURCE}/doc/regression.md", encoding="utf-8") as file:
        common.equal([command.replace("400%", "25%").replace(" 600 ", " 6000 ") for command in commands], gates(file.read())[:2])
    path = f"{os.path.dirname(common.LAPMARK)}:{os.environ['EXAMPLES_DIR']}:{os.environ['PATH']}"
    result = common.run("sh", "-c", commands[1], cwd=directory, timeout=280, PATH=path, COLUMNS="80")
    common.equal((result.status, result.err), (1, ""), result)
    head, *rows = result.out.split("\n\n")[-1].splitlines()
    common.check(re.search(r" slower +detectable$", head), result)
    common.check(max(map(len, [head, *rows])) <= 80, result)
    common.check(all(re.search(r"% +(passes|unclear|fails)$", row) for row in rows), result)
    labels = [re.split(r"  +", row)[0] for row in rows]
    common.equal(len(set(labels)), len(rows), result)
    common.check(any(label.endswith(f"> {LAP[1:-1]}") for label in labels), result)


def test_demo():
    for _ in range(3):  # a machine that is busy may hide one of them; not each time
        with common.Directory() as directory:
            out, texts = demo(directory)
            wrong = complaints(texts)
            check_gates_as_typed(f"{directory}/demo-regression", out)
        common.check(set(blamed(texts)) <= {LAP.strip('"')}, texts["scaling"])  # that, however busy it is
        if not wrong:
            break
        print("\n".join(wrong))
    common.equal(wrong, [])


def test_list():
    """The same on every machine: mawk, gawk, busybox and the original awk write this one."""
    result = common.run("awk", "-v", "count=3000", "-f", f"{common.SOURCE}/examples/package_list.awk")
    common.equal((result.status, result.err), (0, ""), result)
    common.equal(result.out.count("\nDescription: "), 3000)
    common.equal(hashlib.sha256(result.out.encode()).hexdigest()[:16], "08e02d1e604df418")


def test_refused():
    for packages in ("2999", "many", "-1"):
        with common.Directory() as directory:
            result = common.run("sh", f"{common.SOURCE}/examples/demo_regression.sh", packages, BUILD_DIR=directory,
                                EXAMPLES_DIR=os.environ["EXAMPLES_DIR"], LAPMARK_BIN=common.LAPMARK)
            common.equal((result.status, result.err), (2, f"demo: PACKAGES is a number from 3000 up, not '{packages}'\n"))
            common.equal(os.listdir(directory), [])


common.main(globals())
