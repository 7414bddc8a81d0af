#!/bin/sh
# SPDX-License-Identifier: MIT
# run_fuzzers.sh [SECONDS]: runs each fuzzer for so long, as many at once as there are processors, from the corpus in
# tests/corpus and from what earlier runs added to it in the build directory. Its last line says what was found; an input
# that ended a fuzzer is kept beside the build.
set -eu
seconds=${1:-600}
case $seconds in '' | *[!0-9]* | 0*) echo "fuzz: '$seconds' is no number of seconds" >&2 && exit 2 ;; esac
programs=$BUILD_DIR/fuzz/fuzz
kept=$BUILD_DIR/fuzz/found
grown=$BUILD_DIR/fuzz/corpus
logs=$BUILD_DIR/fuzz/logs
mkdir -p "$kept" "$logs"

# The recordings that they write lie in memory where there is a file system for it.
memory=/dev/shm
[ -w "$memory" ] || memory=/tmp
TMPDIR=$(mktemp -d "$memory/lapmark-fuzz-XXXXXX")
export TMPDIR
running=
# shellcheck disable=SC2086 # a list of numbers
trap '[ -z "$running" ] || kill $running 2>/dev/null || true; rm -rf "$TMPDIR"' EXIT
trap 'exit 130' INT TERM

# fuzz NAME MAX-BYTES
fuzz() {
    mkdir -p "$grown/$1"
    set -- "$1" -max_len="$2" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
        -close_fd_mask=3 -artifact_prefix="$kept/$1-"
    [ ! -f "$SOURCE_DIR/fuzz/$1.dict" ] || set -- "$@" -dict="$SOURCE_DIR/fuzz/$1.dict"
    name=$1
    shift
    "$programs/fuzz_$name" "$@" "$grown/$name" "$SOURCE_DIR/tests/corpus/$name" >"$logs/$name" 2>&1
}

before=$(find "$kept" -type f | wc -l)
failed=
set -- recording:16384 control:4200 metadata:16384 switches:2048 label:2048 trailer:80 import:4096
while [ $# -gt 0 ]; do
    running=
    names=
    for _ in $(seq "$(nproc)"); do
        [ $# -gt 0 ] || break
        echo "fuzzing ${1%:*} for $seconds s"
        fuzz "${1%:*}" "${1#*:}" &
        running="$running $!"
        names="$names ${1%:*}"
        shift
    done
    for process in $running; do
        name=${names# }
        name=${name%% *}
        names=${names#" $name"}
        wait "$process" || failed="$failed $name"
        sed -n "s/^stat::number_of_executed_units: */$name: executions /p" "$logs/$name"
    done
done
running=

total=$(sed -n 's/^stat::number_of_executed_units: *//p' "$logs"/* | awk '{ n += $1 } END { print n + 0 }')
if [ -z "$failed" ]; then
    echo "$total executions, nothing found"
    exit 0
fi
for name in $failed; do
    echo "$name: see $logs/$name" >&2
done
if [ "$(find "$kept" -type f | wc -l)" -gt "$before" ]; then
    echo "$total executions, found with$failed: the newest in $kept is $(find "$kept" -type f -printf '%T@ %f\n' | sort -n | sed -n '$s/^[^ ]* //p')"
else
    echo "$total executions, failed:$failed"
fi
exit 1
