# SPDX-License-Identifier: MIT
"""What the tests of calls between processes share."""
import re
import time

import common_python  # pylint: disable=unused-import  # where the package is
import lapmark
from lapmark import Profiler

BYTES = 48
#: The recorder's rate is roughly known at first.
RATE = 0.01
NOTE = re.compile(r"(.*): (\d+\.\d+) ms, tot: .*?\((?:(\d+) calls(?:, (\d+) silent)?: )?server (\d+\.\d+)"
                  r"(?:: handle (\d+\.\d+), queue (\d+\.\d+))?; between (\d+\.\d+)(?:: there (\d+\.\d+), back (\d+\.\d+))?\)")


def now_ms():
    return time.perf_counter_ns() / 1e6


def is_least(what, least):
    return what >= least * (1 - RATE) - 0.002


def is_most(what, most):
    return what <= most * (1 + RATE) + 0.002


class Text:
    """A sink, and what it was given; equal to no other."""

    def __init__(self):
        self.reports = []

    def __call__(self, text):
        self.reports.append(text)

    def __repr__(self):
        return "".join(self.reports)

    def lines(self):
        """But those of the servers that echo() made, which are inside."""
        return [line.strip() for line in repr(self).splitlines() if " echo" not in line]


def receive(end, size=BYTES):
    """That many bytes, or b'' at the end."""
    data = b""
    while len(data) < size:
        more = end.recv(size - len(data))
        if not more:
            return b""
        data += more
    return data


def echo(call, **options):
    """What a server here replies at once."""
    return lapmark.serve("echo", call.request, ms_threshold=1e9, **options).reply()


def counted(function):
    """By how many bad trailers the count has risen."""
    before = lapmark.counts()["bad_trailer"]
    function()
    return lapmark.counts()["bad_trailer"] - before


def open_call():
    """Of one that does not print: of those there are at most 1,000 a second."""
    with Profiler("client", ms_threshold=1e9) as profiler:
        return profiler.call("x")
