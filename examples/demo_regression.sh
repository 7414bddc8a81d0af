#!/bin/sh
# SPDX-License-Identifier: MIT
# A job got slow as its data grew. Which line is it, what did its correction gain, and does a gate see it? In build/demo-regression.
#
# Usage: examples/demo_regression.sh [PACKAGES [SLOWDOWN]]
# PACKAGES are in the largest archive, 30000 unless told; the gate fails where a step is slower by SLOWDOWN, 25% unless told.
set -eu
source_dir=$(cd "$(dirname "$0")/.." && pwd)
build_dir=${BUILD_DIR:-$source_dir/build}
lapmark=${LAPMARK_BIN:-$build_dir/lapmark}
package_index=${EXAMPLES_DIR:-$build_dir/examples}/package_index
packages=${1:-30000}
slowdown=${2:-25%}
out=$build_dir/demo-regression
sizes=16
runs=8
PATH=$(dirname "$lapmark"):$(dirname "$package_index"):$PATH
export PATH LAPMARK_PRINT=off

for program in "$lapmark" "$package_index"; do
    [ -x "$program" ] || { echo "demo: no '$program' yet: run ./dev build" >&2; exit 2; }
done
[ "$packages" -ge 3000 ] 2>/dev/null || { echo "demo: PACKAGES is a number from 3000 up, not '$packages'" >&2; exit 2; }
rm -rf "$out"
mkdir -p "$out"
cd "$out"
awk -v count="$packages" -f "$source_dir/examples/package_list.awk" >archive

# record NAME OPTION...: a run of the job.
record() {
    name=$1
    shift
    "$lapmark" record -o "$name" -- "$package_index" --input archive --output /dev/null "$@" >log 2>&1 ||
        { cat log >&2; exit 2; }
}

# The n-th size, from a thirtieth of all packages to all of them, by equal factors.
size() {
    awk -v n="$1" -v packages="$packages" -v sizes=$sizes 'BEGIN { printf "%.0f", packages / 30 * 30 ^ (n / (sizes - 1)) }'
}

# tell NAME COMMAND [OPERAND]...: what it says, up to its table; all of it is in NAME.txt. Sets $status.
tell() {
    name=$1
    shift
    status=0
    "$lapmark" "$@" >"$name.txt" || status=$?
    sed '/^ \{20\}/,$d' "$name.txt"
    [ $status -lt 2 ] || exit 2
}

echo "The commands below can be typed in $out,"
echo "with the directories of lapmark and package_index in PATH."
echo "1. The job at $sizes sizes of the archive, twice, in no order: a machine that is slow for a while is not taken for growth."
for round in 1 2; do
    printf '  '
    n=0
    while [ $n -lt $sizes ]; do
        packages_now=$(size $(((n * 7 + round * 5) % sizes)))
        printf ' %s' "$packages_now"
        record "size-$packages_now-$round" --limit "$packages_now"
        n=$((n + 1))
    done
    echo
done
printf '\n$ lapmark scaling size-*\n'
tell scaling scaling size-*

echo "2. The job of today and the one with newest_version_indexed(), $runs runs of each in turn."
for run in $(seq $runs); do
    record "scan-$run" --output scan.tsv
    record "fixed-$run" --output fixed.tsv --fixed
done
cmp scan.tsv fixed.tsv || { echo "demo: the two wrote different tables" >&2; exit 2; }
printf '\n$ lapmark diff scan-* -- fixed-*\n'
tell diff diff scan-* -- fixed-*

# gate NAME BASE NEW EXPECTED: a gate over a fifth of the archive, whose exit status must be the expected one.
gate() {
    job="package_index --input archive --limit $((packages / 5)) --output /dev/null"
    printf '\n$ lapmark gate --max-slowdown %s --max-time 1min --markdown %s \\\n    --base "%s" \\\n    --new "%s"\n' \
        "$slowdown" "$1.md" "$job$2" "$job$3"
    tell "$1" gate --max-slowdown "$slowdown" --max-time 1min --markdown "$1.md" --base "$job$2" --new "$job$3"
    echo "exit status $status"
    [ $status -eq "$4" ] || { echo "demo: the exit status should be $4" >&2; exit 1; }
}

echo "3. A gate runs two versions in turn until it is clear of each step whether it is slower: this takes a while."
gate gate-passes '' ' --fixed' 0
gate gate-fails ' --fixed' '' 1

cat <<'END_OF_TEXT'

What to see: scaling names "newest version found", which costs the more the larger the archive is: newest_version() in
examples/package_index.c goes through all packages, newest_version_indexed() asks the index. diff says what that gains, and
that it is all in this lap. The gate passes the correction, and would not have let in what it corrects. doc/regression.md
goes through it. All of what the commands said, with their tables:
END_OF_TEXT
for name in scaling diff gate-passes gate-fails; do
    echo "  $out/$name.txt"
done
