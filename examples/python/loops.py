# SPDX-License-Identifier: MIT
"""Around a loop, one checkpoint for all of it. Inside a loop it is fine, too: one line, with count, mean and maximum, also where
the label is an f-string."""
from lapmark import Profiler

items = [list(range(number % 200)) for number in range(1000)]


def around():
    profiler = Profiler(f'processing {len(items)} items')
    for item in items:
        item.sort(reverse=True)
    profiler('processed all items', n=len(items))


def inside():
    profiler = Profiler('processing each item')
    for number, item in enumerate(items):
        item.sort()
        profiler('sorted')
        sum(item)
        profiler(f'item {number} summed')


around()
inside()
