#!/bin/sh
# SPDX-License-Identifier: MIT
# Profiles a real job on this machine's package lists, and says what to look at. `./dev demo` builds first.
#
# Usage: examples/demo.sh [OPTION of package_index]...
set -eu
source_dir=$(cd "$(dirname "$0")/.." && pwd)
build_dir=${BUILD_DIR:-$source_dir/build}
lapmark=${LAPMARK_BIN:-$build_dir/lapmark}
examples_dir=${EXAMPLES_DIR:-$build_dir/examples}
recording=$build_dir/demo-recording

for program in "$lapmark" "$examples_dir/package_index"; do
    [ -x "$program" ] || { echo "demo: no '$program' yet: run ./dev build" >&2; exit 2; }
done
rm -rf "$recording"
"$lapmark" run -o "$recording" -- "$examples_dir/package_index" --output "$build_dir/package_index.tsv" "$@"

cat <<END

What to see: most of the time is in the row "newest version found", under "closure of %s". Its mean is far above that of
any other lap in a loop: newest_version() in examples/package_index.c reads all packages to find one name. Next, type:
  $lapmark slowest -n 3 'closure of*' $recording     the slowest packages, each with its laps
  $examples_dir/package_index --fixed     the same job with the index used, timed as it ends
END
