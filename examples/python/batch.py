# SPDX-License-Identifier: MIT
"""Batch work: the values in the labels stay numbers, so the batches make one row of a recording, whatever their sizes."""
from lapmark import Profiler


def process(batch):
    profiler = Profiler('Batch processing')
    items = [value for value in batch if value % 3]
    profiler(f'collected {len(items)} items', n=len(items))
    results = [value ** 0.5 for value in items]  # or an operation of numpy
    profiler('computed')
    output = {
        item: result
        for item, result in zip(items, results)
    }
    profiler('dict built')
    return output


for size in (300, 30000):
    process(range(size))
