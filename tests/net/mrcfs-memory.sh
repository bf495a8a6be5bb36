#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What a tree that is larger than what is remembered costs: memory of both sides and of the broker of leases, and round trips that
# are waited for. A tenth of the real bounds, so that it does not take long: 32,000 files are known, of 100,000 that are visited;
# with a kernel that can be asked to forget, and as on one that can't (before Linux 6.18).
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrcfs.sh"
requires python3
own_mounts "$@"
set -u
served=$tmp/served
mnt=$tmp/mnt
mkdir "$mnt"
python3 - "$served" <<'P' || fail "make the tree"
import os, sys
for d in range(500):
    os.makedirs(f"{sys.argv[1]}/d{d}")
    at = os.open(f"{sys.argv[1]}/d{d}", os.O_RDONLY)
    for f in range(200):
        os.close(os.open(f"file{f}", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=at))
    os.close(at)
P

# peak PID: its memory so far, in KiB
peak() { awk '$1 == "VmHWM:" { print $2 }' "/proc/$1/status"; }
# visit BOUNDS: of the tree, twice
visit()
{
    MRCFS_TEST_KNOWN=$1 mrcfs -f --stats "local:$served" "$mnt" 2> "$tmp/stats" &
    pid=$!
    wait_for 10 mounted "$mnt"
    for _ in 1 2; do
        same "files" 100000 "$(cd "$mnt" && find . -type f -size -1k | wc -l)"
    done
    client=$(peak $pid) server=0
    for child in $(cat /proc/$pid/task/*/children); do
        [ "$(peak "$child")" -le "$server" ] || server=$(peak "$child")
    done
    mrcfs -u "$mnt" || fail "unmount"
    wait $pid || fail "end"
    waited=$(awk '/round trips waited for/ { print $1 }' "$tmp/stats")
    echo "# $1: client $client KiB, server $server KiB, $waited round trips waited for"
    # Without bounds the client has 85,000 and the server 60,000 when it was visited once.
    [ "$client" -le $((48 * 1024)) ] || fail "the client has $client KiB"
    [ "$server" -gt 0 ] && [ "$server" -le $((56 * 1024)) ] || fail "the server has $server KiB"
    # 1,000 directories were visited: 900 and more round trips when what was listed ahead did not last until it was visited.
    [ "$waited" -le 150 ] || fail "$waited round trips: $(cat "$tmp/stats")"
}
visit 32000
visit 32000,old
