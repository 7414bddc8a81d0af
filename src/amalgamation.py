# SPDX-License-Identifier: MIT
"""Writes lapmark.h and lapmark.c, the recorder as two files to put into a project: amalgamation.py OUTPUT-DIRECTORY.

The sources of decoder, text and recorder stand in lapmark.c in a fixed order, each header where it is first included. So a
static name or a macro of a source file must be unique among them all; the compiler says where one is not."""
import pathlib
import re
import sys

SOURCE = pathlib.Path(__file__).resolve().parent
INCLUDE = SOURCE.parent / "include"
COMPONENTS = ("decoder", "text", "recorder")
PUBLIC = ("lapmark/abi.h", "lapmark/context.h", "lapmark/call.h", "lapmark/usdt.h")  # what lapmark.h includes
LOCAL = re.compile(r'#include [<"]([\w/]+\.h)[>"]')
LICENCE_LINE = "/* SPDX-License-Identifier: MIT"

HEADER_TOP = f"""{LICENCE_LINE}
 *
 * Lapmark {{version}}: lapmark.h and what it includes as one file. Written by `./dev amalgamation`, not by hand. It goes with the
 * lapmark.c that was written with it.
 *
{{licence}}
 */
"""
SOURCE_TOP = f"""{LICENCE_LINE}
 *
 * Lapmark {{version}}, the recorder as one file, as `cc -O2 -c lapmark.c` compiles it: C11, gcc or clang, glibc or musl, pthreads.
 * Written by `./dev amalgamation`, not by hand. The licence is in lapmark.h.
 */
#define _GNU_SOURCE
#undef LAPMARK_DISABLE /* who is compiled without it may still need this */
#undef LAPMARK_USDT
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wunused-function" /* the reader's part of headers that both have */
#endif
"""


def without_guard(text):
    """A header's text between its include guard."""
    found = re.search(r"^#ifndef (\w+)\n#define \1\n(.*)^#endif\n\Z", text, re.M | re.S)
    if not found:
        raise SystemExit("amalgamation: a header without an include guard at its ends")
    return text[:found.start()] + found.group(2)


def without_licence(text):
    return text.replace(LICENCE_LINE + " */\n", "", 1).replace(LICENCE_LINE + "\n *\n", "/*\n", 1)


class Amalgamation:
    """Text of the files that were added, each once, and the system's headers that they include anywhere."""

    def __init__(self):
        self.headers = {path.name: path for component in COMPONENTS for path in (SOURCE / component).glob("*.h")}
        self.headers["lapmark/format.h"] = INCLUDE / "lapmark" / "format.h"
        self.done = {"lapmark.h", *PUBLIC}  # these come as a file of their own
        self.system = set()
        self.lines = []

    def add(self, path):
        text = without_licence(path.read_text(encoding="utf-8"))
        if path.suffix == ".h":
            text = without_guard(text)
        lines = []
        depth = 0
        for line in text.splitlines():
            included = LOCAL.match(line)
            name = included.group(1) if included else ""
            depth += bool(re.match(r"#\s*if", line)) - bool(re.match(r"#\s*endif", line))
            if name in self.headers and name not in self.done:
                self.done.add(name)
                self.add(self.headers[name])
            elif included and line.startswith("#include <") and depth == 0 and name not in self.done:
                self.system.add(line)
            elif not (name in self.done or line == "#define _GNU_SOURCE"):
                lines.append(line)
        self.lines += ["", f"/* ---- {path.relative_to(SOURCE.parent)} " + "-" * (100 - len(str(path.relative_to(SOURCE.parent)))) + " */",
                       ""] + lines

    def text(self):
        return "\n".join(sorted(self.system) + ["", '#include "lapmark.h"'] + self.lines) + "\n"


def write(path, text):
    path.write_text(re.sub(r"\n{3,}", "\n\n", text), encoding="utf-8")


def main():
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    header = (INCLUDE / "lapmark.h").read_text(encoding="utf-8")
    version = ".".join(re.search(rf"^#define LAPMARK_VERSION_{part} (\d+)$", header, re.M).group(1) for part in ("MAJOR", "MINOR"))
    licence = (SOURCE.parent / "LICENSE").read_text(encoding="utf-8")
    licence = "\n".join((" * " + line).rstrip() for line in licence.strip().splitlines())
    header = without_licence(header)
    for name in PUBLIC:
        if header.count(f'#include "{name}"\n') != 1:
            raise SystemExit(f"amalgamation: lapmark.h does not include {name} once")
        text = without_licence((INCLUDE / name).read_text(encoding="utf-8"))
        header = header.replace(f'#include "{name}"\n', re.sub(r'#include "\w+\.h"\n', "", text))
    write(directory / "lapmark.h", HEADER_TOP.format(version=version, licence=licence) + header)

    body = Amalgamation()
    for component in COMPONENTS:
        for path in sorted((SOURCE / component).glob("*.c")):
            body.add(path)
    write(directory / "lapmark.c", SOURCE_TOP.format(version=version) + "\n" + body.text())


main()
