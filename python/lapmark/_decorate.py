# SPDX-License-Identifier: MIT
"""A function with a profiler around each call: `@Profiler('message')` and `@Profiler`, for both implementations.

A generator has one profiler for its whole life, from its first `next` to its end; it is the parent only of what runs while
the generator does."""
from __future__ import annotations

import functools
import inspect
import types
from typing import Any, Callable

#: What `Profiler(...)` and a profiler that has no checkpoint yet take as a function to decorate, and not as a label.
DECORATED = (types.FunctionType, staticmethod, classmethod)


def decorate(function: Any, make: Callable[[str], Any]) -> Any:
    """`make(default_message)` gives the profiler of one call, for use with `with`."""
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(decorate(function.__func__, make))
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", "(no name)")
    if inspect.isasyncgenfunction(function):
        wrapper = _around_async_generator(function, make, name)
    elif inspect.iscoroutinefunction(function):
        wrapper = _around_coroutine(function, make, name)
    elif inspect.isgeneratorfunction(function):
        wrapper = _around_generator(function, make, name)
    else:
        wrapper = _around_call(function, make, name)
    return functools.wraps(function)(wrapper)


def _around_call(function: Any, make: Callable[[str], Any], name: str) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with make(name):
            return function(*args, **kwargs)
    return wrapper


def _around_coroutine(function: Any, make: Callable[[str], Any], name: str) -> Any:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with make(name):
            return await function(*args, **kwargs)
    return wrapper


def _around_generator(function: Any, make: Callable[[str], Any], name: str) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with make(name):
            return (yield from function(*args, **kwargs))
    return wrapper


def _around_async_generator(function: Any, make: Callable[[str], Any], name: str) -> Any:
    # There is no `yield from` for these: what is sent and thrown in goes on by hand.
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with make(name):
            generator = function(*args, **kwargs)
            try:
                item = await generator.__anext__()
                while True:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # pylint: disable=broad-except
                        item = await generator.athrow(error)
                    else:
                        item = await generator.asend(sent)
            except StopAsyncIteration:
                return
            finally:
                await generator.aclose()
    return wrapper


def decorate_with(function: Any, cls: Any, options: Any) -> Any:
    """For the extension: `options` are those of a profiler that was made for this, or none. The frame of each call's profiler
    is the wrapper's, its site the function."""
    base = next(kind for kind in cls.__mro__ if kind.__module__ == "lapmark")
    inner = function
    while isinstance(inner, (staticmethod, classmethod)):
        inner = inner.__func__

    def make(name: str) -> Any:
        profiler = base.__new__(cls) if cls is not base else None
        if profiler is None:
            return base(**{"msg": name, **options}, stacklevel=2, _function=inner)
        base.__init__(profiler, **{"msg": name, **options}, stacklevel=2, _function=inner)
        return profiler
    return decorate(function, make)
