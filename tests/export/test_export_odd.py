# SPDX-License-Identifier: MIT
"""Exports of what is odd: a thread that got its name after its first event, or whose number is damaged; a profiler that is older than its
recording; a recording that is removed meanwhile."""
import json
import os
import shutil
import sqlite3
import struct
import subprocess

import common_export as export
import common_protobuf as protobuf
from common_export import common

FORMATS = ("perfetto", "chrome", "speedscope", "folded", "pprof", "otlp", "otlp-json", "sqlite")
THREAD_INDEX_AT = 88  # doc/format.md, in a stream's packet header


def test_a_late_name():
    directory = export.record("renamed", export.program("odd", "tests/export"), "renamed")
    with open(export.export(directory, "chrome"), encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    thread, = {event["tid"] for event in events if event["ph"] == "B"}
    names = [event["args"]["name"] for event in events if event["name"] == "thread_name" and event["tid"] == thread]
    common.equal(names[-1:], ["renamed"], names)
    with sqlite3.connect(export.export(directory, "sqlite")) as database:
        common.equal(database.execute("SELECT DISTINCT thread, label FROM profilers ORDER BY label").fetchall(),
                     [("renamed", "after"), ("renamed", "before")])
    rows = common.lapmark_json("sql", directory, "SELECT thread, count(*) AS count FROM profilers GROUP BY 1")
    common.equal([tuple(row.values()) for row in rows], [("renamed", 2001)])
    if protobuf.PROTOC:
        trace = protobuf.messages(protobuf.decoded(export.export(directory, "perfetto"), "perfetto.protos.Trace",
                                                   os.path.join(export.SOURCE, "tests/export"), "perfetto.proto"))
        threads = [thread["thread_name"] for packet in trace["packet"] for track in packet["track_descriptor"] for thread in track["thread"]]
        common.equal(threads[-1], [b"renamed"], threads)


def test_damaged_numbers():
    """Any 64 bits may stand there; in the order of what they ask for."""
    good = export.record("renamed", export.program("odd", "tests/export"), "renamed")
    for number in (1 << 27, 1 << 32, 1 << 60, (1 << 64) - 1):
        directory = os.path.join(export.WORK, f"number-{number}")
        shutil.copytree(good, directory)
        process = export.process_of(directory)
        for name in os.listdir(process):
            if name.startswith("stream-"):
                with open(os.path.join(process, name), "r+b") as file:
                    file.seek(THREAD_INDEX_AT)
                    file.write(struct.pack("<Q", number))
        for form in FORMATS:
            export.export(directory, form)
        count, = common.lapmark_json("sql", directory, "SELECT count(*) AS count FROM profilers")
        common.equal(count, {"count": 2001})


def test_older_than_its_recording():
    directory = os.path.join(export.WORK, "opened")
    result = common.run(export.program("odd", "tests/export"), "opened", directory, LAPMARK_PRINT="off")
    common.equal(result.status, 0, result)
    wall, = common.lapmark_json("sql", directory, "SELECT end_ns - begin_ns AS ns FROM profilers WHERE label = 'older'")
    site, = (site for site in common.lapmark_json("report", directory)["sites"] if site["path"] == ["older"])
    common.check(wall["ns"] + 1000 >= site["total_ns"] >= 60e6, (wall, site))
    with open(export.export(directory, "chrome"), encoding="utf-8") as file:
        events = [event for event in json.load(file)["traceEvents"] if event["name"] == "older"]
    common.equal([event["ph"] for event in events], ["B", "E"])
    common.check(abs((events[1]["ts"] - events[0]["ts"]) * 1000 - wall["ns"]) < 2, (events, wall))
    with open(export.export(directory, "speedscope"), encoding="utf-8") as file:
        value = json.load(file)
    frame, = (number for number, frame in enumerate(value["shared"]["frames"]) if frame["name"] == "older (cut)")
    moments = [event["at"] for profile in value["profiles"] for event in profile["events"] if event["frame"] == frame]
    common.equal(len(moments), 2)
    common.check(abs(moments[1] - moments[0] - wall["ns"]) < 2, (moments, wall))


def test_removed_meanwhile():
    """What of it could be read is not taken for all of it. The pipe holds the export up until the rest is gone."""
    good = export.record("large", export.program("subject", "tests/export"), "many", "30000", options=("--ring", "128K"))
    directory = os.path.join(export.WORK, "removed")
    shutil.copytree(good, directory)
    with subprocess.Popen([common.LAPMARK, "export", "--format", "perfetto", directory], env=common.environment(), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.read(1)
        shutil.rmtree(directory)
        _, said = child.communicate()
    common.equal(child.returncode, 2, said)
    common.check(b"cannot write 'standard output': " in said and b"stream-" in said, said)


if __name__ == "__main__":
    export.main(globals())
