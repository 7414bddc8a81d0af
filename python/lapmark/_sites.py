# SPDX-License-Identifier: MIT
"""Places in the source, and the rows of each: labels and messages with their numbers taken out, 64 of each, so that nothing
that is made from data makes a report, or the memory, grow without bound."""
from __future__ import annotations

from typing import Dict, Tuple

from . import _text

KEYS_MAX = 64
SITES_MAX = 16384
OTHER = "(other)"


class Rows:
    """Patterns as they come; past KEYS_MAX all others are one."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: Dict[str, str] = {}

    def row(self, label: str) -> str:
        pattern = _text.pattern(label)
        known = self.known.get(pattern)
        if known is not None:
            return known
        if len(self.known) >= KEYS_MAX:
            return OTHER
        return self.known.setdefault(pattern, pattern)


class Site:
    """Where profilers are made: the file, the function and the line."""

    __slots__ = ("messages", "labels", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.messages = Rows()
        self.labels = Rows()


_sites: Dict[Tuple[str, str, int], Site] = {}
_too_many = Site(-1)


def find(filename: str, function: str, line: int) -> Site:
    key = (filename, function, line)
    site = _sites.get(key)
    if site is None:
        if len(_sites) >= SITES_MAX:
            return _too_many
        site = _sites.setdefault(key, Site(len(_sites)))
    return site
