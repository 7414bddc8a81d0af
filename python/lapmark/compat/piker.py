# SPDX-License-Identifier: MIT
"""For code written for piker's profiler: `from lapmark.compat.piker import Profiler, pg_profile_enabled, ms_slower_then`.

`_pg_profile` and `ms_slower_then` are switches of this module, as they are there: a program's command line sets them. Here
who imported `ms_slower_then` by value sees what is set later, too; and a process where LAPMARK is set has profiling enabled, so
that the processes it starts, which inherit the environment, have it as well."""
from __future__ import annotations

import functools
import inspect
import os
import sys
import time
from typing import Any, Callable, Union

from ._named import NamedProfiler, names_from_environment

__all__ = ["Profiler", "ms_slower_then", "pg_profile_enabled", "timeit"]

#: Set to True, profilers with `disabled=not pg_profile_enabled()` are on.
_pg_profile: bool = False


def pg_profile_enabled() -> bool:
    """Also where LAPMARK is set, whose terms then say which."""
    return bool(_pg_profile) or bool(os.environ.get("LAPMARK"))


class _Threshold:
    """The number that the module's `ms_slower_then` was set to, 0 until then, whenever it is looked at."""

    def _now(self) -> float:
        value = getattr(sys.modules.get(__name__), "ms_slower_then", self)
        return 0.0 if isinstance(value, _Threshold) else float(value)

    def __float__(self) -> float:
        return self._now()

    def __int__(self) -> int:
        return int(self._now())

    def __bool__(self) -> bool:
        return self._now() != 0

    def __repr__(self) -> str:
        return repr(self._now())

    def __hash__(self) -> int:
        return id(self)

    def __format__(self, spec: str) -> str:
        return format(self._now(), spec)

    def __eq__(self, other: object) -> bool:
        return other is self or self._now() == other

    def __lt__(self, other: Any) -> bool:
        return self._now() < other

    def __le__(self, other: Any) -> bool:
        return self._now() <= other

    def __gt__(self, other: Any) -> bool:
        return self._now() > other

    def __ge__(self, other: Any) -> bool:
        return self._now() >= other

    def __add__(self, other: Any) -> Any:
        return self._now() + other

    def __sub__(self, other: Any) -> Any:
        return self._now() - other

    def __mul__(self, other: Any) -> Any:
        return self._now() * other

    def __truediv__(self, other: Any) -> Any:
        return self._now() / other

    __radd__, __rmul__ = __add__, __mul__


#: Milliseconds for `ms_threshold`; to be set to a number.
ms_slower_then: Union[float, _Threshold] = _Threshold()


class Profiler(NamedProfiler):
    """See above; all else is lapmark.Profiler's."""

    _profilers = names_from_environment()

    def __init__(self, msg: Any = None, disabled: Any = "env", delayed: bool = True, ms_threshold: Any = 0.0,
                 **options: Any) -> None:
        super().__init__(msg, disabled, delayed, ms_threshold, **options)


def timeit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Prints how long each call of a function took, on stdout; of a coroutine function, until it has returned."""
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(function))}"

    def say(begin: float) -> None:
        print(f"{name}: {time.perf_counter() - begin:.4f} sec")

    if inspect.iscoroutinefunction(function):
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            result = await function(*args, **kwargs)
            say(begin)
            return result
    else:
        def wrapper(*args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]
            begin = time.perf_counter()
            result = function(*args, **kwargs)
            say(begin)
            return result
    return functools.wraps(function)(wrapper)
