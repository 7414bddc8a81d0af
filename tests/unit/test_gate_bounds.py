# SPDX-License-Identifier: MIT
"""The bounds that tests/soak/gate_runs.py prints are those of GSL's beta distribution."""
import ctypes
import ctypes.util
import os
import sys

sys.path.insert(0, os.path.join(os.environ["SOURCE_DIR"], "tests", "soak"))
import gate_runs  # noqa: E402

GSL = ctypes.CDLL(ctypes.util.find_library("gsl"))
GSL.gsl_cdf_beta_Pinv.restype = ctypes.c_double
GSL.gsl_cdf_beta_Pinv.argtypes = [ctypes.c_double] * 3

for whole in (1, 2, 10, 100, 200):
    for count in sorted({0, 1, 2, whole // 3, whole - 1, whole}):
        if count > whole:
            continue
        for q in (0.025, 0.05, 0.3):
            got = gate_runs.at_most(count, whole, q)
            wanted = GSL.gsl_cdf_beta_Pinv(1 - q, count + 1, whole - count) if count < whole else 1
            assert abs(got - wanted) < 2e-6, (count, whole, q, got, wanted)
assert gate_runs.bounds(3, 200) == "0.3% to 4.3%", gate_runs.bounds(3, 200)
