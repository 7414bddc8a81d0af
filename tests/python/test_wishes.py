# SPDX-License-Identifier: MIT
"""What peers wish: that a call which one side finds slow is printed by the other, and another threshold for a request. Both sides
are this process, or one of each implementation (the request's bytes are the same)."""
from common_calls import Text
from common_python import busy, main, python

import lapmark
from lapmark import Profiler

NEVER = 1e9
A_SECOND = 10


def served(call, sink=None, ms_threshold=0.2, spend_ms=0.5, **options):
    """One request: its reply, from a profiler that spends so long."""
    profiler = lapmark.serve("serving", call.request, ms_threshold=ms_threshold, sink=sink or Text(), **options)
    busy(spend_ms)
    reply = profiler.reply()
    profiler.finish()
    return reply


def client(sink, ms_threshold=NEVER, **options):
    profiler = Profiler("client", ms_threshold=ms_threshold, sink=sink)
    call = profiler.call("call")
    call.end(served(call, **options))
    profiler("answered")
    profiler.finish()
    return call


def test_slow_for_the_server():
    text = Text()
    assert client(text).slow and not text.reports  # not accepted
    lapmark.accept("slow")
    call = client(text)
    assert call.slow and call.error is None
    assert len(text.reports) == 1 and "answered: " in text.reports[0] and "(server " in text.reports[0], text
    lapmark.accept("nothing")
    client(text)
    assert len(text.reports) == 1


def test_quick_servers_say_nothing():
    lapmark.accept("slow")
    text = Text()
    profiler = Profiler("client", ms_threshold=NEVER, sink=text)
    for threshold in (NEVER, 0):
        call = profiler.call("call")
        call.end(served(call, ms_threshold=threshold))
        assert call.error is None and call.slow is False
    profiler.finish()
    assert not text.reports
    lapmark.accept("nothing")


def test_slow_too_often():
    result = python("""
import lapmark
from lapmark import Profiler
texts = []
def once():
    profiler = Profiler('client', ms_threshold=1e9, sink=texts.append)
    call = profiler.call('call')
    serving = lapmark.serve('serving', call.request, ms_threshold=1e-4, sink=lambda text: None)
    for _ in range(1000):
        pass
    call.end(serving.reply())
    serving.finish()
    assert call.slow
    profiler.finish()
for _ in range(40):
    once()
print(len(texts))
""", LAPMARK_ACCEPT="slow")
    assert A_SECOND <= int(result.out) < 40, result


def test_wishes():
    lapmark.accept("threshold,slow")
    text = Text()
    profiler = Profiler("client", ms_threshold=NEVER, sink=Text())

    def ask(threshold, is_disabled, **wishes):
        call = profiler.call("call")
        call.wish(**wishes)
        assert len(call.request) == 48
        before = len(text.reports)
        served(call, text, threshold, 0.05, disabled=is_disabled)
        return len(text.reports) - before

    assert ask(NEVER, False, ms_threshold=0.001) == 1
    assert ask(0, False, ms_threshold=NEVER) == 0
    assert ask(0, False, disabled=True) == 0
    assert ask(0, True, disabled=False) == 1
    assert ask(0, True) == 0
    assert ask(0, False, ms_threshold="none") == ask(0, False, ms_threshold=None) == 1
    lapmark.accept("nothing")
    assert ask(NEVER, False, ms_threshold=0.001) == 0
    assert ask(0, False, disabled=True) == 1
    profiler.finish()


def test_wishes_of_calls_that_are_off():
    call = Profiler("off", disabled=True).call("call")
    call.wish(ms_threshold=1.0, disabled=True)
    assert call.request == b"" and call.slow is False


def test_bytes():
    """The other implementation reads the same: log2 of microseconds with 8 bits behind the point."""
    profiler = Profiler("client", sink=Text(), ms_threshold=NEVER)
    call = profiler.call("call")
    before = call.request
    for wishes, level, threshold in (({"ms_threshold": 1.024, "disabled": False}, 2, 0x0A00), ({"ms_threshold": 1e-9}, 0, 1),
                                     ({"ms_threshold": 2.0 ** 30, "disabled": True}, 1, 0x27F7), ({}, 0, 0)):
        call.wish(**wishes)
        assert call.request[5] == level, wishes
        assert abs(int.from_bytes(call.request[6:8], "little") - threshold) <= 1, (wishes, call.request[6:8])
    assert call.request == before
    profiler.finish()


def test_words():
    for wrong in ("all", "slow,", "slow threshold", "", None, 7, "slow\udc80"):
        try:
            lapmark.accept(wrong)
        except ValueError as error:
            assert "cannot accept" in str(error)
        else:
            raise AssertionError(wrong)
    result = python("import lapmark\nlapmark.Profiler('x').finish()\nlapmark.serve('y', None).finish()",
                    LAPMARK_ACCEPT="everything", LAPMARK_PRINT="off")
    assert "LAPMARK_ACCEPT='everything'" in result.err, result


if __name__ == "__main__":
    main(globals())
