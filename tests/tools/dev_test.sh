#!/usr/bin/env bash
# What ./dev says when it cannot do what it is asked. Nothing here installs, builds or writes.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# expect STATUS PATTERN COMMAND…
expect() {
    local status=$1 pattern=$2 output actual=0
    shift 2
    output=$("$@" 2>&1 </dev/null) || actual=$?
    if [ "$actual" -ne "$status" ] || ! grep -qE "$pattern" <<<"$output"; then
        printf 'FAILED: %s\n  expected status %s and /%s/\n  got status %s and: %s\n' "$*" "$status" "$pattern" "$actual" "$output"
        failures=$((failures + 1))
    fi
}

expect 0 '^  demo ' ./dev help
expect 0 '^  demo ' ./dev
expect 1 'no command "tset"' ./dev tset
expect 1 'no set-up group "biuld".*bench browser build' ./dev setup biuld
expect 1 'unknown option "--lable"' ./dev test --lable unit
expect 1 '\-\-label needs a value' ./dev test --label
expect 1 'no preset "fast".*release, debug, asan, tsan' ./dev build fast
expect 1 'which program' ./dev run
expect 2 "invalid choice: 'upp'" ./dev services upp
expect 1 'no server "radis"' ./dev services status --only radis

printf 'ID=ubuntu\nVERSION_ID="24.04"\nPRETTY_NAME="Ubuntu 24.04 LTS"\n' >"$work/ubuntu"
expect 1 'this is Ubuntu 24\.04 LTS .*Nothing was changed' env LOVAGE_OS_RELEASE="$work/ubuntu" \
    bash -c 'source tools/dev/common.sh; source tools/dev/setup.sh; require_supported_system'
printf 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n' >"$work/debian"
expect 0 '^$' env LOVAGE_OS_RELEASE="$work/debian" \
    bash -c 'source tools/dev/common.sh; source tools/dev/setup.sh; require_supported_system'

# shellcheck disable=SC2016
expect 0 '^1 min 05 s$' bash -c 'source tools/dev/common.sh; date() { echo 1065; }; took 1000'
expect 0 '^7$' env LOVAGE_JOBS=7 bash -c 'source tools/dev/common.sh; jobs_limit'

# A taken port is told about, though /proc can only be read in part.
exec 4< <(exec python3 -c '
import socket, time
taken = socket.create_server(("127.0.0.1", 0))
print(taken.getsockname()[1], flush=True)
time.sleep(60)')
holder=$!
read -r port <&4
# shellcheck disable=SC2016
expect 1 "port $port of 127.0.0.1 is taken by process $holder " bash -c 'set -euo pipefail
    source tools/dev/common.sh; source tools/dev/build.sh
    program_path() { :; }
    find() { command find "$@"; return 1; }
    refuse_taken_port --port "$1"' sh "$port"
kill "$holder"

exit $((failures > 0))
