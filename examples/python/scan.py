# SPDX-License-Identifier: MIT
"""A lookup that looks harmless, and reads the whole list each time. With the size beside each lap one sees that the cost grows
with it."""
from lapmark import Profiler


def find_rows(times):
    profiler = Profiler(f'find rows among {len(times)}', n=len(times))
    for wanted in times[::len(times) // 10]:
        times.index(wanted)
        profiler('row found', n=len(times))


for size in (1000, 100000):
    find_rows(list(range(size)))
