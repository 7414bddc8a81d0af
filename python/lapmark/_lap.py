# SPDX-License-Identifier: MIT
"""One entry of `Profiler.laps`."""
from typing import NamedTuple, Optional

#: So many laps of a profiler are listed one by one. What was before them is one entry in front of them.
LAPS_KEPT = 1024
OLDER_LABEL = "(older)"


class Lap(NamedTuple):
    """The time between a checkpoint and the one before it, or the begin.

    Where a profiler had more than LAPS_KEPT, the first entry of `laps` stands for all that were before: its label is
    "(older)", `count` says how many they are, `ms` is their sum, `tot_ms` that of the last of them. So the sum of all `ms`
    is the `tot_ms` of the last entry, and the sum of all `count` the number of checkpoints, however many there were."""

    label: str
    ms: float
    tot_ms: float
    n: Optional[int] = None
    count: int = 1
