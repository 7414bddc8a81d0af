# SPDX-License-Identifier: MIT
"""Where Lapmark is not for, the compiler says so: 32 bits, big-endian, another system, another processor."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["SOURCE_DIR"], "tests", "cli"))
from common import SOURCE, check, main  # pylint: disable=wrong-import-position

PLACES = "lapmark needs 64-bit little-endian Linux"
CLOCK = "lapmark has no clock for this machine yet"
# clang knows all of them, and needs no headers of theirs: stdint.h is its own where nothing is hosted.
TARGETS = (("i386-linux-gnu", PLACES), ("arm-linux-gnueabihf", PLACES), ("x86_64-linux-gnux32", PLACES), ("s390x-linux-gnu", PLACES),
           ("powerpc64-linux-gnu", PLACES), ("aarch64_be-linux-gnu", PLACES), ("x86_64-unknown-freebsd", PLACES),
           ("x86_64-apple-darwin", PLACES), ("riscv64-linux-gnu", CLOCK), ("x86_64-linux-gnu", None), ("aarch64-linux-gnu", None))


def compile_for(target, language):
    return subprocess.run(["clang", "-target", target, "-ffreestanding", "-fsyntax-only", f"-I{SOURCE}/include", "-x", language, "-"],
                          input="#include <lapmark.h>\nvoid f(void);\nvoid f(void) { LAP_PROFILE(\"f\"); LAP_MARK(\"%d\", 1); }\n",
                          capture_output=True, text=True, check=False)


def test_refused():
    for target, message in TARGETS:
        for language in ("c", "c++")[:2 if target.startswith(("arm", "x86_64-linux-gnu")) else 1]:
            result = compile_for(target, language)
            if message is None:
                check(result.returncode == 0, f"{target} {language}\n{result.stderr}")
            else:
                check(result.returncode != 0, f"{target} {language} is not refused")
                # It is what is seen first.
                first = next(line for line in result.stderr.splitlines() if "error:" in line)
                check(message in first, f"{target} {language}\n{result.stderr}")


if __name__ == "__main__":
    check(shutil.which("clang"))
    main(globals())
