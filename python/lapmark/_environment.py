# SPDX-License-Identifier: MIT
"""The environment: what may be read of it, and what a child learns by it of the trace that it belongs to."""
from __future__ import annotations

import os
from typing import Any, Dict, Mapping, Optional

from . import _contexts


def variable(name: str) -> Optional[str]:
    """Not in a process with another user's rights."""
    if os.getuid() != os.geteuid() or os.getgid() != os.getegid():
        return None
    return os.environ.get(name)


def environment_context() -> str:
    """The step that started this process, a traceparent, as its environment says in TRACEPARENT; '' where it says none. It is for
    serve(): lapmark.serve('work', lapmark.environment_context()) is a Profiler that is the child of that step."""
    return _contexts.write(_contexts.read(variable("TRACEPARENT") or ""))


def child_environment(parent: Any, env: Optional[Mapping[str, str]] = None, tracestate: str = "") -> Dict[str, str]:
    """An environment for a child process that `parent` starts: a Profiler, a Call, or a traceparent. A copy of `env`, else of
    os.environ, with TRACEPARENT and TRACESTATE replaced; without them where the parent is off."""
    made = dict(os.environ if env is None else env)
    for name in ("TRACEPARENT", "TRACESTATE"):
        made.pop(name, None)
    text = parent if isinstance(parent, str) else parent.context() if hasattr(parent, "context") else parent.traceparent
    if _contexts.read(text) is not None:
        made["TRACEPARENT"] = text
        if tracestate:
            made["TRACESTATE"] = tracestate
    return made
