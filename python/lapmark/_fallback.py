# SPDX-License-Identifier: MIT
"""The pure-Python implementation: everything but recording, for where the extension module cannot be had."""
from __future__ import annotations

import _thread
import collections
import sys
import warnings
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple

from . import _calls, _decorate, _engine, _frames, _settings, _streams, _switches, _wishes
from ._lap import LAPS_KEPT, OLDER_LABEL, Lap
from ._nodes import Node

Call = _calls.Call
share = _calls.share
accept = _wishes.accept
now = _engine.clock


class Profiler:
    """A stopwatch with named laps, around a stretch of code.

    Call it after each step. It reports when it dies (where the function that made it returns), at `finish()`, or at the end
    of `with` or `async with`. `@Profiler('message')` and `@Profiler` put one around each call of a function.

    disabled  None, False: on, unless LAPMARK or lapmark.set() says off. 'env': on only where they name it. Anything else
              that is true: takes the same calls and does nothing, whatever LAPMARK says, and costs the least.
    delayed   False: each line is printed at once, whatever the threshold.
    ms_threshold  prints only if it took this many milliseconds or more.
    n         a problem size, shown with its total.
    file, sink  where its report goes instead: an object with `write`, or a callable that gets the whole text. With both,
              the callable. One with its own that is not its parent's reports by itself.

    `disable`, of a class or an object, is read when a profiler is made and when it ends: such a one reports nothing."""

    disable: bool = False
    _node: Optional[Node] = None
    _serve: Optional[_calls.Serve] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _frames.note_subclass(cls)

    def __new__(cls, msg: Any = None, *args: Any, **kwargs: Any) -> Any:
        if isinstance(msg, _decorate.DECORATED) and not args and not kwargs:
            return _decorate.decorate(msg, _maker(cls, msg, None, {}))
        return super().__new__(cls)

    def __init__(self, msg: Any = None, disabled: Any = None, delayed: bool = True, ms_threshold: float = 0.0,
                 n: Optional[int] = None, *, file: Any = None, sink: Optional[Callable[[str], object]] = None) -> None:
        self._options = {"disabled": disabled, "delayed": delayed, "ms_threshold": ms_threshold, "n": n, "file": file,
                         "sink": sink}
        self._msg = msg
        self._laps: Deque[Tuple[str, int, int, Optional[int]]] = collections.deque()
        self._older = [0, 0, 0]  # count, sum, tot
        is_env = isinstance(disabled, str) and disabled == "env"
        self._is_off = bool(disabled) and not is_env
        if self._is_off or self.disable:
            return
        try:
            self._begin(_frames.constructing(sys._getframe(1)), is_env)  # pylint: disable=protected-access
        except Exception:  # pylint: disable=broad-except
            _settings.count("failed")

    def _begin(self, frame: Any, is_env: bool, function: Any = None) -> None:
        options = self._options
        node = Node()
        node.is_env = is_env
        node.n = _engine.number(options["n"])
        node.is_immediate = not options["delayed"]
        node.sink = _streams.make_sink(options["file"], options["sink"])
        node.threshold_ns = _threshold(options["ms_threshold"])
        message = None if self._msg is None else _engine.label_text(self._msg)
        if _engine.begin(node, frame, message, Profiler, function=function):
            self._node = node

    # ---- checkpoints -------------------------------------------------------------------------------------------------

    def mark(self, msg: Any = None, n: Optional[int] = None) -> float:
        """A checkpoint; returns its lap in ms. Without a label it has its number, from 0. After the end it is counted and
        does nothing else."""
        node = self._node
        if node is None or node.is_mute:
            return 0.0
        now_ns = _engine.clock()
        if not node.is_open:
            _settings.count("after_end")
            return 0.0
        try:
            label = str(node.marks) if msg is None else _engine.label_text(msg)
            size = _engine.number(n)
            lap_ns = _engine.mark(node, now_ns, label, size, self._keep)
            if lap_ns is None:  # ended by the label's or the number's own code, or by another thread
                _settings.count("after_end")
                return 0.0
            return lap_ns / 1e6
        except Exception:  # pylint: disable=broad-except
            _settings.count("failed")
            return 0.0

    def __call__(self, msg: Any = None, n: Optional[int] = None) -> Any:
        """The same as mark(). A plain function in the place of the first label is decorated."""
        if n is None and isinstance(msg, _decorate.DECORATED) and not (self._node is not None and self._node.marks):
            return self._decorate(msg)
        return self.mark(msg, n)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(f"cannot pickle '{type(self).__name__}' object")

    def _keep(self, lap: Tuple[str, int, int, Optional[int]]) -> None:
        self._laps.append(lap)
        if len(self._laps) > LAPS_KEPT:
            _, lap_ns, tot_ns, _ = self._laps.popleft()
            self._older[0] += 1
            self._older[1] += lap_ns
            self._older[2] = tot_ns

    @property
    def laps(self) -> List[Lap]:
        """The checkpoints so far, see Lap; the rest is none of them."""
        laps = [Lap(label, lap_ns / 1e6, tot_ns / 1e6, n) for label, lap_ns, tot_ns, n in list(self._laps)]
        count, sum_ns, tot_ns = self._older
        return ([Lap(OLDER_LABEL, sum_ns / 1e6, tot_ns / 1e6, None, count)] if count else []) + laps

    # ---- calls to other processes ------------------------------------------------------------------------------------

    def call(self, msg: Any, *, follows: Any = None) -> Call:
        """Begins a call to another process, see Call; the next checkpoint says how its time divides. `follows`: the call that was
        an earlier attempt at it."""
        return _calls.begin(self._node, msg, follows)

    def context(self) -> str:
        """By which name others know it, as a traceparent, for whom it starts; '' where it is off."""
        return _calls.context_of(self._node)

    def link(self, other: Any) -> None:
        """In recordings it follows that step, a Call or a traceparent, which is not its parent: a batch each of its requests."""
        _calls.link(self._node, other)

    def reply(self) -> bytes:
        """Of one that lapmark.serve() made, 48 bytes to go with the reply, or up to 248 with its laps where they are shared; b''
        where the request had none."""
        return b"" if self._serve is None else self._serve.reply(self._node)

    # ---- end ---------------------------------------------------------------------------------------------------------

    def finish(self, msg: Any = None) -> float:
        """Ends it, with a last checkpoint where there is a message; returns the total in ms. Again: the same total."""
        node = self._node
        if node is None or node.is_mute and not node.is_open:
            return 0.0
        if node.is_open:
            try:
                if msg is not None:
                    self.mark(msg)
                _engine.finish(node, node.last_ns if msg is not None else _engine.clock(), bool(self.disable))
            except Exception:  # pylint: disable=broad-except
                _settings.count("failed")
        elif msg is not None:
            _settings.count("after_end")
        return 0.0 if node.is_mute else node.total_ns / 1e6

    def __enter__(self) -> Profiler:
        return self

    def __exit__(self, *error: object) -> None:
        self.finish()

    async def __aenter__(self) -> Profiler:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.finish()

    def __del__(self) -> None:
        node = self._node
        if node is None or not node.is_open:
            return
        try:
            try:
                here = sys._getframe(1)  # pylint: disable=protected-access
            except ValueError:
                here = None  # nothing of Python runs: the thread's outermost function returned
            _engine.die(node, _engine.clock(), here, bool(self.disable))
        except KeyboardInterrupt:
            _thread.interrupt_main()  # a finalizer cannot raise it
        except Exception:  # pylint: disable=broad-except
            _settings.count("failed")

    # ---- decorator ---------------------------------------------------------------------------------------------------

    def _decorate(self, function: Any) -> Any:
        if self._node is not None:
            _engine.withdraw(self._node)
            self._node = None
        if self._is_off:
            return function
        return _decorate.decorate(function, _maker(type(self), function, self._msg, self._options))

    def __repr__(self) -> str:
        node = self._node
        if node is None:
            return f"<{type(self).__name__} off>"
        return f"<{type(self).__name__} {node.label!r}, {'open' if node.is_open else 'ended'}>"


