#!/bin/sh
# SPDX-License-Identifier: MIT
# demo_calls.sh [CALLS]: where does a round trip go? A client and a server with a slow network between them; both are recorded. In
# build/demo-calls.
set -eu
calls=${1:-200}
source_dir=$(cd "$(dirname "$0")/.." && pwd)
build_dir=${BUILD_DIR:-$source_dir/build}
lapmark=${LAPMARK_BIN:-$build_dir/lapmark}
examples_dir=${EXAMPLES_DIR:-$build_dir/examples}
out=$build_dir/demo-calls

for program in "$lapmark" "$examples_dir/call_client"; do
    [ -x "$program" ] || { echo "demo: no '$program' yet: run ./dev build" >&2; exit 2; }
done
rm -rf "$out"
mkdir -p "$out"
sockets=$(mktemp -d)
trap 'rm -rf "$sockets"' EXIT

# started FILE: waits for its first line.
started() {
    until grep -q listening "$1"; do
        sleep 0.01
    done
}

echo "$calls calls, 4 in flight, 5 ms of work for each on the server, 3 ms each way:"
echo
LAPMARK_PRINT=off LAPMARK_RECORD=$out/server LAPMARK_SHARE=domain "$examples_dir/call_server" "$sockets/server" 5 >"$out/server.out" &
started "$out/server.out"
"$examples_dir/call_relay" "$sockets/relay" "$sockets/server" 3 >"$out/relay.out" &
started "$out/relay.out"
LAPMARK_RECORD=$out/client LAPMARK_SHARE=domain "$examples_dir/call_client" "$sockets/relay" "$calls" 4
wait
tail -n 2 "$out/relay.out"

echo
echo "lapmark calls $out/client $out/server:"
echo
"$lapmark" calls "$out/client" "$out/server"
cat <<END

What to see: of each call's time 5 ms are its work, 6 ms the network, and the rest is the queue of a server that does one thing at a
time. One tree of both, and the clients alone:
  $lapmark report $out/client $out/server
  $lapmark report $out/client
END
