# SPDX-License-Identifier: MIT
"""What is left when a full recording's process dies, or its disk is full, while a segment is being written."""
from common_oracle import Directory, check, compare, equal, events_of, main, only, program, run

FULL = {"LAPMARK_MODE": "full", "LAPMARK_RING": "64K"}


def test_killed_while_it_writes():
    for accident in ("kill", "half"):
        for number in (1, 5):
            with Directory() as directory:
                run(program("oracle_write"), accident, str(number), status=-9, LAPMARK_RECORD=directory.sub("r"), **FULL)
                process = only(compare(directory.sub("r"), exact=False))
                sizes = [fields["n"] for name, fields in events_of(process) if name == "turn"]
                equal(sizes, list(range(len(sizes))), "turns")
                equal(len(process.rings[0].segments), number, "the segment that was being written is there")


def test_no_space():
    with Directory() as directory:
        run(program("oracle_write"), "full", "3", LAPMARK_RECORD=directory.sub("r"), **FULL)
        process = only(compare(directory.sub("r"), exact=False))
        sizes = [fields["n"] for name, fields in events_of(process) if name == "turn"]
        equal(sizes, list(range(len(sizes))), "turns")
        check(len(sizes) > 3000, len(sizes))


main(globals())
