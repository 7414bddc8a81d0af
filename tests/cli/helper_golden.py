# SPDX-License-Identifier: MIT
"""What the commands find in a golden recording, in a form to be compared with what they found when it was made."""
import collections
import json

import common


def relative(value, root):
    """The value without the place of the recordings in it."""
    if isinstance(value, dict):
        return {key: relative(part, root) for key, part in value.items()}
    if isinstance(value, list):
        return [relative(part, root) for part in value]
    return value.replace(f"{root}/", "") if isinstance(value, str) else value


def read(root, name):
    """The output of report and check, the exit status of all, and how many events there are of each name."""
    found = {}
    for key, command in (("report", ["report"]), ("check", ["check"]), ("slowest", ["slowest", "--count=2"])):
        result = common.lapmark(*command, "--json", f"{root}/{name}")
        found[f"{key}_status"] = result.status
        found[key] = relative(json.loads(result.out), root) if result.out else None
    result = common.lapmark("show", "--events", "--json", f"{root}/{name}")
    events = [json.loads(line) for line in result.out.splitlines()]
    found["events_status"] = result.status
    found["events"] = dict(sorted(collections.Counter(event["name"] for event in events).items()))
    return found


def differences(expected, got, place=""):
    """Where `got` lacks something or has something else; what it has beyond is a later version's. Times may be off by what
    another compiler's arithmetic makes of them."""
    if isinstance(expected, dict) and isinstance(got, dict):
        return [text for key, value in expected.items() for text in
                (differences(value, got[key], f"{place}.{key}") if key in got else [f"{place}.{key}: not there"])]
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        return [text for i, value in enumerate(expected) for text in differences(value, got[i], f"{place}[{i}]")]
    if isinstance(expected, float) and isinstance(got, (int, float)):
        return [] if abs(expected - got) <= 1e-9 * abs(expected) + 1e-3 else [f"{place}: {got}, not {expected}"]
    return [] if expected == got and isinstance(got, type(expected)) else [f"{place}: {got!r}, not {expected!r}"]
