# SPDX-License-Identifier: MIT
"""Programs that do what dice tell them, in every mode: the readers agree, and the counts are the program's own."""
import os
import time

from common_oracle import Directory, check, compare, equal, main, only, program, run

MODES = {
    "flight": {},
    "wrapped": {"LAPMARK_RING": "64K", "LAPMARK_MEMORY": "1536K"},
    "full": {"LAPMARK_MODE": "full", "LAPMARK_RING": "64K", "LAPMARK_MEMORY": "4M"},
    "slow": {"LAPMARK_KEEP": "slow"},
    "slow, wrapped": {"LAPMARK_KEEP": "slow", "LAPMARK_RING": "64K", "LAPMARK_MEMORY": "1536K"},
}


def counted(process):
    """Samples by label, or by what stands for it."""
    counts = {}
    for ring in process.rings.values():
        for path, cell in process.current_cells(ring).items():
            event_class = process.metadata.classes.get(process.paths.entries[path][1])
            if not event_class or path < 2:
                continue
            is_mark = event_class.kind in ("mark", "handle_mark")
            label = ("numbered" if event_class.flags & 4 else
                     ("text" if is_mark else "text of a scope") if event_class.flags & (2 | 16) else event_class.name)
            counts[label] = counts.get(label, 0) + cell.count
    return counts


def go(mode, seed):
    with Directory() as directory:
        steps = "6000" if "wrapped" in mode else "1500"
        lines = run(program("oracle_random"), str(seed), steps, LAPMARK_RECORD=directory.sub("r"), **MODES[mode]).decode()
        wanted = {label: int(count) for count, label in (line.split(" ", 1) for line in lines.splitlines())}
        process = only(compare(directory.sub("r")))
        if "LAPMARK_MEMORY" not in MODES[mode]:
            equal(process.control.losses, (0,) * 16, "losses")
        if any(process.control.losses) or any(ring.statistics.head["laps_lost"] for ring in process.rings.values()):
            return  # a ring found no memory, or its statistics
        found = counted(process)
        equal({label: found.get(label, 0) for label in wanted}, wanted, "counts")
        if mode == "wrapped":
            check(any(ring.segments[0].sequence for ring in process.rings.values()), "the rings did not go round")


def test_random():
    seed = int(os.environ.get("ORACLE_SEED", time.time_ns() % 1000000))
    print(f"seed {seed}")
    for i, mode in enumerate(MODES):
        try:
            go(mode, seed + i)
        except BaseException:
            print(f"with seed {seed + i} in mode {mode}")
            raise


main(globals())
