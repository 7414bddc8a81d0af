# SPDX-License-Identifier: MIT
"""Steps of traces: a profiler's own name, requests that have but a traceparent, what follows what, messages without a reply, and
child processes. Recorded ones are read by babeltrace2."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from common_calls import Text, counted, echo
from common_python import environment, main, python, skip

import lapmark
from lapmark import Profiler

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TEXT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[0-3]")
SOUND = (GIVEN, GIVEN[:-2] + "ff", "01" + GIVEN[2:], "cc" + GIVEN[2:] + "-more", "01" + GIVEN[2:] + "-")
NOT_SOUND = ("00", GIVEN[:-1], GIVEN + "-", GIVEN + "-more", "ff" + GIVEN[2:], "0x" + GIVEN[2:], GIVEN.upper(),
             GIVEN.replace("-", "_"), GIVEN + "\n", " " + GIVEN, GIVEN[:3] + 32 * "0" + GIVEN[35:],
             GIVEN[:36] + 16 * "0" + GIVEN[52:], "01" + GIVEN[2:] + "+", GIVEN[:-1] + "\u0661",
             GIVEN[:-1] + "\ud800", 100000 * "0")


def trace_of(text):
    assert TEXT.fullmatch(text), text
    return text[3:35]


def span_of(text):
    assert TEXT.fullmatch(text), text
    return text[36:52]


# ---- names -----------------------------------------------------------------------------------------------------------


def test_context():
    with Profiler("x", sink=Text()) as profiler:
        inside = Profiler("y", sink=Text())
        before = profiler.call("before")
        own = profiler.context()
        assert TEXT.fullmatch(own) and own == profiler.context() and int(own[-1]) & 1
        assert trace_of(before.traceparent) != trace_of(own)
        calls = profiler.call("after"), inside.call("inside")
        assert {trace_of(call.traceparent) for call in calls} == {trace_of(own)}
        assert len({own[36:52], *(call.span_id for call in calls)}) == 3
        assert trace_of(inside.context()) == trace_of(own) and span_of(inside.context()) != span_of(own)
        assert trace_of(inside.call("last").traceparent) == trace_of(own)
    assert profiler.context() == own
    assert Profiler("off", disabled=True).context() == ""
    with Profiler("ended", sink=Text()) as ended:
        pass
    assert ended.context() == ""


def test_of_a_request():
    with Profiler("client", sink=Text()) as profiler:
        call = profiler.call("x")
        with lapmark.serve("server", call.request, sink=Text()) as server:
            own = server.context()
            assert trace_of(own) == trace_of(call.traceparent) and span_of(own) != call.span_id
            with Profiler("inside", sink=Text()) as inside:
                assert trace_of(inside.context()) == trace_of(own)
            assert len(server.reply()) == 48


def test_many():
    """Each has its own, also where the memory of one that ended is used again."""
    names = set()
    for _ in range(500):
        profiler = Profiler("x", ms_threshold=1e9)
        names.add(profiler.context()[3:52])
        profiler.finish()
    assert len(names) == 500


# ---- a request that has but a traceparent ----------------------------------------------------------------------------


def served(trailer):
    with lapmark.serve("server", trailer, sink=Text()) as profiler:
        assert profiler.reply() == b""
        return profiler.call("x").traceparent, profiler.context()


def test_traceparent():
    for text in SOUND:
        assert counted(lambda: served(text)) == 0, text  # pylint: disable=cell-var-from-loop
        call, own = served(text)
        assert trace_of(call) == trace_of(own) == text[3:35] and len({span_of(call), span_of(own), text[36:52]}) == 3
    for text in NOT_SOUND:
        assert counted(lambda: served(text)) == 1, text  # pylint: disable=cell-var-from-loop
        assert trace_of(served(text)[0]) != text[3:35]
    assert counted(lambda: served("")) == counted(lambda: served(None)) == 0


# ---- what follows what -----------------------------------------------------------------------------------------------


def test_links():
    with Profiler("batch", sink=Text()) as profiler:
        call = profiler.call("x")
        for sound in (GIVEN, call, None, "", Profiler("off", disabled=True).call("x")):
            assert counted(lambda: profiler.link(sound)) == 0, sound  # pylint: disable=cell-var-from-loop
            assert counted(lambda: profiler.call("x", follows=sound)) == 0, sound  # pylint: disable=cell-var-from-loop
        for wrong in (*NOT_SOUND, 1, b"x", object(), profiler):
            assert counted(lambda: profiler.link(wrong)) == 1, wrong  # pylint: disable=cell-var-from-loop
            assert counted(lambda: profiler.call(msg="x", follows=wrong)) == 1, wrong  # pylint: disable=cell-var-from-loop
        assert profiler.call("again", follows=call).span_id != call.span_id
        for wrong in (profiler.link, lambda: profiler.link(GIVEN, GIVEN), lambda: profiler.call("x", call),
                      lambda: profiler.call(follows=call), lambda: profiler.call("x", wrong=call)):
            try:
                wrong()
            except TypeError:
                continue
            assert False, wrong
    before = lapmark.counts()["after_end"]
    profiler.link(GIVEN)
    assert lapmark.counts()["after_end"] == before + 1
    Profiler("off", disabled=True).link(GIVEN)


def test_sent():
    text = Text()
    with Profiler("sender", sink=text) as profiler:
        call = profiler.call("tell")
        total_ms = call.sent()
        assert total_ms > 0 and call.total_ms == total_ms == call.sent() == call.end(echo(call)) and call.error is None
        assert call.server_ms is None and call.between_ms is None and "ended" in repr(call)
        with profiler.call("in a block") as inside:
            inside.sent()
        assert inside.error is None
        profiler("told")
        profiler.call("lost").end()
        profiler("lost")
    notes = [line.partition("(")[2] for line in text.lines()[1:3]]
    assert notes == ["", "peer silent)"], text  # nothing was awaited of the first two
    assert Profiler("off", disabled=True).call("x").sent() == 0.0


# ---- child processes -------------------------------------------------------------------------------------------------


def test_child_environment():
    before = {"PATH": "/bin", "TRACEPARENT": GIVEN, "TRACESTATE": "a=b"}
    with Profiler("parent", sink=Text()) as profiler:
        call = profiler.call("run")
        made = lapmark.child_environment(call, before)
        assert made == {"PATH": "/bin", "TRACEPARENT": call.traceparent} and before["TRACEPARENT"] == GIVEN
        assert lapmark.child_environment(profiler, before, tracestate="c=d") == {
            "PATH": "/bin", "TRACEPARENT": profiler.context(), "TRACESTATE": "c=d"}
        ours = lapmark.child_environment(profiler)
        assert ours.pop("TRACEPARENT") == profiler.context() and ours == {
            name: value for name, value in os.environ.items() if not name.startswith("TRACE")}
    assert lapmark.child_environment(GIVEN, {}) == {"TRACEPARENT": GIVEN}
    off = Profiler("off", disabled=True)
    assert lapmark.child_environment("none", before) == lapmark.child_environment(off, before) == {"PATH": "/bin"}


CHILD = """
    import lapmark
    text = lapmark.environment_context()
    with lapmark.serve('work', text, ms_threshold=1e9) as profiler:
        print(text, profiler.context())
    """


def test_environment():
    out = python(CHILD, TRACEPARENT=GIVEN).out.split()
    assert out[0] == GIVEN and trace_of(out[1]) == trace_of(GIVEN)
    for text in ("", GIVEN + "-more", "\udc80"):
        out = python(CHILD, TRACEPARENT=text).out
        assert out.startswith(" 00-") and trace_of(out.strip()) != trace_of(GIVEN), out


# ---- recorded --------------------------------------------------------------------------------------------------------


def links_of(directory):
    """What babeltrace2 finds, in the order of time: (relation, own span, trace, span)."""
    text = subprocess.run(["babeltrace2", directory], stdout=subprocess.PIPE, text=True, check=True).stdout
    found = []
    for line in text.splitlines():
        if " lapmark:link: " in line:
            words = dict(re.findall(r"(\w+) = (\w+)", line))
            number = {name: int(words[name], 0) for name in ("own_span_id", "trace_id_high", "trace_id_low", "span_id",
                                                             "relation")}
            found.append((number["relation"], f"{number['own_span_id']:016x}",
                          f"{number['trace_id_high']:016x}{number['trace_id_low']:016x}", f"{number['span_id']:016x}"))
    return found


def test_recorded():
    if lapmark.implementation != "c" or not shutil.which("babeltrace2"):
        skip("the extension records, and babeltrace2 reads that")
    with tempfile.TemporaryDirectory() as directory:
        said = python(f"""
            import lapmark
            def say(relation, own, text):
                print(relation, own or 16 * '0', text[3:35], text[36:52])
            request = lapmark.serve('serve', {GIVEN!r})
            with lapmark.Profiler('batch') as batch:
                say(2, '', {GIVEN!r})
                own = request.context()
                say(1, '', own)
                batch.link(own)
                say(3, '', own)
                first = batch.call('get')
                first.end()
                batch.link(first)
                say(3, '', first.traceparent)
                again = batch.call('get', follows=first)
                say(3, again.span_id, first.traceparent)
                again.sent()
                batch.link('none')
                request.context()
            """, LAPMARK_RECORD=directory, LAPMARK_PRINT="off").out
        assert [" ".join(map(str, link)) for link in links_of(directory)] == said.splitlines()


def test_children_recorded():
    """The report hangs a child process's work below the call, or the profiler, that started it."""
    command = os.environ.get("LAPMARK_BIN")
    if lapmark.implementation != "c" or not command:
        skip("the extension records, and the lapmark command reads that")
    with tempfile.TemporaryDirectory() as directory:
        python("""
            import lapmark, subprocess, sys
            work = 'import lapmark, sys; lapmark.serve(sys.argv[1], lapmark.environment_context())'
            def run(label, starter):
                subprocess.run([sys.executable, '-c', work, label], env=lapmark.child_environment(starter), check=True)
            with lapmark.Profiler('parent') as profiler:
                with profiler.call('run child') as call:
                    run('first', call)
                run('second', profiler)
            """, LAPMARK_RECORD=directory, LAPMARK_PRINT="off")
        report = subprocess.run([command, "report", directory], stdout=subprocess.PIPE, text=True, check=True,
                                env=environment(COLUMNS="200")).stdout
    assert re.search(r"^parent .*\n(  .*\n)*  run child .*\n    first ", report, re.MULTILINE), report
    assert re.search(r"^parent .*\n(  .*\n)*  second ", report, re.MULTILINE), report


def test_nothing_failed_inside():
    assert not lapmark.counts().get("failed")


if __name__ == "__main__":
    main(globals())
