# SPDX-License-Identifier: MIT
"""The examples' recordings, in each of the forms that a recording takes."""
import os
import subprocess

from common_oracle import Directory, EXAMPLES, LAPMARK, check, compare, main, only, record, run


def example(name):
    return os.path.join(EXAMPLES, name)


def package_list(directory):
    """A file like the machine's package list, small enough to go through Python event by event."""
    path = directory.sub("packages")
    with open(path, "w", encoding="utf-8") as file:
        for i in range(300):
            file.write(f"Package: package-{i}\nVersion: 1.{i}\nArchitecture: amd64\nInstalled-Size: {i}\n"
                       f"Depends: package-{(7 * i) % 300} (>= 1.0), package-{i // 2} | package-{(i + 1) % 300}\n\n")
    return path


def test_linked():
    with Directory() as directory:
        record(directory.sub("r"), example("patterns"))
        recording = compare(directory.sub("r"))
        check(len(recording) == 2, "patterns forks")
        for name in recording:
            compare(os.path.join(directory.sub("r"), name))


def test_direct():
    with Directory(on_tmpfs=True) as directory:
        record(directory.sub("r"), example("patterns"))
        compare(directory.sub("r"))


def test_copied():
    with Directory() as directory:
        run(LAPMARK, "record", "-o", directory.sub("r"), "--", example("server"), "40")
        compare(directory.sub("r"))


def test_full():
    with Directory() as directory:
        record(directory.sub("r"), example("server"), "40", LAPMARK_MODE="full")
        compare(directory.sub("r"))
        run(LAPMARK, "record", "--full", "-o", directory.sub("copied"), "--", example("patterns"))
        compare(directory.sub("copied"))


def test_written():
    """No memory file system is to be had: files are written when the process ends."""
    hide = "mkdir -p $0 && mount --bind $0 /dev/shm && if [ -d /run/user ]; then mount --bind $0 /run/user; fi && "
    with Directory() as directory:
        shell = ["unshare", "-rm", "sh", "-c", hide + 'test "$(stat -f -c %T /tmp)" != tmpfs', directory.sub("hidden")]
        if subprocess.run(shell, capture_output=True, check=False).returncode != 0:
            print("test_written skipped: the memory file systems cannot be hidden here")
            return
        for name, mode in (("r", "flight"), ("full", "full")):
            run("unshare", "-rm", "sh", "-c", hide + 'exec "$1" 40', directory.sub("hidden"), example("server"),
                LAPMARK_RECORD=directory.sub(name), LAPMARK_MODE=mode)
            process = only(compare(directory.sub(name)))
            check(not os.path.islink(process.directory) and not os.path.islink(os.path.join(process.directory, ".lapmark")))


def test_package_index():
    with Directory() as directory:
        run(LAPMARK, "record", "-o", directory.sub("r"), "--", example("package_index"), "-i", package_list(directory),
            "-o", directory.sub("index"))
        check(sum(1 for _ in only(compare(directory.sub("r"))).events()) > 300, "hardly any event")


def test_kept_slow():
    with Directory() as directory:
        record(directory.sub("r"), example("server"), "40", LAPMARK_KEEP="slow")
        compare(directory.sub("r"))


main(globals())
