# SPDX-License-Identifier: MIT
"""`lapmark gate` over a Python program. The extension alone records."""
import json
import os
import shlex
import subprocess
import sys
import tempfile

from common_python import environment, main, skip

import lapmark

PROGRAM = """
import sys
from lapmark import Profiler

def job(turns):
    profiler = Profiler('job')
    numbers = [number * 7919 % 10007 for number in range(10000)]
    profiler('drawn')
    for _ in range(turns):
        numbers.sort(key=lambda number: -number)
        numbers.reverse()
    profiler('sorted')

job(int(sys.argv[1]))
"""


def test_slower_step():
    if lapmark.implementation != "c" or "LAPMARK_BIN" not in os.environ:
        skip("this implementation does not record, or ctest has not told where the command is")
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "job.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        command = f"{shlex.quote(sys.executable)} {shlex.quote(path)}"
        done = subprocess.run([os.environ["LAPMARK_BIN"], "gate", "--json", "--base", f"{command} 4", "--new", f"{command} 16"],
                              env=environment(), capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 1, done
    value = json.loads(done.stdout)
    verdicts = {tuple(node["path"]): node["verdict"] for node in value["nodes"]}
    assert verdicts["job", "sorted"] == "fails", value
    assert verdicts["job", "drawn"] != "fails", value


if __name__ == "__main__":
    main(globals())
