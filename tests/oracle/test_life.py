# SPDX-License-Identifier: MIT
"""What happens in a process's life, looked at while it goes on, after it has ended and after a kill."""
import json
import os

from common_oracle import (Directory, LAPMARK, Running, check, compare, equal, events_of, lapmark_format, main, only, program,
                           record, run)


def states(directory):
    return sorted(process["state"] for process in json.loads(run(LAPMARK, "report", "--json", directory))["processes"])


def follow(part, each=None, **variables):
    """Compares at each point of a part and at its end. Returns what was found in the end."""
    with Directory() as directory, Running(directory.sub("r"), program("oracle_life"), part, **variables) as running:
        for point in iter(running.point, ""):
            recording = compare(directory.sub("r"))
            if each:
                each(point, recording)
            running.go_on()
        equal(running.process.wait(), 0)
        return compare(directory.sub("r"))


def cells_of(process):
    """Of the last event, by path, over all rings."""
    cells = {}
    for ring in process.rings.values():
        for path, cell in process.current_cells(ring).items():
            cells.setdefault(process.labels(path), lapmark_format.Cell()).merge(cell)
    return cells


def test_handles_over_threads():
    def look(point, recording):
        process = only(recording)
        equal(len(process.open_handles()), 20 if point == "handles marked" else 0, point)

    process = only(follow("handles", look))
    cells = cells_of(process)
    equal(cells["handles", "handle %d"].count, 10)
    equal(cells["handles", "handle %d", "child %d"].count, 10)
    equal(cells["handles", "handle %d", "seen by %ld"].count, 40)
    equal(cells["handles", "handle %d", "child %d", "last"].count, 10)
    equal({ring.segments[0].header["thread_index"] for ring in process.rings.values()}, set(range(len(process.rings))))


def test_threads_one_after_another():
    process = only(follow("threads"))
    equal(len(process.rings), 1, "rings")
    equal(process.rings[0].statistics.head["threads"], 300)
    threads = [event.fields["thread_index"] for event in process.events() if event.event_class.kind == "thread"]
    check(set(threads) | {0} == set(range(300)), "threads that are not named")
    cells = cells_of(process)
    equal(cells[("short thread %ld",)].count, 150)
    equal(cells[("left open",)].count, 100, "those that were left have no total")
    equal(cells[("left open", "before it left")].count, 150, "but their laps stay")
    equal(process.walk(process.rings[0])[1].abandoned, 50)


def test_jumps():
    process = only(follow("jumps"))
    cells = cells_of(process)
    walker = process.walk(process.rings[0])[1]
    equal(walker.abandoned, 6 * (1 + 2 + 3 + 4 + 5))
    equal((walker.orphans, walker.scopes), (1, []), "the mark behind the end")
    # A checkpoint does not see that its scope is gone; a begin or an end behind it does, sooner or later.
    for label in ("landed", "after the jump"):
        equal(sum(cell.count for path, cell in cells.items() if path[-1] == label), 30, label)
    check(not any(cell.count for path, cell in cells.items() if path[-1] == "jumps from %d"),
          "scopes that were left have no total")


def test_forks():
    recording = follow("forks")
    equal(len(recording), 7, "a parent, two children, and two more generations of each")
    equal(len({process.uuid() for process in recording.values()}), 7)
    children = [process for process in recording.values() if ("parent", {}) not in events_of(process)]
    equal(len(children), 6)
    for process in children:
        check("of a parent's handle" not in [name for name, _ in events_of(process)], "a parent's handle in a child")
        equal([cell.count for path, cell in cells_of(process).items() if path == ("child of generation %d",)],
              [1], process.name)


def test_exec():
    with Directory() as directory, Running(directory.sub("r"), program("oracle_life"), "exec") as running:
        for _ in iter(running.point, ""):
            equal(states(directory.sub("r")), ["replaced", "running"])
            compare(directory.sub("r"))
            running.go_on()
        running.process.wait()
        equal(states(directory.sub("r")), ["died", "ended"])
        equal(len({process.control["pid"] for process in compare(directory.sub("r")).values()}), 1)


