# SPDX-License-Identifier: MIT
"""The text of a report: durations, labels and lines as the C library writes them, so that reports of both look alike."""
from __future__ import annotations

import math
import re
from typing import Dict, Iterable, NamedTuple, Optional, Tuple

LABEL_BYTES = 511
INDENT = 2

#: A number that stands alone, so that labels which differ in it are one row. Not one: `step1`, `0x1f`, `1.2.3`, `12ms`.
#: A sign belongs to it where no word stands before it: `gap-5` is `gap-#`, `at -5` is `at #`.
NUMBER = re.compile(r"(?<![\w.])(?:(?<![\w)\]])[+-])?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?!\w|\.[0-9])")


def pattern(label: str) -> str:
    """The label with # in the place of each stand-alone number: what the row of many is called."""
    return NUMBER.sub("#", label) if any(c.isdigit() for c in label) else label


def _is_control(point: int) -> bool:
    """Would it move the cursor, start a line or change the direction of what follows?"""
    return (point < 0x20 or 0x7F <= point < 0xA0 or point in (0x61C, 0x200E, 0x200F) or 0x2028 <= point <= 0x202E
            or 0x2066 <= point <= 0x2069 or 0xD800 <= point < 0xE000)


_SHORT = {0x0A: "\\n", 0x09: "\\t", 0x0D: "\\r"}


def _escaped(character: str) -> str:
    data = character.encode("utf-8", "surrogatepass")
    return "".join(_SHORT.get(byte) or f"\\x{byte:02x}" for byte in data)


def escape(label: str, most: int = LABEL_BYTES) -> str:
    """A label as it may stand in a line: escapes for what would break it, at most so many bytes with "…" behind the rest."""
    label = label[:most + 1]
    if label.isprintable() and len(label) * 4 <= most:
        return label
    parts, used, border = [], 0, 0
    for character in label:
        part = _escaped(character) if _is_control(ord(character)) else character
        used += len(part.encode("utf-8"))
        if used > most:
            return "".join(parts[:border]) + "…"
        parts.append(part)
        if used + len("…".encode("utf-8")) <= most:
            border = len(parts)
    return "".join(parts)


def ms(ns: float) -> str:
    """Milliseconds with four decimals, more where that would be fewer than three significant digits."""
    value = min(ns, 1e21) if ns > 0 else 0.0
    decimals, factor = 4, 1e-2
    while value * factor + 0.5 < 100 and value > 0 and decimals < 12:
        decimals += 1
        factor *= 10
    digits = str(math.floor(value * factor + 0.5)).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]} ms"


class Wait(NamedTuple):
    """How a lap over an await was spent, see _loops.py."""

    running_ns: int
    waiting_ns: int
    busy_ns: int

    def __str__(self) -> str:
        return (f" (running {self.running_ns / 1e6:.1f}, waiting {self.waiting_ns / 1e6:.1f},"
                f" loop busy with others {self.busy_ns / 1e6:.1f})")


def _part(before: str, ns: float) -> str:
    return before + ms(ns)[:-3]


class PeerLap(NamedTuple):
    """The checkpoints with one label of a server."""

    label: str
    sum_ns: int
    count: int


PEER_LAPS = 4  # of a reply, and of a line
_PEER_LAPS_HELD = 8  # labels that a sum of several calls tells apart


def greatest(laps: Iterable[PeerLap]) -> Tuple[PeerLap, ...]:
    """Those for a reply or a line, the greatest first."""
    return tuple(sorted(laps, key=lambda lap: -lap.sum_ns)[:PEER_LAPS])


def joined(laps: Iterable[PeerLap]) -> Tuple[PeerLap, ...]:
    """Those of a label as one; of the first labels."""
    sums: Dict[str, PeerLap] = {}
    for lap in laps:
        there = sums.get(lap.label)
        if there is not None:
            sums[lap.label] = PeerLap(lap.label, there.sum_ns + lap.sum_ns, min(there.count + lap.count, (1 << 32) - 1))
        elif len(sums) < _PEER_LAPS_HELD:
            sums[lap.label] = lap
    return tuple(sums.values())


