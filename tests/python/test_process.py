# SPDX-License-Identifier: MIT
"""The process around profilers: switches, fork, threads, exit, memory."""
import re

from common_python import main, python, reports

MARKS = """
    import lapmark
    from lapmark import Profiler

    def alpha():
        with Profiler('alpha one') as profiler:
            profiler('a')
    def beta():
        with Profiler('beta 12 gaps', disabled='env') as profiler:
            profiler('b')
    def gamma():
        with Profiler('gamma', disabled=True) as profiler:
            profiler('c')
    class Class:
        def method(self):
            profiler = Profiler('in a method', disabled=False)
            profiler('d')
    def slow():
        with Profiler('slow', ms_threshold=10000) as profiler:
            profiler('e')
    def all_of_them():
        alpha(); beta(); gamma(); Class().method(); slow()
    """


def labels(text):
    return [entry.label for report in reports(text) for entry in report.all()]


def check_switches(terms, expected, program=MARKS + "\n    all_of_them()\n"):
    result = python(program, **({} if terms is None else {"LAPMARK": terms}))
    assert sorted(labels(result.err)) == sorted(expected), (terms, result)


def test_switches():
    one, env, method = "alpha one", "beta 12 gaps", "in a method"
    check_switches(None, [one, method])
    check_switches("", [one, method])
    check_switches("off", [])
    check_switches("-alpha*", [method])
    check_switches("alpha*", [one])
    check_switches("alpha*,beta*", [one, env])
    check_switches("beta # gaps", [env])
    check_switches("off,beta*", [env])
    check_switches("*", [one, env, method])
    check_switches("*,-alpha*", [env, method])
    check_switches("gamma", [])  # where the code says True, nothing turns it on
    check_switches("*,slow:0", [one, env, method, "slow"])
    check_switches("*:10000", [])
    check_switches("*:10000, alpha*:0", [one])
    check_switches("in ? method", [method])
    check_switches("alpha", [one])  # the function's name
    check_switches("Class.method", [method])
    check_switches("method", [method])
    check_switches("*:1us,slow:1ns,-alp*", [env, method, "slow"])


def test_terms_that_cannot_be_read():
    result = python(MARKS + "\n    alpha()\n", LAPMARK="alpha:xx")
    first, rest = result.err.split("\n", 1)
    assert first.startswith("lapmark: ") and "alpha:xx" in first and labels(rest) == ["alpha one"], result


def test_set():
    result = python(MARKS + """
    for terms in ('off', 'alpha*', '-alpha*', 'beta*', 'slow:0', 'off'):
        lapmark.set(terms)
        print('---', terms, file=__import__('sys').stderr)
        all_of_them()
    for wrong in (':', 'a:b', '-a:3', ','.join(f'term{number}' for number in range(100))):
        try:
            lapmark.set(wrong)
        except ValueError:
            continue
        raise AssertionError(wrong)
    all_of_them()
    """)
    parts = dict(part.split("\n", 1) for part in result.err.split("--- ")[1:-1])
    assert {terms: sorted(labels(text)) for terms, text in parts.items()} == {
        "off": [], "alpha*": ["alpha one"], "-alpha*": [], "beta*": ["beta 12 gaps"],
        "slow:0": ["beta 12 gaps", "slow"]}, result
    assert result.err.endswith("--- off\n")


def test_off_by_a_term_silences_what_is_inside():
    result = python("""
        from lapmark import Profiler
        def inner(name):
            with Profiler(name): pass
        with Profiler('outer'):
            inner('inside')
            inner('named')
        inner('outside')
        with Profiler('disabled', disabled=True):
            inner('inside what does nothing')
        """, LAPMARK="-outer,named")
    assert sorted(labels(result.err)) == ["inside what does nothing", "named", "outside"], result


def test_child_processes_inherit_the_switches():
    result = python("""
        import multiprocessing, sys
        from lapmark import Profiler
        def work(name):
            with Profiler(name): pass
        if __name__ == '__main__':
            for method in ('fork', 'spawn'):
                process = multiprocessing.get_context(method).Process(target=work, args=(f'by {method}',))
                process.start()
                process.join()
            work('other')
        """, LAPMARK="by*")
    assert labels(result.err) == ["by fork", "by spawn"], result


