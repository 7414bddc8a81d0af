# SPDX-License-Identifier: MIT
"""Where reports go: Python's streams, looked up at the time, a descriptor, a file object or a callable."""
from __future__ import annotations

import os
import sys
from typing import Any, Callable, Optional, Union

#: What says where: 'stderr', 'stdout', a descriptor's number.
Where = Union[str, int]


def parse_where(value: Optional[str]) -> Optional[Where]:
    """The value of LAPMARK_PRINT; None: nothing prints. ValueError where it cannot be read."""
    if value is None or value in ("", "on", "stderr"):
        return "stderr"
    if value == "off":
        return None
    if value == "stdout":
        return "stdout"
    if not (value.isascii() and value.isdigit()) or int(value) >= 1 << 20:
        raise ValueError(value)
    return int(value)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data):]


def _flush(stream: Any) -> None:
    flush = getattr(stream, "flush", None)
    if flush is not None:
        flush()


def write_to_file(stream: Any, text: str) -> None:
    """One write, flushed before and after, so that it stands in order with what others write there."""
    _flush(stream)
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    _flush(stream)


def write_to(where: Where, text: str) -> None:
    """Raises what the stream raises."""
    if isinstance(where, int):
        # Python's own streams may have something for the same place that came before.
        for stream in (sys.stdout, sys.stderr):
            _flush(stream)
        _write_all(where, text.encode("utf-8", "surrogateescape"))
        return
    stream = sys.stdout if where == "stdout" else sys.stderr
    if stream is not None:
        write_to_file(stream, text)


def make_sink(file: Any, sink: Optional[Callable[[str], object]]) -> Optional[Callable[[str], object]]:
    """What a profiler's `file` and `sink` make together: the sink, if it has one."""
    if sink is not None or file is None:
        return sink
    return _FileSink(file)


class _FileSink:
    """Equal to another of the same file: then a nested profiler's report is part of its parent's."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __call__(self, text: str) -> None:
        write_to_file(self.file, text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _FileSink) and other.file is self.file

    def __hash__(self) -> int:
        return id(self.file)
