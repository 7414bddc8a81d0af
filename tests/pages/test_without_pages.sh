#!/bin/sh
# SPDX-License-Identifier: MIT
# Where uPlot cannot be had, configuring says so and what to do, and goes on; the command refuses --html, and does all else. Nor need there
# be SQLite.
set -eu

work=$(mktemp -d "${TMPDIR:-/tmp}/lapmark-test-XXXXXX")
trap 'rm -rf "$work"' EXIT
recording=$SOURCE_DIR/tests/golden/v1/good

fail() {
    echo "$1:" >&2
    cat "$work/log" >&2
    exit 1
}

printf 'no package\n' >"$work/other.tgz"
for file in "$work/none.tgz" "$work/other.tgz"; do
    cmake -S "$SOURCE_DIR" -B "$work/build" -G "$CMAKE_GENERATOR" -DLAPMARK_TESTS=OFF -DCMAKE_BUILD_TYPE=Debug \
        -DLAPMARK_SQLITE=OFF -DLAPMARK_UPLOT="$file" >"$work/log" 2>&1 || fail "configuring failed"
    [ "$(grep -c 'CMake Warning' "$work/log")" -eq 1 ] || fail "not one warning"
    tr -s '\n ' '  ' <"$work/log" | grep -q "Without pages, so --html is refused: '$file' is not uPlot" || fail "another warning"
done
cmake --build "$work/build" --target lapmark_cli >"$work/log" 2>&1 || fail "building failed"

status=0
"$work/build/lapmark" report --html "$work/page.html" "$recording" >"$work/log" 2>&1 || status=$?
[ "$status" -eq 2 ] || fail "exit status $status"
[ "$(cat "$work/log")" = "lapmark: this lapmark was built without pages; --json has what '$work/page.html' would show" ] ||
    fail "another message"
[ ! -e "$work/page.html" ]
"$work/build/lapmark" report "$recording" | grep -q '^recorded ' || fail "no report"
status=0
"$work/build/lapmark" sql "$recording" "SELECT 1" >"$work/log" 2>&1 || status=$?
[ "$status" -eq 2 ] && [ "$(cat "$work/log")" = "lapmark: this lapmark was built without SQLite" ] || fail "SQL: status $status"
