# SPDX-License-Identifier: MIT
"""python3 -m lapmark [OPTION...] SCRIPT [ARGUMENT...], or -m MODULE, or -c TEXT: runs it with profilers on.

Where the `lapmark` command is found, and this Python has the extension module, that is
`lapmark run [OPTION...] -- python3 SCRIPT ...`: it records, and reports at the end. Else the program runs in this process, and
its profilers print; then only -f and --print mean something."""
import os
import runpy
import shutil
import sys
from typing import Dict, List, NoReturn, Optional, Tuple

import lapmark

#: The options of `lapmark run` that take a value. What it does not know it says by itself.
_WITH_VALUE = ("-o", "--output", "-f", "--filter", "--disk", "--ring", "--memory", "--keep", "--by")

_USAGE = """usage: python3 -m lapmark [OPTION...] SCRIPT [ARGUMENT...]
       python3 -m lapmark [OPTION...] -m MODULE [ARGUMENT...]
       python3 -m lapmark [OPTION...] -c TEXT [ARGUMENT...]
       python3 -m lapmark --version

Runs a program with profilers on. OPTION is one of `lapmark run`, such as
  -o, --output DIR    record into DIR
  -f, --filter TERMS  switch profilers by the terms of the LAPMARK variable
  --print             let the profilers print as well
"""


def fail(text: str) -> NoReturn:
    sys.stderr.write(f"lapmark: {text}\n")
    sys.exit(2)


def library() -> str:
    """The recorder that this package has, if it has one."""
    path = os.path.join(os.path.dirname(os.path.abspath(lapmark.__file__)), "liblapmark.so.0")
    return path if lapmark.implementation == "c" and os.path.exists(path) else "none"


def version() -> str:
    command = find_command()
    return (f"lapmark {lapmark.__version__}\n"
            f"implementation  {'C extension' if lapmark.implementation == 'c' else 'pure Python, which does not record'}\n"
            f"package         {os.path.dirname(os.path.abspath(lapmark.__file__))}\n"
            f"library         {library()}\n"
            f"command         {command or 'none'}\n")


def find_command() -> Optional[str]:
    return shutil.which("lapmark")


def split(arguments: List[str]) -> Tuple[Dict[str, Optional[str]], List[str], List[str]]:
    """Options as a dictionary and as they were, and the program with its arguments."""
    options: Dict[str, Optional[str]] = {}
    at = 0
    while at < len(arguments):
        word = arguments[at]
        if word == "--":
            return options, arguments[:at], arguments[at + 1:]
        if word in ("-m", "-c") or not word.startswith("-") or word == "-":
            break
        name, equals, value = word.partition("=")
        if name in _WITH_VALUE and not equals:
            if at + 1 == len(arguments):
                fail(f"'{name}' needs a value")
            at += 1
            value = arguments[at]
        elif not word.startswith("--") and word[:2] in _WITH_VALUE:
            name, value = word[:2], word[2:]
        options[name] = value or None
        at += 1
    return options, arguments[:at], arguments[at:]


def run_here(options: Dict[str, Optional[str]], program: List[str]) -> None:
    """In this process, as python3 itself would."""
    terms = options.get("-f") or options.get("--filter")
    if terms is not None:
        os.environ["LAPMARK"] = terms
        try:
            lapmark.set(terms if terms.startswith("-") else f"off,{terms}")
        except ValueError as error:
            fail(str(error))
    kind = program[0]
    if kind in ("-m", "-c"):
        if len(program) < 2:
            fail(f"'{kind}' needs a value")
        sys.argv = [kind, *program[2:]]
        sys.path[0] = "" if kind == "-c" else os.getcwd()
        if kind == "-m":
            runpy.run_module(program[1], run_name="__main__", alter_sys=True)
            return
        names = {"__name__": "__main__", "__builtins__": __builtins__}
        exec(compile(program[1], "<string>", "exec"), names)  # pylint: disable=exec-used
        return
    if not os.path.exists(kind):
        fail(f"cannot open '{kind}': no such file")
    sys.argv = list(program)
    if not os.path.isdir(kind):
        sys.path[0] = os.path.dirname(os.path.abspath(kind))
    runpy.run_path(kind, run_name="__main__")


def main() -> None:
    options, words, program = split(sys.argv[1:])
    if "-h" in options or "--help" in options:
        sys.stdout.write(_USAGE + "\n" + version())
        return
    if "--version" in options:
        sys.stdout.write(version())
        return
    if not program:
        sys.stderr.write(_USAGE)
        sys.exit(2)
    command = find_command()
    if command is not None and lapmark.implementation == "c":
        os.execv(command, [command, "run", *words, "--", sys.executable, *program])
    run_here(options, program)


main()
