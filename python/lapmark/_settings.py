# SPDX-License-Identifier: MIT
"""What the environment says, read when the first profiler is made, and the counts of what went wrong."""
from __future__ import annotations

import sys
from typing import Dict, Optional, Set

from ._environment import variable
from ._streams import Where, parse_where
from ._switches import Switches

#: What was not done, and what for. The names are those of lapmark.counts().
counts: Dict[str, int] = {
    "after_end": 0,    # checkpoints and messages of a profiler that has ended, also of one that is the parent process's
    "reentered": 0,    # profilers made while a report was written, by what writes it
    "sink_failed": 0,  # reports that their stream or sink did not take
    "suppressed": 0,   # reports above 1,000 a second, and what peers wished for in vain
    "bad_label": 0,    # labels and messages that str() failed on
    "bad_number": 0,   # `n`, `ms_threshold` and `arrived` that are no numbers
    "bad_trailer": 0,  # of requests, replies and links: none of these, damaged, or another call's
    "failed": 0,       # whatever else went wrong in the profiler itself
}


def count(what: str) -> None:
    counts[what] += 1


def say(text: str) -> None:
    try:
        if sys.stderr is not None:
            sys.stderr.write(f"lapmark: {text}\n")
    except Exception:  # pylint: disable=broad-except
        count("sink_failed")


def parse_words(what: str, *known: str) -> Optional[Set[str]]:
    """Words with commas between them, or 'nothing'; None: others than are known."""
    words = set(what.split(",")) - {"nothing"}
    return words if words <= set(known) else None


class Settings:
    """The environment's, and what lapmark.set() adds. `generation` rises with each change."""

    def __init__(self) -> None:
        self.switches = Switches()
        self.generation = 0
        self.where: Optional[Where] = "stderr"
        terms, where = variable("LAPMARK"), variable("LAPMARK_PRINT")
        try:
            self.switches.add(terms or "", True)
        except ValueError:
            self.ignore("LAPMARK", terms)
        try:
            self.where = parse_where(where)
        except ValueError:
            self.ignore("LAPMARK_PRINT", where)
        prefix = variable("LAPMARK_PREFIX")
        self.has_prefix = prefix == "on"
        if prefix not in (None, "", "on", "off"):
            self.ignore("LAPMARK_PREFIX", prefix)
        self.shares = self._words("LAPMARK_SHARE", "domain", "laps")
        self.accepts = self._words("LAPMARK_ACCEPT", "slow", "threshold")
        if variable("LAPMARK_RECORD"):
            say("cannot record: this is the pure-Python implementation, which only prints")

    def _words(self, name: str, *known: str) -> Set[str]:
        value = variable(name)
        words = parse_words(value or "nothing", *known)
        if words is None:
            self.ignore(name, value)
        return words or set()

    @staticmethod
    def ignore(name: str, value: Optional[str]) -> None:
        say(f"cannot read {name}='{value}'; it is ignored")

    def set(self, terms: str) -> None:
        self.switches.add(terms, False)
        self.generation += 1


_settings: Optional[Settings] = None


def settings() -> Settings:
    global _settings  # pylint: disable=global-statement
    if _settings is None:
        _settings = Settings()
    return _settings
