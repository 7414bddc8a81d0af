# SPDX-License-Identifier: MIT
"""The installed shared library: it exports what the headers declare and the map lists, links libc alone, stays loaded
and stays small."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(os.environ["SOURCE_DIR"])
NODE = "LAPMARK_0.1"
MAY_LINK = {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
STRIPPED_LIMIT_BYTES = 131 * 1024


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def declared():
    """Names that lapmark.h declares with default visibility, as the preprocessor leaves them."""
    text = run(os.environ["CC"], "-E", "-P", "-DLAPMARK_BUILDING_LIBRARY", f"-I{ROOT}/include", f"{ROOT}/include/lapmark.h")
    names = set()
    for statement in re.split(r"[;{}]", text):
        if 'visibility("default")' in statement:
            statement = re.sub(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)", " ", statement)
            names.add(re.search(r"(\w+)\s*(?:\(|\[|$)", statement.strip()).group(1))
    return names


def mapped():
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "src/recorder/lapmark.map").read_text(), flags=re.S)
    body = re.search(re.escape(NODE) + r"\s*\{\s*global:(.*?)local:\s*\*;", text, re.S).group(1)
    return set(body.replace(";", " ").split())


def exported(library):
    symbols = (line.split()[-1] for line in run("nm", "-D", "--defined-only", "--with-symbol-versions", library).splitlines())
    versioned = (symbol.partition("@") for symbol in symbols)
    return {name if version.strip("@") == NODE else name + at + version for name, at, version in versioned if name != NODE}


def main():
    library = sys.argv[1]
    errors = []

    def expect_equal(what, names, whose, others):
        errors.extend(f"{what} has '{name}', {whose} has not" for name in sorted(names - others))
        errors.extend(f"{whose} has '{name}', {what} has not" for name in sorted(others - names))

    expect_equal("the map", mapped(), "the header", declared())
    expect_equal("the library", exported(library), "the map", mapped())

    dynamic = run("readelf", "-d", "-W", library)
    linked = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    errors.extend(f"links {name}" for name in sorted(linked - MAY_LINK))
    if "[liblapmark.so.0]" not in dynamic:
        errors.append("its soname is not liblapmark.so.0")
    for flag in ("NODELETE", "NOW"):
        if not re.search(rf"\(FLAGS(_1)?\).*\b{flag}\b", dynamic):
            errors.append(f"not linked with -z {flag.lower()}")

    with tempfile.NamedTemporaryFile() as stripped:
        run("strip", "-o", stripped.name, library)
        size = os.stat(stripped.name).st_size
    print(f"stripped: {size} bytes of at most {STRIPPED_LIMIT_BYTES}")
    if size > STRIPPED_LIMIT_BYTES:
        errors.append("larger than that")
    print("\n".join(errors))
    return 1 if errors else 0


sys.exit(main())
