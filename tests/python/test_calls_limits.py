# SPDX-License-Identifier: MIT
"""What calls to other processes must not do: believe a peer, raise for what it sends, or reach where they are not meant to."""
import os
import random
import re
import struct

from common_calls import BYTES, NOTE, Text, counted, echo, open_call
from common_python import busy, main, python

import lapmark
from lapmark import Profiler


def is_sound(call):
    """Whatever a peer said, no part is negative or more than the whole."""
    parts = (call.server_ms, call.handle_ms, call.queue_ms, call.between_ms)
    if call.error is not None:
        return parts == (None,) * 4 and call.total_ms >= 0
    return all(0 <= part <= call.total_ms for part in parts) and abs(call.server_ms + call.between_ms - call.total_ms) < 1e-6


def ended(reply_from):
    call = open_call()
    call.end(reply_from(call))
    assert is_sound(call), call
    return call.error


def test_no_reply():
    assert ended(lambda call: None) == ended(lambda call: b"") == ended(lambda call: bytes(BYTES)) == "silent"
    try:
        with Profiler("client", sink=Text()) as profiler, profiler.call("x") as call:
            raise ConnectionResetError
    except ConnectionResetError:
        assert call.error == "silent" and call.total_ms > 0


def test_replies_of_others():
    old = open_call()
    replayed = echo(old)
    assert old.end(replayed) > 0 and old.error is None
    old.reply = b"late"
    assert old.end(replayed) == old.end() == old.total_ms and old.reply == replayed  # again: the same
    assert ended(lambda call: replayed) == "another call's"
    assert counted(lambda: ended(lambda call: replayed)) == 1
    assert lapmark.reply_of(replayed) == old.span_id and len(old.span_id) == 16


def test_one_of_several_replies():
    call = open_call()
    assert counted(lambda: call.part(echo(call))) == 0 and call.total_ms is None and call.server_ms is None
    assert counted(lambda: call.part(None)) == 0
    for wrong in (b"x" * BYTES, "text", echo(open_call())):
        assert counted(lambda wrong=wrong: call.part(wrong)) == 1
    call.end(echo(call))
    assert call.error is None and call.server_ms is not None
    assert counted(lambda: call.part(b"late")) == 0


def test_damaged_replies():
    for size in range(1, BYTES):
        assert ended(lambda call, size=size: echo(call)[:size]) == "damaged", size
    for what in ("text", 7, 1.5, object(), [1], b"x" * BYTES, memoryview(b"12345678")[::2]):
        assert ended(lambda call, what=what: what) == "damaged", what
        assert lapmark.reply_of(what) is None
    assert ended(lambda call: call.request) == "damaged"
    for wrap in (bytearray, memoryview, lambda data: data + b"more"):
        assert ended(lambda call, wrap=wrap: wrap(echo(call))) is None, wrap
    assert counted(lambda: ended(lambda call: "text")) == 1


def flipped(data, bit):
    return bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(data))


def test_flipped_replies():
    """Each bit: what it may do is known, or bounded."""
    for bit in range(8 * BYTES):
        error = ended(lambda call, bit=bit: flipped(echo(call), bit))
        at = bit // 8
        assert error == "damaged" if at < 4 else error == "another call's" if 8 <= at < 16 else error in (None, "damaged"), bit
    chance = random.Random(1)
    for _ in range(300):
        ended(lambda call: echo(call)[:16] + bytes(chance.randrange(256) for _ in range(32)))


def test_impossible_times():
    """A server that worked for longer than its caller waited, or let it wait for longer than it worked, or backwards."""
    def with_times(received, replied, queue_us, khz):
        return lambda call: echo(call)[:16] + struct.pack("<QQQII", received, replied, 0, queue_us, khz)
    start = 1 << 40
    for times in ((start, start + 60_000_000_000, 0, 1_000_000), (start, start - 1, 0, 1_000_000), (0, 1, 0, 1_000_000),
                  (start, start, 0, 0), (start, start, 1_000_000, 1_000_000), (start, start + 1_000_000, 0, 1)):
        assert ended(with_times(*times)) == "damaged", times
    assert ended(with_times(start, start, 0, 1_000_000)) is None


def test_bad_requests():
    good = open_call().request
    for request in (*(good[:size] for size in range(1, BYTES)), *(flipped(good, bit) for bit in range(32)), "text", 7, object(),
                    b"x" * BYTES):
        def serve(request=request):
            with lapmark.serve("handle", request, ms_threshold=1e9) as profiler:
                assert profiler.reply() == b"" and profiler("lap") > 0, request
        assert counted(serve) == 1, request
    for request in (None, b"", bytes(BYTES)):
        def serve_none(request=request):
            assert lapmark.serve("handle", request, sink=Text()).reply() == b""
        assert counted(serve_none) == 0, request
    assert Profiler("no server", sink=Text()).reply() == b""