class Calls(NamedTuple):
    """Calls to other processes that came back in a lap. `answered` of `count` said what they took, and may tell their laps."""

    count: int
    answered: int
    server_ns: int
    queue_ns: int
    between_ns: int
    laps: Tuple[PeerLap, ...] = ()

    @classmethod
    def of(cls, total_ns: int, parts: Optional[Tuple[int, int]], laps: Tuple[PeerLap, ...]) -> Calls:
        """One; `parts` are what its server took, and what of that it waited there."""
        if parts is None:
            return cls(1, 0, 0, 0, 0)
        return cls(1, 1, parts[0], parts[1], total_ns - parts[0], laps)

    def plus(self, other: Calls) -> Calls:
        sums = Calls(*(mine + its for mine, its in zip(self, other)))
        return sums._replace(laps=joined(sums.laps))

    def __str__(self) -> str:
        if not self.answered:
            text = "peer silent"
        else:
            text = _part("server ", self.server_ns)
            if self.queue_ns:
                text += _part(": handle ", self.server_ns - self.queue_ns)
            if self.laps:
                text += " [" + ", ".join(_part(f"{lap.label} ", lap.sum_ns) for lap in greatest(self.laps)) + "]"
            if self.queue_ns:
                text += _part(", queue ", self.queue_ns)
            text += _part("; between ", self.between_ns)
        if self.count == 1:
            return f" ({text})"
        silent = f", {self.count - self.answered} silent" if 0 < self.answered < self.count else ""
        return f" ({self.count} calls{silent}: {text})"


class Sizes(NamedTuple):
    """The smallest and greatest problem size of what a line shows."""

    least: int
    greatest: int

    def __str__(self) -> str:
        return f", n={self.least}" if self.least == self.greatest else f", n={self.least}..{self.greatest}"


def _text(part: object) -> str:
    return "" if part is None else str(part)


def _note(note: Optional[str]) -> str:
    return f" ({note})" if note else ""


def enter_line(label: str, note: Optional[str] = None) -> str:
    return f"> Entering {label}{_note(note)}"


def lap_line(label: str, lap_ns: float, tot_ns: float, sizes: Optional[Sizes], wait: Optional[Wait],
             calls: Optional[Calls]) -> str:
    return f"{label}: {ms(lap_ns)}, tot: {ms(tot_ns)}{_text(sizes)}{_text(wait)}{_text(calls)}"


def laps_line(label: str, count: int, sum_ns: float, tot_ns: float, max_ns: float, sizes: Optional[Sizes],
              wait: Optional[Wait], calls: Optional[Calls]) -> str:
    return (f"{label} (x{count}): {ms(sum_ns)}, tot: {ms(tot_ns)}, mean {ms(sum_ns / count)}, max {ms(max_ns)}"
            f"{_text(sizes)}{_text(wait)}{_text(calls)}")


def nested_line(label: str, count: int, sum_ns: float, max_ns: float, sizes: Optional[Sizes], note: Optional[str]) -> str:
    if count == 1:
        return f"> {label}: total {ms(sum_ns)}{_text(sizes)}{_note(note)}"
    return (f"> {label} (x{count}): total {ms(sum_ns)}, mean {ms(sum_ns / count)}, max {ms(max_ns)}"
            f"{_text(sizes)}{_note(note)}")


def rest_line(rest_ns: float, calls: Optional[Calls]) -> str:
    return f"(rest): {ms(rest_ns)}{_text(calls)}"


def exit_line(label: str, total_ns: float, sizes: Optional[Sizes], is_open: Optional[str], held_ns: float) -> str:
    """`held_ns` is what an implicit end came late by; below what its one decimal shows it is not worth a note."""
    held = f"held {held_ns / 1e6:.1f} ms" if held_ns >= 50_000 else None
    return f"< Exiting {label}, total time: {ms(total_ns)}{_text(sizes)}{_note(is_open)}{_note(held)}"


def more_line(lines: int) -> str:
    return "(1 more line)" if lines == 1 else f"({lines:,} more lines)".replace(",", "")
