# SPDX-License-Identifier: MIT
"""What chooses which profilers are on: the terms of LAPMARK and of lapmark.set(), as lapmark(3) has them."""
from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

TERMS_MAX = 64
GLOB_BYTES_MAX = 127
THRESHOLD_NS_MAX = 1 << 60
_UNITS = (("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9))


def glob_matches(glob: str, text: str) -> bool:
    """Is the whole text as the glob says? `*` is any text, `?` any character, `\\` takes the next as it is."""
    at = star = retry = 0
    position = 0
    has_star = False
    while position < len(text):
        here = glob[at:at + 1]
        if here == "*":
            at += 1
            has_star, star, retry = True, at, position
            continue
        is_escaped = here == "\\" and at + 1 < len(glob)
        literal = glob[at + 1] if is_escaped else here
        if here and ((here == "?") or literal == text[position]):
            at += 2 if is_escaped else 1
            position += 1
        elif has_star:
            retry += 1
            at, position = star, retry
        else:
            return False
    return not glob[at:].strip("*")


def threshold_ns(ns: float) -> int:
    """A threshold as it is compared: none for what is no number or negative, a finite one for what is infinite."""
    if not ns > 0:
        return 0
    return int(ns) if ns < THRESHOLD_NS_MAX else THRESHOLD_NS_MAX


class Term(NamedTuple):
    """One term; its glob's escapes are still in it."""

    glob: str
    is_negative: bool
    threshold_ns: Optional[int]


def _parse_threshold(text: str) -> int:
    for unit, factor in _UNITS:
        if text.endswith(unit):
            number = text[:-len(unit)]
            break
    else:
        number, factor = text, 1e6
    whole, _, fraction = number.partition(".")
    if not (whole + fraction).isascii() or not (whole + fraction).isdigit():
        raise ValueError(text)
    value = float(f"{whole or 0}.{fraction or 0}")
    if value > 1e12:
        raise ValueError(text)
    return threshold_ns(value * factor)


def _split(text: str, separator: str) -> List[str]:
    """At each separator that no backslash is in front of."""
    parts, start, at = [], 0, 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == separator:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return parts + [text[start:]]


def _parse_term(text: str) -> Term:
    is_negative = text.startswith("-")
    glob, *threshold = _split(text[1:] if is_negative else text, ":")
    if not glob or len(glob.encode("utf-8", "replace")) > GLOB_BYTES_MAX or len(threshold) > 1 or (is_negative and threshold):
        raise ValueError(text)
    if glob == "off" and not is_negative:
        is_negative, glob = True, "*"
    return Term(glob, is_negative, _parse_threshold(threshold[0]) if threshold else None)


class Switches:
    """Terms in order: the last that matches decides. What none matches is on, unless LAPMARK begins with a positive term."""

    def __init__(self) -> None:
        self.terms: Tuple[Term, ...] = ()
        self.is_off_by_default = False

    def add(self, text: str, sets_default: bool) -> None:
        """Adds the terms of a text; ValueError, with nothing changed, where one cannot be read or they are too many."""
        terms, is_off_by_default = list(self.terms), self.is_off_by_default
        for part in _split(text, ","):
            part = part.lstrip(" ")
            if not part:
                continue
            try:
                term = _parse_term(part)
            except ValueError:
                raise ValueError(f"cannot read '{text}' at '{part}'") from None
            if not terms and sets_default:
                is_off_by_default = not term.is_negative
            # What a later term hides for good goes, so that one may switch for ever.
            terms = [kept for kept in terms if term.glob not in ("*", kept.glob)] + [term]
            if len(terms) > TERMS_MAX:
                raise ValueError(f"more than {TERMS_MAX} terms")
        self.terms, self.is_off_by_default = tuple(terms), is_off_by_default

    def find(self, names: Sequence[str]) -> Optional[Term]:
        """The term that decides for something of these names, None if none does."""
        for term in reversed(self.terms):
            if any(glob_matches(term.glob, name) for name in names):
                return term
        return None
