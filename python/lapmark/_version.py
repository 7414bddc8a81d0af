# SPDX-License-Identifier: MIT
"""The version: that of lapmark.h, which a test compares. A literal, as a plain copy of this directory must import."""
__version__ = "0.1.0"
