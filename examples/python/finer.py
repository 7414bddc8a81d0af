# SPDX-License-Identifier: MIT
"""Finer and finer: one lap is too long, so the function gets a profiler of its own. It appears inside its caller's."""
from lapmark import Profiler


def big_function():
    profiler = Profiler('big_function internals')
    rows = [str(number) for number in range(20000)]
    profiler('part_a')
    text = ','.join(sorted(rows))
    profiler('part_b')
    helper(text, profiler)


def helper(text, profiler):
    """A profiler is an object: helpers can be given it."""
    parts = text.split(',')
    profiler('part_c: split')
    set(parts)
    profiler('part_c: made unique')


def main():
    profiler = Profiler('the whole')
    big_function()
    profiler('big_function done')


main()
