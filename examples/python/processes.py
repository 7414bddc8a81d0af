# SPDX-License-Identifier: MIT
"""Other processes: each reports for itself, and inherits what is switched on. `lapmark run -- python3 processes.py` records all of
them."""
from concurrent.futures import ProcessPoolExecutor

from lapmark import Profiler


def work(size):
    profiler = Profiler(f'work on {size}')
    total = sum(range(size))
    profiler('summed', n=size)
    return total


if __name__ == '__main__':
    with Profiler('pool') as profiler:
        with ProcessPoolExecutor(2) as pool:
            results = list(pool.map(work, (1000, 100000)))
        profiler(f'{len(results)} results')
