# SPDX-License-Identifier: MIT
"""What the command says, to the letter: help, version, errors, with stdout, stderr and exit status in expected/NAME.txt.
REWRITE=1 writes those files anew; look at the difference before you keep it."""
import os
import tempfile

import common

EXPECTED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "expected")

CASES = {
    "none": [],
    "help": ["help"],
    "help_option": ["--help"],
    "help_letter": ["-h"],
    "version": ["version"],
    "version_option": ["--version"],
    "help_run": ["help", "run"],
    "help_record": ["record", "--help"],
    "help_report": ["report", "-h"],
    "help_show": ["show", "--help"],
    "help_slowest": ["slowest", "-h"],
    "help_calls": ["calls", "-h"],
    "help_diff": ["diff", "-h"],
    "diff_nothing": ["diff"],
    "diff_one": ["diff", "a"],
    "diff_three": ["diff", "a", "b", "c"],
    "diff_no_base": ["diff", "--", "a", "b"],
    "diff_twice": ["diff", "a", "--", ".", "./."],
    "diff_missing": ["diff", "--json", "missing", "missing"],
    "help_check": ["check", "-h"],
    "help_ctl": ["help", "ctl"],
    "ctl_nothing": ["ctl"],
    "ctl_missing": ["ctl", "missing"],
    "ctl_no_process": ["ctl", "999999999"],
    "ctl_bad_terms": ["ctl", "1", "load:fast"],
    "help_top": ["top", "-h"],
    "help_completion": ["completion", "-h"],
    "help_version": ["version", "-h"],
    "help_help": ["help", "-h"],
    "unknown_command": ["reprot"],
    "unknown_command_far": ["frobnicate"],
    "unknown_help": ["help", "shwo"],
    "unknown_option_first": ["--versoin"],
    "unknown_letter_first": ["-x"],
    "unknown_option": ["report", "--evnts"],
    "unknown_option_far": ["report", "--frobnicate"],
    "unknown_option_of_other": ["report", "--count", "3"],
    "unknown_option_run": ["run", "--otput=x", "--", "true"],
    "unknown_letter": ["show", "-q"],
    "unknown_letter_behind": ["slowest", "-n3", "-q"],
    "option_without_argument": ["run", "--output"],
    "option_letter_without_argument": ["run", "-o"],
    "option_with_argument": ["report", "--events=yes"],
    "option_ambiguous": ["show", "--n"],
    "option_of_several": ["run", "--f", "--", "true"],
    "no_program": ["run"],
    "no_program_behind": ["run", "--full", "--"],
    "no_shell": ["completion"],
    "other_shell": ["completion", "fish"],
    "two_shells": ["completion", "bash", "zsh"],
    "version_operand": ["version", "3"],
    "bad_size": ["run", "--ring", "4Q", "--", "true"],
    "bad_size_zero": ["run", "--memory=0", "--", "true"],
    "bad_size_negative": ["run", "--disk", "-4M", "--full", "--", "true"],
    "bad_size_huge": ["run", "--ring", "1e30", "--", "true"],
    "bad_filter": ["run", "--filter", "*:5,load:fast", "--", "true"],
    "bad_word": ["run", "--keep", "fast", "--", "true"],
    "bad_by": ["report", "--by", "cpu", "."],
    "disk_without_full": ["run", "--disk", "4M", "--", "true"],
    "bad_count": ["slowest", "-n", "many", "."],
    "bad_count_zero": ["slowest", "--count=0", "."],
    "bad_count_huge": ["slowest", "-n", "10001", "."],
    "bad_slowest": ["calls", "--slowest", "0", "."],
    "bad_slowest_huge": ["calls", "--slowest=10001", "."],
    "bad_since": ["show", "--since", "yesterday", "."],
    "bad_until": ["show", "--until", "14:0x", "."],
    "bad_duration": ["show", "--min-duration", "5 parsecs", "."],
    "duration_of_events": ["show", "--events", "--min-duration", "5ms", "."],
    "no_recording": ["report"],
    "missing_recording": ["report", "missing"],
    "missing_recording_show": ["show", "missing"],
    "missing_recording_slowest": ["slowest", "./missing"],
    "missing_recording_calls": ["calls", "missing"],
    "missing_recording_check": ["check", "missing"],
    "missing_one_of_two": ["report", ".", "missing"],
    "file_as_recording": ["report", "file"],
    "empty_recording": ["report", "empty"],
    "output_is_file": ["run", "-o", "file", "--", "true"],
    "output_in_missing": ["run", "-o", "missing/below", "--", "true"],
    "output_holds_other": ["record", "-o", "other", "--", "true"],
    "bad_interval": ["top", "--interval", "soon", "."],
    "bad_interval_short": ["top", "--interval=1ms", "."],
    "bad_interval_long": ["top", "--interval", "2h", "."],
    "once_with_count": ["top", "--once", "-n", "3", "."],
    "missing_recording_top": ["top", "--once", "missing"],
    "empty_recording_top": ["top", "--once", "empty"],
    "file_as_recording_top": ["top", "--once", "./file"],
    "program_missing": ["run", "--", "./missing"],
    "program_not_in_path": ["record", "--", "no-such-program-anywhere"],
    "program_not_executable": ["run", "--", "./file"],
    "program_is_directory": ["run", "--", "./other"],
    "program_not_linked": ["run", "--", "true"],
    "program_not_linked_json": ["record", "--json", "--", "false"],
}


def outcome(arguments):
    with tempfile.TemporaryDirectory() as directory:
        os.mkdir(f"{directory}/empty")
        os.mkdir(f"{directory}/other")
        for name in ("file", "other/file"):
            with open(f"{directory}/{name}", "w", encoding="utf-8") as file:
                file.write("no recording\n")
        os.symlink("../elsewhere/link", f"{directory}/other/link")  # as /etc/os-release is
        before = sorted(os.listdir(directory))
        result = common.lapmark(*arguments, cwd=directory)
        common.equal(sorted(os.listdir(directory)), before, "it left something behind")
    return f"exit status {result.status}\n--- stdout\n{result.out}--- stderr\n{result.err}"


def test_messages():
    wrong = []
    for name, arguments in CASES.items():
        path = f"{EXPECTED}/{name}.txt"
        got = outcome(arguments)
        if os.environ.get("REWRITE"):
            with open(path, "w", encoding="utf-8") as file:
                file.write(got)
        with open(path, encoding="utf-8") as file:
            wanted = file.read()
        if got != wanted:
            wrong.append(name)
            print(f"{name}: lapmark {' '.join(arguments)}\n=== got\n{got}=== wanted\n{wanted}===")
    common.equal(wrong, [])


def test_no_stray_expectation():
    common.equal(sorted(os.listdir(EXPECTED)), sorted(f"{name}.txt" for name in CASES))


def test_style():
    """Every error is one line: 'lapmark: ', lower case, no full stop."""
    for name, arguments in CASES.items():
        with open(f"{EXPECTED}/{name}.txt", encoding="utf-8") as file:
            lines = file.read().split("--- stderr\n")[1].splitlines()
        if not arguments:
            continue
        for line in lines:
            common.check(line.startswith("lapmark: ") and not line.endswith("."), f"{name}: {line}")
            common.check(line[9].islower() or not line[9].isalpha(), f"{name}: {line}")


common.main(globals())
