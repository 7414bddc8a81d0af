# SPDX-License-Identifier: MIT
"""What the extension stores of traces, as `lapmark export --format otlp` writes it: names that profilers say late, who serves whom,
requests with but a traceparent. The extension alone records."""
import os
import subprocess
import sys
import tempfile

from common_python import SOURCE, environment, main, python, skip

import lapmark

sys.path.insert(0, os.path.join(SOURCE, "tests", "export"))
CAN_RUN = lapmark.implementation == "c" and "LAPMARK_BIN" in os.environ

PROGRAM = """
import lapmark
from lapmark import Profiler

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

with Profiler("outer") as outer:
    with Profiler("over before it is asked"):
        pass
    outer.call("before").sent()
    print("outer", outer.context())
    with Profiler("inner") as inner:
        inner("looked up")
        call = inner.call("ask")
        print("ask", call.traceparent)
        with lapmark.serve("serve", call.request) as server:
            server("half")
            print("serve", server.context())
            reply = server.reply()
        call.end(reply)
    with lapmark.serve("by traceparent", GIVEN):
        with Profiler("inside that"):
            pass
    again = outer.call("again", follows=call)
    again.sent()
"""


def exported():
    """What the program said of its steps, {name: (trace, span)}, and its spans by name."""
    if not CAN_RUN:
        skip("nothing is recorded")
    import common_otlp, common_protobuf  # pylint: disable=import-outside-toplevel,multiple-imports
    if not common_protobuf.PROTOC or not os.path.isdir(common_otlp.RECEIVER):
        skip("no protoc, or no .proto files from the npm registry")
    with tempfile.TemporaryDirectory() as directory:
        result = python(PROGRAM, LAPMARK_RECORD=f"{directory}/recording", LAPMARK_PRINT="off", LAPMARK_MODE="full")
        subprocess.run([os.environ["LAPMARK_BIN"], "export", "--format", "otlp", "-o", f"{directory}/file", f"{directory}/recording"],
                       env=environment(), check=True, stderr=subprocess.PIPE)
        spans = common_otlp.proto_spans(f"{directory}/file")
    said = (line.split(" ") for line in result.out.splitlines())
    return {name: tuple(text.split("-")[1:3]) for name, text in said}, {span.name: span for span in spans}


def relations(span):
    return sorted((link.attributes["lapmark.relation"], link.trace, link.id) for link in span.links)


def test_steps_of_traces():
    names, spans = exported()
    outer, inner, ask, serve = (spans[name] for name in ("outer", "inner", "ask", "serve"))
    assert {name: (spans[name].trace, spans[name].id) for name in names} == names
    assert [span.kind for span in (outer, inner, ask, serve)] == [1, 1, 3, 2]
    assert [span.parent for span in (outer, inner, ask, serve)] == ["", outer.id, inner.id, ask.id]
    assert len({span.trace for span in (outer, inner, ask, serve)}) == 1
    early = spans["over before it is asked"]
    assert (early.trace, early.parent) == names["outer"]
    # It was sent before its profiler had a name.
    assert spans["before"].kind == 4 and relations(spans["before"]) == [("inside", *names["outer"])]
    assert relations(outer) == [("call", spans["before"].trace, spans["before"].id)]
    assert relations(spans["again"]) == [("follows", *names["ask"])] and spans["again"].parent == outer.id


def test_a_traceparent():
    _, spans = exported()
    served, inside = spans["by traceparent"], spans["inside that"]
    assert (served.trace, served.parent, served.kind) == ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 2)
    assert (inside.trace, inside.parent, inside.kind) == (served.trace, served.id, 1)
    assert relations(served) == [("inside", spans["outer"].trace, spans["outer"].id)]


if __name__ == "__main__":
    main(globals())