def test_fork():
    """Both go on; what was open is the parent's, and what ended was printed once."""
    result = python("""
        import os, sys
        from lapmark import Profiler
        def function():
            with Profiler('before') as profiler:
                profiler('x')
            outer = Profiler('outer')
            outer('in the parent')
            pid = os.fork()
            if pid == 0:
                outer('in the child')
                with Profiler('child') as profiler:
                    profiler('y')
                assert outer.finish() >= 0 and outer('again') == 0.0
            else:
                os.waitpid(pid, 0)
                with Profiler('parent') as profiler:
                    profiler('z')
            sys.stdout.flush()
            return pid
        module = Profiler('module')
        module('a')
        pid = function()
        print('child' if pid == 0 else 'parent', 'leaves', flush=True)
        """)
    assert sorted(result.out.split("\n")) == ["", "child leaves", "parent leaves"], result
    found = reports(result.err)
    assert [report.label for report in found] == ["child", "module"], result
    module = found[1]
    assert [entry.label for entry in module.all()] == ["module", "before", "outer", "parent"], result
    assert module.inside[1].labels() == ["in the parent"]


def test_process_pools():
    result = python("""
        import concurrent.futures, multiprocessing
        from lapmark import Profiler
        def work(number):
            profiler = Profiler(f'work {number}')
            profiler('done')
            return number
        if __name__ == '__main__':
            for method in ('fork', 'spawn'):
                with Profiler(f'pool by {method}') as profiler:
                    context = multiprocessing.get_context(method)
                    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
                        assert sorted(pool.map(work, range(4))) == [0, 1, 2, 3]
        """)
    expected = [f"work {number}" for number in range(4)] * 2 + ["pool by fork", "pool by spawn"]
    assert sorted(labels(result.err)) == sorted(expected), result


def test_open_at_the_end_of_a_child_of_multiprocessing():
    """Where it forks, it runs no atexit hooks. `late`: lapmark is first imported there."""
    program = """
        import multiprocessing, sys
        if sys.argv[1] == 'early':
            import lapmark
        kept = []
        def work(name):
            from lapmark import Profiler
            kept.append(Profiler(name))
            kept[0]('x')
        if __name__ == '__main__':
            for method in ('fork', 'forkserver', 'spawn'):
                process = multiprocessing.get_context(method).Process(target=work, args=(f'by {method}',))
                process.start()
                process.join()
        """
    for when in ("early", "late"):
        found = [(report.label, report.labels(), report.notes.split(" (held")[0]) for report in reports(python(program, when).err)]
        assert found == [(f"by {method}", ["x"], " (still open at exit)") for method in ("fork", "forkserver", "spawn")], (when, found)


def test_many_marks():
    """Memory stays as it was, whatever the labels are."""
    result = python("""
        import resource
        from lapmark import Profiler
        def peak_kib():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        profiler = Profiler('many')
        for number in range(20_000):
            profiler(f'turn {number}'); profiler('constant'); profiler(f'name{number}')
        before = peak_kib()
        for number in range(100_000):
            profiler(f'turn {number}'); profiler('constant'); profiler(f'name{number}')
        print(peak_kib() - before)
        """)
    assert int(result.out) < 3000, result
    assert "  constant (x120000): " in result.err and "  turn # (x120000): " in result.err, result
    assert len(result.err.splitlines()) < 200


def test_many_profilers():
    result = python("""
        import resource
        from lapmark import Profiler
        def peak_kib():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        texts = []
        def one(number):
            profiler = Profiler(f'name{number}', ms_threshold=10000)
            profiler(f'label{number}')
        def many(count):
            with Profiler('around', sink=lambda text: texts.append(text)):
                for number in range(count):
                    one(number)
        many(10_000)
        before = peak_kib()
        many(40_000)
        print(peak_kib() - before)
        assert all(len(text.splitlines()) <= 1000 for text in texts)
        """)
    assert int(result.out) < 4000, result


def test_keys_of_a_site():
    """Past 64 labels of a place that differ in more than a number, one row for all others."""
    result = python("""
        from lapmark import Profiler
        with Profiler('keys') as profiler:
            for turn in range(6):
                for number in range(100):
                    profiler(f'key{number}')
        """)
    rows = re.findall(r"^  (.*) \(x(\d+)\): ", result.err, re.MULTILINE)
    assert ("(other)", str(6 * 36)) in rows, result
    assert len(rows) == 65 and sum(int(count) for _, count in rows) == 600


