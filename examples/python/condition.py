# SPDX-License-Identifier: MIT
"""Only when it is asked for. A profiler that is off takes the same calls and does nothing, so no other line asks.

Without an argument, 'env' is off, unless it is switched on from outside: LAPMARK='reposition*' python3 condition.py"""
import sys

from lapmark import Profiler

DEBUG_REPOSITION = '--debug' in sys.argv


class Annotations:
    def __init__(self):
        self.places = list(range(20000))

    def reposition(self, by):
        profiler = Profiler('reposition()', disabled=False if DEBUG_REPOSITION else 'env')
        self.places = [place + by for place in self.places]
        profiler('moved')
        self.places.sort()
        profiler('ordered')


Annotations().reposition(3)
