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

echo
case " $* " in
*" --fixed "* | *" -f "*)
    echo 'What to see: the row "newest version found", under "closure of %s", is next to nothing now.'
    exit
    ;;
esac
cat <<END
What to see: most of the time is in one row, "newest version found" under "closure of %s". It looks one package up, but
each time it costs hundreds of times more than the rows "name" and "package", which look packages up as well: it scans.
The code is newest_version() in examples/package_index.c. Next, the slowest closures, lap by lap, and the job without it:
  $lapmark slowest -n 3 'closure of*' $recording
  examples/demo.sh --fixed
END
