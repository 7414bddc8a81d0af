# SPDX-License-Identifier: MIT
"""Running against waiting."""
from __future__ import annotations
from typing import Any, Tuple

def current() -> Any:
    return None

def times(record: Any) -> Tuple[int, int, int]:
    return (0, 0, 0) if record is None else (record.running_ns, record.waiting_ns, record.busy_ns)

def trace_loop() -> None: pass