def test_stand_alone_numbers():
    result = python("""
        from lapmark import Profiler
        def prints(form):
            with Profiler('p') as profiler:
                for number in range(11, 16):
                    profiler(form.format(number))
        for form in ('iteration {}', 'step{}', '{}', '{0} gaps, {0} of them', 'v1.{}.3', 'x={}', '({})', 'at {}.5 s', '{}ms', 'a_{}',
                     '-{}', 'a-{}', '[{0}:{0}]', '1e{}', '{}%', '0x{}', 'ä{}'):
            prints(form)
        """)
    rows = re.findall(r"^  (.*) \(x5\): ", result.err, re.MULTILINE)
    assert rows == ["iteration #", "#", "# gaps, # of them", "x=#", "(#)", "at # s", "#", "a-#", "[#:#]", "#", "#%"], rows
    assert "  step11: " in result.err and "  v1.14.3: " in result.err and "  12ms: " in result.err and "  a_13: " in result.err


def test_messages_with_numbers_are_one_row():
    result = python("""
        from lapmark import Profiler
        def child(n):
            profiler = Profiler(f'Batch annotate {n} gaps', disabled=False)
            profiler('annotated')
        with Profiler('around'):
            for n in (12, 40, 7, 90):
                child(n)
        """)
    assert re.search(r"^  > Batch annotate # gaps \(x4\): total ", result.err, re.MULTILINE), result


def test_f_string_sites_do_not_mix():
    """The same label in two places is two rows, since each profiler has its own."""
    result = python("""
        from lapmark import Profiler
        for turn in range(2):
            with Profiler('one') as profiler:
                profiler('same')
            with Profiler('two') as profiler:
                profiler('same')
        """)
    assert labels(result.err) == ["one", "two", "one", "two"]


def test_identity_of_labels():
    """A label's address is used again by another text: each is what it was when it was given."""
    result = python("""
        from lapmark import Profiler
        with Profiler('p') as profiler:
            for word in ('first', 'second', 'third', 'fourth'):
                profiler(''.join(list(word)))
                profiler(word[:3] + word[3:])
        """)
    assert [lap[0] for lap in reports(result.err)[0].laps] == [word for word in ("first", "second", "third", "fourth") for _ in "ab"]


def test_reports_a_second():
    result = python("""
        import lapmark
        from lapmark import Profiler
        for number in range(20_000):
            Profiler('p').finish()
        print(lapmark.counts()['suppressed'])
        """)
    printed = len(re.findall("^> Entering p$", result.err, re.MULTILINE))
    assert printed + int(result.out) == 20000 and int(result.out) > 0


def test_signal_handler():
    """It may come in the middle of anything, and make profilers itself."""
    result = python("""
        import signal, time
        from lapmark import Profiler
        texts = []
        fired = 0
        def handler(number, frame):
            global fired
            with Profiler('in the handler', sink=texts.append) as profiler:
                profiler('x')
            fired += 1
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        end = time.monotonic() + 0.5
        while time.monotonic() < end or fired < 3:
            with Profiler('main', sink=texts.append) as profiler:
                profiler('a')
                with Profiler('inner') as inner:
                    inner('b')
        signal.setitimer(signal.ITIMER_REAL, 0)
        text = ''.join(texts)
        print(fired)
        """)
    assert int(result.out) >= 3 and result.err == "", result


def test_keyboard_interrupt_is_not_swallowed():
    result = python("""
        from lapmark import Profiler
        def sink(text):
            raise KeyboardInterrupt
        profiler = Profiler('p', sink=sink)
        try:
            profiler.finish()
        except KeyboardInterrupt:
            print('interrupted')
        """)
    assert result.out == "interrupted\n"


def test_subinterpreter():
    """Works there, or is refused cleanly."""
    result = python("""
        try:
            import _xxsubinterpreters as interpreters
        except ImportError:
            import _interpreters as interpreters
        import sys
        text = f'''
        import sys
        sys.path[:] = {sys.path!r}
        try:
            from lapmark import Profiler
            Profiler('inside').finish()
        except ImportError as error:
            print('refused', error)
        '''
        import textwrap
        one = interpreters.create()
        interpreters.run_string(one, textwrap.dedent(text))
        from lapmark import Profiler
        Profiler('main').finish()
        print('fine')
        """, PYTHONWARNINGS="ignore")
    assert result.out.endswith("fine\n") and "main" in labels(result.err), result


if __name__ == "__main__":
    main(globals())
