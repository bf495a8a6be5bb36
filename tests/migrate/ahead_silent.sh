#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2154 # of the files that are read
# ahead_silent.sh: a program that was begun elsewhere reads a file ahead while its node is silent: who wants to change the file at home does so soon,
# and what the program has read by then is all that it sees of what was there before.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "${top_srcdir:-.}/tests/migrate/cluster.sh"
cluster_up
cd "$tmp" || exit 99
letters() { head -c 3000000 /dev/zero | tr '\0' "$1"; }
letters b >after
mkfifo go

# cut: status 1: nothing was read meanwhile, as the computer had other things to do
cut()
{
    local start changed waited rc=0 with_a with_b last
    letters a >big
    mosrun -rn1 "$top_builddir/tests/migrate/probe" home_ahead_slowly <go >out 2>err & pid=$!
    exec 8>go
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 20 is_at $pid n1
    echo >&8
    wait_for 10 grep -q reads out
    sleep 0.3 # so that all of it has come that may
    "$lab" --name $name link head n1 --cut 2500ms
    start=$(date +%s%N)
    timeout 10 dd if=after of=big conv=notrunc,fsync bs=3000000 2>err || fail "write: $(cat err)"
    changed=$(date +%s%N)
    waited=$(((changed - start) / 1000000))
    echo "# it waited for $waited ms"
    [ $waited -lt 2000 ] || fail "who writes waited $waited ms, as long as the link was cut"
    wait $pid || rc=$?
    exec 8>&-
    same "status" 7 $rc
    read -r with_a with_b last < <(sed -n 's/^[0-9]* [0-9]* [0-9]*$/&/p' out)
    [ "$with_a" -ge 20 ] && [ "$with_b" = 5 ] || fail "it has read $with_a old blocks and $with_b new ones"
    [ "$last" -le $((changed / 1000000)) ] || fail "it has read what had been overwritten $((last - changed / 1000000)) ms before"
    [ $waited -ge 100 ] && [ "$last" -ge $((start / 1000000)) ]
}
cut || cut || cut || fail "three times nothing was read while the link was cut"
