# SPDX-License-Identifier: MIT
"""Drop-ins for code that was written for other checkpoint profilers: change the import, and nothing else."""
