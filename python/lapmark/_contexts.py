# SPDX-License-Identifier: MIT
"""Steps of traces, as text: what a W3C traceparent says, of version 00 strictly, of later ones the first four fields."""
from __future__ import annotations

import re
from typing import NamedTuple, Optional

_KNOWN_FLAGS = 3
_TEXT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)


class Context(NamedTuple):
    """A step of a trace."""

    trace_id: bytes
    span_id: bytes
    flags: int


def read(text: str) -> Optional[Context]:
    """None: it is none."""
    found = _TEXT.fullmatch(text)
    if not found or found[1] == "ff" or (found[1] == "00" and found[5]):
        return None
    flags = int(found[4], 16) & (0xFF if found[1] == "00" else _KNOWN_FLAGS)
    context = Context(bytes.fromhex(found[2]), bytes.fromhex(found[3]), flags)
    return context if any(context.trace_id) and any(context.span_id) else None


def write(context: Optional[Context]) -> str:
    """'' for none."""
    if context is None:
        return ""
    return f"00-{context.trace_id.hex()}-{context.span_id.hex()}-{context.flags & _KNOWN_FLAGS:02x}"