def test_arrived():
    """What is no time, or later than now, is none."""
    before = lapmark.counts()["bad_number"]
    for arrived, bad in ((None, 0), (0, 0), (1 << 63, 0), ("x", 1), (-1, 1), (1 << 64, 1), (1.5, 1)):
        call = open_call()
        call.end(echo(call, arrived=arrived))
        assert call.error is None and call.queue_ms == 0, arrived
        before += bad
        assert lapmark.counts()["bad_number"] == before, arrived
    call = open_call()
    call.end(echo(call, arrived=1))  # before it was sent
    assert call.error == "damaged"


# ---- traces, switches, fork ------------------------------------------------------------------------------------------


def test_traces():
    """What is called on a request's behalf is in its trace, from profilers inside, too."""
    call = open_call()
    found = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0[0-3]", call.traceparent)
    assert found and found.group(2) == call.span_id and int(found.group(1), 16) and int(call.span_id, 16)
    unrelated = open_call()
    with lapmark.serve("handle", call.request, sink=Text()) as profiler:
        nested = profiler.call("further")
        with Profiler("inside") as inside:
            inner = inside.call("further")
        with lapmark.serve("other", unrelated.request) as other:
            others = other.call("further")
    assert nested.traceparent[:36] == inner.traceparent[:36] == call.traceparent[:36] != others.traceparent[:36]
    assert len({call.span_id, nested.span_id, inner.span_id, others.span_id, open_call().span_id}) == 5
    assert others.traceparent[:36] == unrelated.traceparent[:36]


def test_off():
    program = """
        import lapmark
        def server(request, **options):
            with lapmark.serve('server', request, **options) as profiler:
                profiler('x')
                return len(profiler.reply())
        with lapmark.Profiler('client') as profiler:
            off = lapmark.Profiler('off')
            call, other = off.call('get items'), profiler.call('other')
            print(len(call.request), len(other.request), server(other.request), server(other.request, disabled=True))
            call.reply = b'x'
            print(call.end(b'x'), call.error or call.reply, call.total_ms)
            print(call.span_id == call.traceparent == call.request.decode())
            with other: pass
            profiler('lap')
        print(lapmark.counts()['bad_trailer'])
        """
    result = python(program, LAPMARK="-off,-server,-other")
    assert result.out.split() == ["0", "48", "48", "0", "0.0", "None", "None", "True", "0"], result
    assert "server" not in result.err and "off" not in result.err and "(peer silent)" in result.err, result
    result = python(program, LAPMARK="-client")  # and what is inside
    assert result.out.split()[:4] == ["0", "0", "0", "0"] and result.err == "", result
    with Profiler("client", disabled=True) as profiler, profiler.call("x") as call:
        assert not call.request and call.end() == 0.0
    profiler = Profiler("client", sink=Text())
    profiler.finish()
    assert profiler.call("x").request == b""


def test_fork():
    """A child has no part in its parent's calls."""
    text = Text()
    with Profiler("client", sink=text) as profiler:
        call = profiler.call("x")
        reply = echo(call)
        child = os.fork()
        if child == 0:
            os._exit(0 if call.end(reply) == 0.0 and call.total_ms is None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert call.end(reply) > 0 and call.error is None
        profiler("complete")
    assert NOTE.fullmatch(text.lines()[1]), text


def test_arguments():
    with Profiler("client", sink=Text()) as profiler:
        call = profiler.call("a")
        for wrong in (profiler.call, lambda: profiler.call("a", "b"), lambda: call.end(1, 2), lapmark.Call,
                      lambda: lapmark.serve("a", b"", None, 4), lambda: lapmark.serve("a", wrong=1),
                      lambda: lapmark.serve("a", msg="b")):
            try:
                wrong()
            except TypeError:
                continue
            assert False, wrong
        assert profiler.call(msg=7).request and "Call" in repr(profiler.call("%s 12 %d"))
    text = Text()
    with lapmark.serve(trailer=None, n=3, sink=text) as serving:
        assert isinstance(serving, Profiler)
    assert "Entering test_arguments" in text.reports[0] and text.reports[0].endswith(", n=3\n"), text

    def returns():
        profiler = lapmark.serve("returns", sink=text)
        profiler("lap")
        busy(1)
    returns()
    assert "(rest)" in text.reports[1] and "held" not in text.reports[1], text


def test_nothing_failed_inside():
    assert not lapmark.counts().get("failed")


if __name__ == "__main__":
    main(globals())
