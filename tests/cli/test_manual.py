# SPDX-License-Identifier: MIT
"""Help, made from the option table, and the manual pages say the same: each option with its argument, each command."""
import os
import re
import shutil
import subprocess

import common

PAGES = f"{common.SOURCE}/doc/man"


def commands():
    lines = common.lapmark("help").out.splitlines()
    return [line.split()[0] for line in lines if re.match(r"  [a-z]", line)]


def options_of_help(*command):
    """{'-o, --output DIR', ...}"""
    found = set()
    for line in common.lapmark(*command, "-h").out.splitlines():
        match = re.match(r"  (?:    |(-\w), )(--[a-z-]+)(?: ([A-Z]+))?(?:$|  )", line)
        if match:
            found.add(tuple(part or "" for part in match.groups()))
    return found


def read_page(name):
    with open(f"{PAGES}/{name}.1.scd", encoding="utf-8") as file:
        return file.read()


def options_of_page(name):
    text = read_page(name)
    section = re.search(r"^# OPTIONS\n(.*?)^# ", text, re.MULTILINE | re.DOTALL)
    found = set()
    for line in section.group(1).splitlines() if section else []:
        match = re.match(r"(?:\*(-\w)\*, )?\*(--[a-z-]+)\*(?: _([A-Z]+)_)?$", line)
        if match:
            found.add(tuple(part or "" for part in match.groups()))
    return found


def test_options():
    common.equal(options_of_page("lapmark"), options_of_help())
    for command in commands():
        if command in ("record", "version", "help"):
            continue
        options = options_of_help(command)
        common.check(options, command)
        if command == "run":
            common.check(options_of_help("record") <= options, "record has an option that run has not")
        common.equal(options_of_page(f"lapmark-{command}"), options, command)


def test_commands():
    text = re.search(r"^# COMMANDS\n(.*?)^# ", read_page("lapmark"), re.MULTILINE | re.DOTALL).group(1)
    common.equal(re.findall(r"^\*(\w+)\*", text, re.MULTILINE), commands())
    pages = {name for name in os.listdir(PAGES) if name.startswith("lapmark-")}
    common.equal(pages, {f"lapmark-{name}.1.scd" for name in commands() if name not in ("version", "help")})


def test_pages_build():
    if not shutil.which("scdoc"):
        return
    for name in sorted(os.listdir(PAGES)):
        with open(f"{PAGES}/{name}", "rb") as file:
            result = subprocess.run(["scdoc"], stdin=file, capture_output=True, check=False)
        common.equal(result.returncode, 0, f"{name}: {result.stderr.decode()}")


def test_help_fits():
    for command in [[]] + [[name] for name in commands()]:
        for line in common.lapmark(*command, "-h").out.splitlines():
            common.check(len(line) <= 100, line)


common.main(globals())
