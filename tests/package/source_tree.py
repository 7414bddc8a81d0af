# SPDX-License-Identifier: MIT
"""The shape of the source tree: file names are unique, and no #include climbs out of what its target may see."""
import collections
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(os.environ["SOURCE_DIR"])
SUFFIXES = {".c", ".cc", ".h", ".py", ".sh", ".js", ".scd"}
SKIPPED = {".git", "build", "golden", "node_modules"}
MAY_REPEAT = {"__init__.py", "conftest.py"}


def source_files():
    for directory, subdirectories, names in os.walk(ROOT):
        subdirectories[:] = [name for name in subdirectories if name not in SKIPPED]
        yield from (pathlib.Path(directory, name) for name in names if pathlib.Path(name).suffix in SUFFIXES)


def main():
    errors = []
    by_name = collections.defaultdict(list)
    for path in source_files():
        by_name[path.name].append(path)
        if path.suffix in {".c", ".cc", ".h"}:
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if re.match(r'\s*#\s*include\s*["<][^">]*\.\./', line):
                    errors.append(f"{path.relative_to(ROOT)}:{number}: an include climbs out of its directory")
    for name, paths in by_name.items():
        if len(paths) > 1 and name not in MAY_REPEAT:
            errors.append("one name, several files: " + ", ".join(str(path.relative_to(ROOT)) for path in paths))
    if not by_name:
        errors.append(f"no source files in '{ROOT}'")
    print("\n".join(errors))
    return 1 if errors else 0


sys.exit(main())
