# SPDX-License-Identifier: MIT
"""Reports as messages of `logging`: only the slow ones, and each whole."""
import logging

from lapmark import Profiler

logging.basicConfig(format='%(asctime)s %(name)s %(levelname)s %(message)s', level=logging.INFO)
logger = logging.getLogger('orders')


def handle(size):
    profiler = Profiler(f'order of {size}', ms_threshold=5, sink=logger.info)
    sorted(range(size, 0, -1), key=str)
    profiler('sorted')


handle(10)
handle(100000)