Profiler.__signature__ = _frames.constructor_signature(Profiler)  # type: ignore[attr-defined]


def _maker(cls: type, function: Any, msg: Any, options: Dict[str, Any]) -> Callable[[str], Any]:
    """Makes the profiler of one call of a decorated function. The frame is that of the wrapper, the site the function."""
    while isinstance(function, (staticmethod, classmethod)):
        function = function.__func__

    def make(_name: str) -> Any:
        return _made(cls, function, msg, options)
    return make


def _made(cls: Any, function: Any, msg: Any, options: Dict[str, Any]) -> Any:
    profiler = cls.__new__(cls)
    Profiler.__init__(profiler, msg, **{**options, "disabled": True})
    disabled = options.get("disabled")
    is_env = isinstance(disabled, str) and disabled == "env"
    profiler._is_off = bool(disabled) and not is_env  # pylint: disable=protected-access
    if not profiler._is_off and not profiler.disable:  # pylint: disable=protected-access
        try:
            frame = sys._getframe(2)  # pylint: disable=protected-access
            profiler._begin(frame, is_env, function)  # pylint: disable=protected-access
        except Exception:  # pylint: disable=broad-except
            _settings.count("failed")
    return profiler


def _threshold(ms: Any) -> int:
    if ms is None:
        return 0
    try:
        return _switches.threshold_ns(float(ms) * 1e6)
    except Exception:  # pylint: disable=broad-except
        _settings.count("bad_number")
        return 0


