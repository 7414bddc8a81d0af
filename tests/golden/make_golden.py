# SPDX-License-Identifier: MIT
"""make_golden.py DIRECTORY: writes the golden recordings and what is to be read in them.

The recordings in v1 are kept for ever, as they are: every later version must read them, and what it reads must be what
NAME.json says. This program is here to show how they were made, and to make those of a next format."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import helper_golden  # pylint: disable=wrong-import-position

BUILD = pathlib.Path(os.environ["BUILD_DIR"])
SOURCE = pathlib.Path(os.environ["SOURCE_DIR"])
RECORDED = {"good": [], "texts": [], "full": ["--full", "--memory=256K"], "lossy": ["--memory=256K"], "killed": []}
CONTROL_BYTES, BOOT_ID, LOSSES = 4096, 40, 216
UNIT_BYTES, PATH_BYTES, PATHS_HEADER = 128, 8, 16


def number(data, at, size):
    return int.from_bytes(data[at:at + size], "little")


def cut(process):
    """Leaves the side files no longer than what is used of them: the rest are holes."""
    for path in (process / ".lapmark").iterdir():
        data = path.read_bytes()
        if path.name == "control":
            data = data[:CONTROL_BYTES]
        elif path.name == "paths":
            data = data[:PATHS_HEADER + PATH_BYTES * number(data, 12, 4)]
        else:
            data = data[:UNIT_BYTES * number(data, 12, 4)]
        path.write_bytes(data)


def record(name, target):
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["cc", "-std=c17", "-O1", "-Iinclude", "-o", f"{directory}/write_golden", "tests/programs/write_golden.c",
                        f"-L{BUILD}", "-llapmark", f"-Wl,-rpath,{BUILD}", "-pthread"], cwd=SOURCE, check=True)
        told = subprocess.run([BUILD / "lapmark", "record", *RECORDED[name], "-o", "r", "--", "./write_golden", name],
                              cwd=directory, capture_output=True, text=True, check=False)
        shutil.copytree(next(pathlib.Path(f"{directory}/r").iterdir()), target)
    cut(target)
    return [[kind, label, int(count)] for kind, label, count in (line.split("\t") for line in told.stdout.splitlines())]


def change(path, at, data):
    whole = bytearray(path.read_bytes())
    whole[at:at + len(data)] = data
    path.write_bytes(whole)


def tear(process):
    """As a copy that was broken off: files that end early, and one that is empty."""
    for name, size in (("stream-0000-00", 2005), (".lapmark/statistics-0000", 5001), ("stream-0001-00", 0)):
        os.truncate(process / name, size)


def damage(process):
    """A byte or more of each file that are not what they were."""
    change(process / ".lapmark/control", LOSSES, bytes.fromhex("15cd5b0715cd5bb8"))
    change(process / ".lapmark/paths", PATHS_HEADER + 5 * PATH_BYTES, b"\xff\xff\xff\xff")
    change(process / ".lapmark/statistics-0000", UNIT_BYTES * 32 + 36 + 4, b"\xff\xff")
    change(process / "stream-0000-00", (process / "stream-0000-00").stat().st_size - 8, b"\xff\xff\xff\xff")
    change(process / "stream-0001-00", 32, b"\xff\xff")
    metadata = (process / "metadata").read_bytes()
    change(process / "metadata", metadata.rindex(b"fields"), b"fie}ds")


def main():
    target = pathlib.Path(sys.argv[1])
    target.mkdir()
    told = {name: record(name, target / name) for name in RECORDED}
    change(target / "killed/.lapmark/control", BOOT_ID, bytes(16))  # so that no machine takes the process for one of its own
    for name, spoil in (("torn", tear), ("broken", damage)):
        shutil.copytree(target / "good", target / name)
        spoil(target / name)
    for name in [*RECORDED, "torn", "broken"]:
        expected = {"stored": told.get(name), **helper_golden.read(target, name)}
        (target / f"{name}.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


main()
