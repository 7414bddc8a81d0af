# SPDX-License-Identifier: MIT
"""The shared library's binary interface against the stored one, lapmark.abi: nothing that is there goes away or changes; functions
may be added. binary_interface.py LIBRARY; with --renew it writes lapmark.abi anew."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(os.environ.get("SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
STORED = ROOT / "tests" / "package" / "lapmark.abi"
HEADERS = str(ROOT / "include")
LESS = ("--exported-interfaces-only", "--drop-undefined-syms", "--drop-private-types", "--no-corpus-path", "--no-comp-dir-path",
        "--no-show-locs")
SAY = """it is not what tests/package/lapmark.abi holds. Programs are compiled with that: see "Changing the ABI" in CONTRIBUTING.md.
If it is meant to change, renew the file (and say so in the changelog):
    python3 tests/package/binary_interface.py build/tests/package/libpackage_interface.so --renew"""


def difference(stored, library):
    """What abidiff says beyond additions; "" if nothing."""
    result = subprocess.run(["abidiff", "--no-added-syms", str(stored), library],
                            capture_output=True, text=True, check=False)
    if result.returncode & 3:
        raise SystemExit(f"abidiff: {result.stderr}")
    return result.stdout if result.returncode != 0 else ""


def changes_are_seen(library):
    """A function that is gone, a structure that has grown, a member that moved: is it told?"""
    text = STORED.read_text(encoding="utf-8")
    for pattern, other in (("'lap_end'", "'lap_ends'"), (r"(name='lap_impl_site' size-in-bits=)'512'", r"\1'448'"),
                           (r"(name='lap_impl_thread' size-in-bits=)'\d+'", r"\1'64'")):
        with tempfile.NamedTemporaryFile("w", suffix=".abi", encoding="utf-8") as file:
            changed = re.sub(pattern, other, text)
            if changed == text:
                raise SystemExit(f"lapmark.abi has no {pattern}")
            file.write(changed)
            file.flush()
            if not difference(file.name, library):
                raise SystemExit(f"abidiff does not tell a changed {pattern}")


def main():
    library = sys.argv[1]
    if "--renew" in sys.argv:
        text = subprocess.run(["abidw", "--headers-dir", HEADERS, *LESS, library], check=True, stdout=subprocess.PIPE, text=True).stdout
        STORED.write_text(text.replace(f"path='{ROOT}/", "path='"), encoding="utf-8")
        return 0
    if not shutil.which("abidiff"):
        print("not here: abidiff")
        return 77
    if os.uname().machine != "x86_64":
        print("lapmark.abi is x86-64's")
        return 77
    changed = difference(STORED, library)
    if changed:
        print(f"{changed}\nThe library's binary interface has changed: {SAY}")
        return 1
    changes_are_seen(library)
    return 0


sys.exit(main())
