#!/bin/sh
# SPDX-License-Identifier: MIT
# The README's two commands on a machine with nothing installed for them: bare_machine.sh DIRECTORY [COMMAND...]
# makes DIRECTORY/base, a minimal Debian 12 with git (kept), copies it to DIRECTORY/machine, lays this checkout in it and
# runs there `./dev demo` and `./dev test`, or the COMMANDs of dev given. Root only; packages come from where this machine
# takes its own. Not part of ctest: it takes minutes and some 2 GB.
set -eu

say() {
    echo "bare machine: $1"
}

[ $# -ge 1 ] || { echo "usage: bare_machine.sh DIRECTORY [COMMAND...]" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "bare_machine.sh: needs root, for debootstrap and chroot" >&2; exit 2; }

# The mounts below live in a mount namespace of our own and go with it, however this ends; so do the processes.
if [ -z "${LAPMARK_BARE_MACHINE_INSIDE:-}" ]; then
    LAPMARK_BARE_MACHINE_INSIDE=1 exec unshare --mount --pid --fork --kill-child --propagation private sh "$0" "$@"
fi
unset LAPMARK_BARE_MACHINE_INSIDE

source_directory=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
directory=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- demo test
base=$directory/base
machine=$directory/machine
# shellcheck disable=SC2016 # apt's variable
mirror=$(apt-get indextargets --format '$(SITE)' 'Codename: bookworm' 2>/dev/null | head -n 1)
[ -n "$mirror" ] || { echo "bare_machine.sh: apt has no source for Debian 12 (bookworm) here; run apt-get update" >&2; exit 2; }

if [ ! -e "$base/complete" ]; then
    say "debootstrap from $mirror"
    rm -rf "$base"
    debootstrap --variant=minbase --include=git bookworm "$base" "$mirror" >"$directory/debootstrap.log" 2>&1 || {
        tail -n 20 "$directory/debootstrap.log" >&2
        exit 1
    }
    : >"$base/complete"
fi

say "copying the machine and the checkout"
rm -rf "$machine"
cp -a --reflink=auto "$base" "$machine"
for file in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf /etc/apt/apt.conf.d /etc/apt/auth.conf \
    /etc/apt/auth.conf.d /etc/apt/keyrings /etc/apt/trusted.gpg.d /etc/resolv.conf /etc/hosts; do
    [ -e "$file" ] || continue
    rm -rf "${machine:?}$file"
    cp -RLp "$file" "$machine$file"
done
# Certificates, where an apt source is reached by https.
[ ! -d /etc/ssl/certs ] || { mkdir -p "$machine/etc/ssl" && cp -Rp /etc/ssl/certs "$machine/etc/ssl/"; }
mkdir -p "$machine/root/lapmark"
cd "$source_directory"
git ls-files -co --exclude-standard | while IFS= read -r file; do [ ! -e "$file" ] || printf '%s\n' "$file"; done |
    tar -cf - -T - | tar -xf - -C "$machine/root/lapmark"

mount --bind "$machine" "$machine" # a place of its own, as a machine's root is: network namespaces need that
mount -t proc proc "$machine/proc"
mount -t sysfs -o ro sysfs "$machine/sys"
mount --rbind /dev "$machine/dev"
mount -t tmpfs -o mode=1777 tmpfs "$machine/dev/shm"

result=0
for command in "$@"; do
    say "./dev $command"
    began=$(date +%s)
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        chroot "$machine" /root/lapmark/dev "$command" </dev/null || result=$?
    say "./dev $command: exit status $result after $(($(date +%s) - began)) s"
    [ $result -eq 0 ] || break
done
exit $result