def test_replaced():
    with Directory() as directory, Running(directory.sub("r"), program("oracle_life"), "replaced") as running:
        running.go_on()
        equal(running.process.stdout.readline(), "\n", "cat's answer")
        equal(states(directory.sub("r")), ["replaced"])
        compare(directory.sub("r"))


def test_recordings_of_the_program():
    with Directory() as directory:
        with Running(None, program("oracle_life"), "recordings", directory.sub("r")) as running:
            for point in iter(running.point, ""):
                process = only(compare(point))
                equal(process.control["state"], 1)
                running.go_on()
            running.process.wait()
        for i in range(3):
            process = only(compare(directory.sub(f"r/{i}")))
            equal(process.control["state"], 2)
            names = [name for name, _ in events_of(process)]
            equal(names, ["recorded %d", "in it"])
            opened = [event.fields["message"] for event in process.events() if event.event_class.kind == "open"]
            equal(opened, ["open before the recording with a string"])


def test_killed():
    with Directory() as directory, Running(directory.sub("r"), program("oracle_life"), "killed") as running:
        equal(running.point(), "open")
        compare(directory.sub("r"))
        running.kill()
        process = only(compare(directory.sub("r")))
        equal(states(directory.sub("r")), ["died"])
        scopes = process.walk(process.rings[0])[1].scopes
        equal([scope.event_class.name for scope in scopes], ["outer %d", "inner"])
        report = json.loads(run(LAPMARK, "report", "--json", directory.sub("r")))
        equal([(item["message"], item["kind"], item["checkpoints"]) for item in report["processes"][0]["open"]],
              [("outer 1", "scope", 1), ("inner", "scope", 1), ("handle", "handle", 0)])


def test_kept_slow():
    def look(point, recording):
        process = only(recording)
        head = process.rings[0].statistics.head
        check(head["taken_back"] > 10000, head)
        names = [fields.get("a0") for name, fields in events_of(process) if name == "slow %d"]
        wanted = [i for i in range(5000) if i % 1000 == 500 and (i <= 3333 or point == "taken back")]
        equal([i for i in names if i % 1000 == 500], wanted, "those that were slow")
        check(3333 in names or point == "taken back", "the one that is open")

    process = only(follow("slow", look, LAPMARK_KEEP="slow"))
    cells = cells_of(process)
    for path in (("slow %d",), ("slow %d", "step"), ("slow %d", "inside"), ("slow %d", "inside", "of the inside")):
        equal(cells[path].count, 5000, path)


def test_more_paths_than_there_may_be():
    with Directory() as directory:
        record(directory.sub("r"), program("oracle_life"), "paths")
        process = only(compare(directory.sub("r")))
    equal(process.paths.stored, len(process.paths.entries), "paths that the file lacks")
    check(len(process.paths.entries) > 14336, len(process.paths.entries))
    found = process.current_cells(process.rings[0])
    others = {process.labels(path): cell.count for path, cell in found.items() if process.labels(path)[0] == "(other paths)"}
    check(others[("(other paths)", "left")] > 1000 and others[("(other paths)", "(rest)")] > 0, others)
    totals = sum(cell.count for path, cell in found.items() if process.path_kind(path) == "profiler")
    equal(totals + process.rings[0].statistics.head["laps_lost"], 2 * (2 ** 13 - 2), "totals")


def test_copied_while_it_runs():
    """What lapmark run leaves as a link, since it has not ended, and brings in later."""
    with Directory() as directory, Running(directory.sub("r"), program("oracle_life"), "killed") as running:
        equal(running.point(), "open")
        before = only(compare(directory.sub("r")))
        running.kill()
        run(LAPMARK, "record", "-o", directory.sub("r"), "--", "true")
        check(not os.path.islink(os.path.join(directory.sub("r"), before.name)), "it is still a link")
        after = only(compare(directory.sub("r")))
        equal(events_of(after), events_of(before))


main(globals())
