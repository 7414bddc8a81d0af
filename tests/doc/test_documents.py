# SPDX-License-Identifier: MIT
"""What the documents say is so: their code compiles and runs, their outputs have the form of today's, their commands,
options, links, files, functions and variables exist."""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["SOURCE_DIR"], "tests", "cli"))
import common  # noqa: E402

ROOT = pathlib.Path(common.SOURCE)
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "doc").glob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MANUAL = (ROOT / "doc/man/lapmark.3.scd").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL_COMMAND = re.compile(r"^(?:\$ )?(?:sudo )?(lapmark|\./dev) +([a-z-]+)(.*)$", re.MULTILINE)
TABLE_COLUMNS = 90


def compile_block(directory, name, text):
    """Compiles a whole program, or a part without main to an object only. Returns the program's path, or None."""
    is_cxx = "lapmark::" in text
    is_program = re.search(r"\bmain\(", text)
    source = os.path.join(directory, name + (".cc" if is_cxx else ".c"))
    pathlib.Path(source).write_text(text, encoding="utf-8")
    output = os.path.join(directory, name)
    compiler = [os.environ.get("CXX", "c++"), "-std=c++17"] if is_cxx else [os.environ.get("CC", "cc"), "-std=c11"]
    link = [f"-L{common.BUILD}", "-llapmark", f"-Wl,-rpath,{common.BUILD}"] if is_program else ["-c", "-Wno-unused-function"]
    result = common.run(*compiler, "-O2", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/include", "-o", output, source, *link)
    common.equal(result.status, 0, result)
    return output if is_program else None


def readme_example(directory):
    """The README's first program, under the name that its output block runs it by."""
    name = re.search(r"^\$ \./(\w+)$", README, re.MULTILINE).group(1)
    text = next(body for language, body in FENCE.findall(README) if language == "c")
    return compile_block(directory, name, text)


def output_of(command):
    """What the README shows behind a command."""
    return next(body for _, body in FENCE.findall(README) if body.startswith(f"$ {command}\n")).splitlines()[1:]


def masked(lines):
    return [re.sub(r"\d[\d.,]*", "0", line) for line in lines]


def table_rows(lines):
    """(label, count) of each row of a report's tree. A ~ and its explanation depend on the clock."""
    tree = lines[lines.index("") + 1:]
    tree = tree[:tree.index("")] if "" in tree else tree
    rows = [re.match(r"^(.*?\S)\s{2,}(?:~\s+)?([\d,]+)\s", line) for line in tree[1:]]
    common.check(all(rows), "\n".join(lines))
    return [tree[0].split()] + [match.groups() for match in rows]


def test_readme_code():
    with common.Directory() as directory:
        for index, (language, body) in enumerate(FENCE.findall(README)):
            if language in ("c", "cpp"):
                program = compile_block(directory, f"block{index}", body)
                common.check(program, f"block {index} has no main()")
                result = common.run(program)
                common.equal(result.status, 0, result)


def test_readme_report():
    with common.Directory() as directory:
        program = readme_example(directory)
        result = common.run(program)
        common.equal(masked(result.err.splitlines()), masked(output_of(f"./{os.path.basename(program)}")))


def test_readme_table():
    with common.Directory() as directory:
        name = os.path.basename(readme_example(directory))
        result = common.lapmark("run", "--", f"./{name}", cwd=directory, COLUMNS=str(TABLE_COLUMNS))
        common.equal(result.status, 0, result)
        shown, printed = output_of(f"lapmark run -- ./{name}"), result.out.splitlines()
        heads = [[line.split()[0] for line in lines[:lines.index("")]] for lines in (shown, printed)]
        common.equal(heads[1], heads[0], result)
        common.equal(table_rows(printed), table_rows(shown), result)


def test_readme_commands():
    """The commands on a recording, one after another as they stand there."""
    with common.Directory() as directory:
        readme_example(directory)
        block = next(body for _, body in FENCE.findall(README) if body.startswith("lapmark run "))
        for line in block.splitlines():
            words = line.split("#")[0].split()
            if words[0] != "lapmark" and not shutil.which(words[0]):
                continue
            if words[0] == "lapmark":
                words[0] = common.LAPMARK
            result = common.run(*words, cwd=directory)
            common.equal(result.status, 0, f"{line}: {result}")


def test_viewers():
    """Its commands on such a recording as it tells of, one after another, and the heads of the tables that it shows."""
    text = (ROOT / "doc/viewers.md").read_text(encoding="utf-8")
    with common.Directory() as directory:
        demo = common.run("sh", f"{ROOT}/examples/demo_calls.sh", "4", BUILD_DIR=directory, LAPMARK_BIN=common.LAPMARK,
                          EXAMPLES_DIR=os.path.join(common.BUILD, "examples"))
        common.equal(demo.status, 0, demo)
        recordings, formats, printed = os.path.join(directory, "demo-calls"), set(), {}
        for line in re.findall(r"^(?:\$ )?((?:lapmark|sqlite3) .*)$", "\n".join(body for _, body in FENCE.findall(text)), re.MULTILINE):
            words = shlex.split(line)
            formats |= {words[at + 1] for at, word in enumerate(words) if word == "--format"}
            if words[0] != "lapmark" and not shutil.which(words[0]):
                continue
            result = common.run(common.LAPMARK if words[0] == "lapmark" else words[0], *words[1:], cwd=recordings)
            common.equal(result.status, 0, f"{line}: {result}")
            printed[line] = result.out
            for at, word in enumerate(words):
                if word in ("-o", "--html"):
                    common.check(os.path.getsize(os.path.join(recordings, words[at + 1])) > 0, line)
        known = re.search(r"\(([\w|-]+)\)", common.lapmark("export", "-h").out).group(1).split("|")
        common.equal(formats, set(known) - {"otlp-json"})
        shown = [body.splitlines() for _, body in FENCE.findall(text) if body.startswith("label ") and shutil.which("sqlite3")]
        shown += [body.splitlines()[1:] for _, body in FENCE.findall(text) if body.startswith("$ lapmark sql ")]
        heads = {tuple(out.splitlines()[0].split()) for out in printed.values() if out}
        common.equal({tuple(lines[0].split()) for lines in shown} - heads, set(), printed)


def code_of(document):
    """Blocks and spans of code."""
    text = document.read_text(encoding="utf-8")
    spans = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    return "\n".join([body for _, body in FENCE.findall(text)] + spans)


def test_commands_exist():
    known = {"lapmark": set(re.findall(r"^  ([a-z]+) ", common.lapmark("help").out, re.MULTILINE)),
             "./dev": set(re.findall(r"^  ([a-z-]+)", common.run("sh", f"{ROOT}/dev", "help").out, re.MULTILINE))}
    known["./dev"] |= {"lint", "help"}
    found = 0
    for document in DOCUMENTS:
        for program, command, rest in SHELL_COMMAND.findall(code_of(document)):
            common.check(command in known[program], f"{document}: no '{program} {command}'")
            found += 1
            if program == "lapmark":
                help_text = common.lapmark(command, "-h").out
                own = re.sub(r"'[^']*'|\"[^\"]*\"", "", rest).split(" -- ")[0].split("#")[0]  # not those of a command that it runs
                for option in re.findall(r"(?<!\S)(--?[a-z][a-z-]*)", own):
                    common.check(re.search(rf"(?<![\w-]){option}(?![\w-])", help_text), f"{document}: '{command}' has no {option}")
    common.check(found >= 10, f"only {found} commands were found")


def test_links():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                common.check((document.parent / target).exists(), f"{document}: no '{target}'")


def test_files():
    """Files and directories that ARCHITECTURE.md and CONTRIBUTING.md name."""
    names = {path.name for path in ROOT.rglob("*") if path.suffix in (".c", ".h", ".map", ".py", ".scd")}
    for document in (ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"):
        for name in re.findall(r"`((?:[\w.-]+/)*[\w.-]+(?:/|\.(?:c|h|py|txt|cmake|md|map|scd)))`", document.read_text(encoding="utf-8")):
            if name in ("build/",) or "NAME" in name:
                continue
            places = (ROOT / name, ROOT / "src" / name)
            common.check(any(place.exists() for place in places) or name in names, f"{document}: no '{name}'")


def test_manual_code():
    blocks = [body for _, body in FENCE.findall(MANUAL) if body.startswith("#include <lapmark.h>\n")]
    common.check(len(blocks) >= 3, "lapmark(3) has lost its examples")
    with common.Directory() as directory:
        for index, body in enumerate(blocks):
            program = compile_block(directory, f"example{index}", body)
            if program:
                result = common.run(program)
                common.equal(result.status, 0, result)


def test_manual_entries():
    """Behind what an option or command does there is an empty line, as else the next one becomes part of that."""
    for page in sorted((ROOT / "doc/man").glob("*.scd")):
        glued = re.findall(r"^\t.*\n(\S.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        common.equal(glued, [], page)


def test_exit_status_one():
    """lapmark(1) names each command whose own page has a status 1."""
    texts = {page.name.split(".")[0]: page.read_text(encoding="utf-8").split("# EXIT STATUS")[-1].split("\n# ")[0]
             for page in (ROOT / "doc/man").glob("*.1.scd") if "# EXIT STATUS" in page.read_text(encoding="utf-8")}
    one = re.search(r"\*1\*\n(.*?)\n\n", texts["lapmark"], re.DOTALL).group(1)
    wanted = {name.removeprefix("lapmark-") for name, text in texts.items() if name != "lapmark" and re.search(r"\*1\*", text)}
    common.equal({name for name in wanted if f"*{name}" not in one}, set())


def test_manual_names():
    """lapmark(3) names each function and macro of lapmark.h and what it includes for users, and no other."""
    text = "".join((ROOT / "include" / name).read_text(encoding="utf-8") for name in ("lapmark.h", "lapmark/context.h", "lapmark/call.h"))
    wanted = set(re.findall(r"^LAP_I_(?:API|INLINE) [\w *]*?\b(lap_\w+)\(", text, re.MULTILINE))
    wanted |= set(re.findall(r"^#define (LAP_[A-Z]\w*|lap_\w+)\(", text, re.MULTILINE))
    wanted = {name for name in wanted if not name.startswith(("LAP_I_", "lap_impl_"))}
    synopsis = re.search(r"^# SYNOPSIS\n(.*?)^# ", MANUAL, re.MULTILINE | re.DOTALL).group(1)
    common.equal({name for name in wanted if name not in MANUAL}, set())
    in_synopsis = set(re.findall(r"\b(lap_\w+|LAP_\w+)\(", synopsis))
    common.equal(in_synopsis - wanted, set())
    common.equal({name for name in wanted - in_synopsis if not name.startswith("LAP_LABEL")}, set())


def test_manual_variables():
    """The table of variables in lapmark(3) is what the recorder reads."""
    read = set()
    for path in (ROOT / "src/recorder").glob("*.c"):
        read |= set(re.findall(r'"(LAPMARK(?:_[A-Z]+)?)"', path.read_text(encoding="utf-8")))
    table = re.search(r"^# ENVIRONMENT\n(.*?)^# ", MANUAL, re.MULTILINE | re.DOTALL).group(1)
    common.equal(set(re.findall(r"^\|  \*(LAPMARK(?:_[A-Z]+)?)\*$", table, re.MULTILINE)), read)


common.main(globals())
