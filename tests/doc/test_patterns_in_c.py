# SPDX-License-Identifier: MIT
"""The C blocks of doc/patterns.md compile, and print what stands behind them. Those in Python are in tests/python."""
import os
import pathlib
import re
import sys

sys.path.insert(0, os.path.join(os.environ["SOURCE_DIR"], "tests", "cli"))
import common  # noqa: E402

DOCUMENT = pathlib.Path(common.SOURCE, "doc/patterns.md")
PAIR = re.compile(r"^```c\n(.*?)^```\n\n^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BEFORE = """
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <lapmark.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
static void work_ms(double ms)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - start.tv_sec) * 1e3 + (double)(now.tv_nsec - start.tv_nsec) / 1e6 < ms);
}
"""


def masked(text):
    return re.sub(r"\d[\d.]*(?= ms|, queue |[:;] (?:handle|between) )|(?<=between )\d[\d.]*", "0", text)


def run(directory, number, body):
    """What a block prints."""
    source, program = os.path.join(directory, f"block{number}.c"), os.path.join(directory, f"block{number}")
    pathlib.Path(source).write_text(BEFORE + body, encoding="utf-8")
    result = common.run(os.environ.get("CC", "cc"), "-std=c11", "-O1", "-Wall", "-Wextra", "-Wno-unused-function", "-Werror", f"-I{common.SOURCE}/include",
                        "-o", program, source, f"-L{common.BUILD}", "-llapmark", f"-Wl,-rpath,{common.BUILD}")
    common.equal(result.status, 0, result)
    result = common.run(program)
    common.equal(result.status, 0, result)
    return result.err


def test_blocks():
    pairs = PAIR.findall(DOCUMENT.read_text(encoding="utf-8"))
    common.check(len(pairs) >= 15, f"only {len(pairs)} blocks were found")
    with common.Directory() as directory:
        for number, (body, shown) in enumerate(pairs):
            common.equal(masked(run(directory, number, body)), masked(shown), body)


def test_every_block_has_its_output():
    text = DOCUMENT.read_text(encoding="utf-8")
    common.equal(len(re.findall(r"^```c$", text, re.MULTILINE)), len(PAIR.findall(text)))


if __name__ == "__main__":
    common.main(globals())