def serve(msg: Any = None, trailer: Any = None, arrived: Any = None, *, disabled: Any = None, delayed: bool = True,
          ms_threshold: float = 0.0, n: Optional[int] = None, file: Any = None,
          sink: Optional[Callable[[str], object]] = None) -> Profiler:
    """A Profiler for a request that came with this trailer, if it had one; its reply() goes back. `arrived`: of now(), when the
    request was read. In the place of the trailer, text: the traceparent of a request that has but that. The other arguments are
    the Profiler's."""
    disabled, ms_threshold = _wishes.apply(trailer, disabled, ms_threshold)
    profiler = Profiler.__new__(Profiler)  # a function as its message is no function to decorate
    Profiler.__init__(profiler, msg, disabled, delayed, ms_threshold, n, file=file, sink=sink)
    if not profiler._is_off and not profiler.disable:  # pylint: disable=protected-access
        serving = profiler._serve = _calls.Serve(trailer, arrived)  # pylint: disable=protected-access
        if profiler._node is not None:  # pylint: disable=protected-access
            profiler._node.serving = serving.trace()  # pylint: disable=protected-access
        serving.hold(profiler._node)  # pylint: disable=protected-access
    return profiler


_frames.CONSTRUCTORS.add(serve.__code__)


# ---- the process -----------------------------------------------------------------------------------------------------


def record(directory: Any) -> None:
    """Would record; this implementation cannot, and says so."""
    del directory
    warnings.warn("lapmark: cannot record: this is the pure-Python implementation, which only prints", RuntimeWarning,
                  stacklevel=2)


def record_stop() -> None:
    """Nothing to stop."""


end_process = _engine.end_all


def set(terms: str) -> None:  # pylint: disable=redefined-builtin
    """Switches profilers by terms as in LAPMARK, put behind those that are in force. ValueError, with nothing changed, where
    one cannot be read or there are more than 64."""
    _settings.settings().set(terms)


def flush() -> None:
    """Prints the reports that wait for a profiler around them, each marked (parent still open)."""
    _engine.flush()


def counts() -> Dict[str, int]:
    """How often something was left out so that the program could go on: see _settings.py for the names."""
    return dict(_settings.counts)


def set_task_clock(function: Optional[Callable[[], Any]]) -> None:
    """For _loops.py: what gives the running task's times."""
    _engine.task_clock = function
