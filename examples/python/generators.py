# SPDX-License-Identifier: MIT
"""Generators: while one is suspended, its profiler adopts nothing of its caller's."""
from lapmark import Profiler


def numbers():
    with Profiler('numbers') as profiler:
        for number in range(1000):
            profiler('made')
            yield number


def pairs(source):
    with Profiler('pairs') as profiler:
        for number in source:
            profiler('paired')
            yield number, 2 * number


def main():
    with Profiler('consumer') as profiler:
        for _ in pairs(numbers()):
            profiler('used')


main()
