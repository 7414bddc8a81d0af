# SPDX-License-Identifier: MIT
"""What bench/run.py and its parts raise where a row cannot be measured."""


class NotMeasured(Exception):
    """Why a row has no figure."""
