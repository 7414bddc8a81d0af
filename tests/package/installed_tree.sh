#!/bin/sh
# SPDX-License-Identifier: MIT
# One step of the test of the installed tree: installed_tree.sh STEP PREFIX. The others need `install` first.
set -eu

step=$1
prefix=$2
consumer=$SOURCE_DIR/tests/package/consumer
work=$prefix/../$step.work

# The program must run against the installed library and print its report.
expect_report() {
    "$@" 2>"$work/report" || { echo "'$1' failed" >&2; cat "$work/report" >&2; exit 1; }
    for line in '^> Entering consumer of 3 parts' '^  part 2: '; do
        grep -q "$line" "$work/report" || { echo "'$1' printed no '$line' in:" >&2; cat "$work/report" >&2; exit 1; }
    done
}

with_pkg_config() {
    PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name lapmark.pc)")
    export PKG_CONFIG_PATH
    # shellcheck disable=SC2046 # flags are words
    "$@" -Wall -Wextra -Werror -o "$work/program" $(pkg-config --cflags --libs lapmark)
    LD_LIBRARY_PATH=$(pkg-config --variable=libdir lapmark) expect_report "$work/program"
}

rm -rf "$work"
mkdir -p "$work"
case $step in
install)
    rm -rf "$prefix"
    cmake --install "$BUILD_DIR" --prefix "$prefix"
    ;;
pkg_config_c)
    with_pkg_config "$CC" -std=c11 "$consumer/consumer.c"
    ;;
pkg_config_cxx)
    with_pkg_config "$CXX" -std=c++17 "$consumer/consumer_cxx.cc"
    ;;
find_package)
    cmake -S "$consumer" -B "$work" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$CC" -DCMAKE_CXX_COMPILER="$CXX"
    cmake --build "$work"
    for program in c_shared c_static cxx_shared cxx_static; do
        expect_report "$work/$program"
    done
    ;;
files)
    # Every manual page of the source is there; so are the completions, if the command can write them.
    for page in "$SOURCE_DIR"/doc/man/*.scd; do
        [ -e "$page" ] || continue
        page=$(basename "$page" .scd)
        [ -s "$prefix/share/man/man${page##*.}/$page" ] || { echo "no manual page $page" >&2; exit 1; }
    done
    if [ -x "$prefix/bin/lapmark" ] && "$prefix/bin/lapmark" completion bash >/dev/null; then
        [ -s "$prefix/share/bash-completion/completions/lapmark" ]
        [ -s "$prefix/share/zsh/site-functions/_lapmark" ]
    fi
    # And the licence of what the command carries in its pages.
    if grep -q 'uPlot' "$prefix/bin/lapmark"; then
        grep -q 'Leon Sorokin' "$prefix/share/doc/lapmark/LICENSE.uPlot"
    fi
    ;;
*)
    echo "installed_tree.sh: unknown step '$step'" >&2
    exit 2
    ;;
esac
