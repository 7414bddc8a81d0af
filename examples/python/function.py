# SPDX-License-Identifier: MIT
"""A function, a method, a coroutine: reported when they are left, by whatever return or exception."""
import asyncio

from lapmark import Profiler


def word_counts(text):
    profiler = Profiler('word_counts()')
    words = text.lower().split()
    profiler('split')
    counts = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    profiler('counted')
    return counts


class Index:
    def __init__(self, text):
        profiler = Profiler()  # no message: it is called Index.__init__
        self.counts = word_counts(text)
        profiler('words counted', n=len(self.counts))
        self.order = sorted(self.counts, key=self.counts.get, reverse=True)
        profiler('sorted')


async def fetch(seconds):
    """A coroutine's end is not known to the moment without `with`: its time runs to the last checkpoint."""
    with Profiler('fetch()') as profiler:
        await asyncio.sleep(seconds)
        profiler('answer is here')


@Profiler('decorated()')
def decorated():
    return sum(range(1000))


Index('the quick brown fox jumps over the lazy dog ' * 2000)
asyncio.run(fetch(0.01))
decorated()
