# SPDX-License-Identifier: MIT
"""`lapmark scaling` on recordings of Python: the scan of an array in a loop whose only size is in the profiler's message."""
import json
import os
import re
import subprocess
import sys

from common_python import environment, main, python, skip
from test_patterns_recorded import CAN_RUN, oracle

PROGRAM = """
import random
from lapmark import Profiler

random.seed(1)
SIZES = [round(60 * 1.37 ** k) for k in range(14)]

def sizes():
    for _ in range(5 * len(SIZES)):
        yield random.choice(SIZES)

def markup_gaps(n):
    numpy = __import__('numpy')
    array = numpy.zeros(n, dtype=[('time', 'f8'), ('index', 'i8')])
    array['time'] = numpy.arange(n)
    by_time = {float(i): i for i in range(n)}
    profiler = Profiler(f'markup {n} gaps')
    for ts in by_time:
        row = array[array['time'] == ts]
        profiler('array lookup')
        by_time[ts]
        profiler('dict lookup')

def textbook(n):
    profiler = Profiler('textbook')
    numbers = [random.random() for _ in range(n)]
    by_number = dict.fromkeys(numbers)
    profiler('made')
    for _ in range(200):
        by_number[numbers[7]]
    profiler('dictionary', n=n)
    for _ in range(20):
        -1.0 in numbers
    profiler('list scan', n=n)
    sorted(numbers)
    profiler('sort', n=n)
    ''.join([str(number) for number in numbers])
    profiler('joined', n=n)
    small = n // 60
    [[sum(i * j for k in range(small)) for j in range(small)] for i in range(small)]
    profiler('matrix product', n=small)

def poll(n):
    profiler = Profiler('poll')
    waiting = list(range(n))
    while waiting:
        waiting.pop(0) in waiting
        -1 in waiting
        profiler('one taken')
"""


def scaling(calls):
    if not CAN_RUN:
        skip("this implementation does not record, or ctest has not told where the command is")
    with oracle.Directory() as place:
        recording = os.path.join(place.path, "recording")
        python(PROGRAM + calls, LAPMARK_RECORD=recording, LAPMARK_PRINT="off", LAPMARK_RING="32M")
        value = json.loads(oracle.run(oracle.LAPMARK, "scaling", "--json", recording))
        return value, {node["path"][-1]: node for node in value["nodes"]}


def test_scan_in_a_loop_is_named():
    """What is constant is never blamed, however busy the machine; the scan may once be hidden by that."""
    if subprocess.run([sys.executable, "-c", "import numpy"], env=environment(), capture_output=True, check=False).returncode:
        skip("numpy is not here")
    pattern = (r'"array lookup" is O\(n\)( or O\(n log n\))? a call and is called n times: '
               r'(at least )?O\(n²\) in markup_gaps\(\) ')
    found = 0
    for _ in range(3):
        value, nodes = scaling("for n in sizes(): markup_gaps(2 * n)")
        array, dictionary = nodes["array lookup"], nodes["dict lookup"]
        assert array["class"] in ("n", "unclear") and dictionary["class"] in ("1", "unclear"), nodes
        assert dictionary["class"] == "1" or dictionary["candidates"][0] == "1", dictionary
        assert not any('"dict lookup"' in sentence for sentence in [value["sentence"], *value["findings"]]), value
        assert dictionary["calls"]["class"] == "n", dictionary
        found += bool(value["findings"] and re.match(pattern, value["findings"][0])
                      and array["size_from"] == "argument 1 of the message 'markup # gaps'")
    assert found >= 1, (value["findings"], array)


def test_textbook_or_unclear():
    value, nodes = scaling("for n in sizes(): textbook(n)")
    wanted = {"dictionary": "1", "list scan": "n", "sort": "n log n", "joined": "n", "matrix product": "n^3"}
    found = {label: (nodes[label]["class"], nodes[label]["candidates"]) for label in wanted}
    assert all(found[label][0] in (wanted[label], "unclear") for label in wanted), found
    assert sum(found[label][0] == wanted[label] for label in wanted) >= 1, found
    assert all(nodes[label]["size_from"] == "n" for label in wanted), nodes


def test_loop_without_any_number():
    value, nodes = scaling("for n in sizes(): poll(n // 4)")
    assert nodes["one taken"]["size_from"] == 'count of "one taken" per "poll"', nodes
    assert any(finding.startswith('"one taken" is O(n') for finding in value["findings"]), value


if __name__ == "__main__":
    main(globals())
