#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# move.sh: a program that looks at itself moves into another PID namespace, and notices nothing; a move whose destination has no room,
# dies or is cut off before it runs leaves it where it was, and no copy anywhere.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires root
unshare -pf --mount-proc true 2>/dev/null || skip "needs PID namespaces"
counter=$top_builddir/tests/migrate/counter
for fd in /proc/self/fd/*; do
    fd=${fd##*/}
    [ "$fd" -le 2 ] || [ "$fd" = 255 ] || eval "exec $fd>&-"
done
exec </dev/null
cd "$tmp" || exit 99
"$counter" 15 20 >native
lines() { [ "$(wc -l <out)" -ge "$1" ]; }

# move FAULT STATUS: while the program runs
move()
{
    "$counter" 15 20 >out & pid=$!
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 10 lines 3
    moved=0
    # shellcheck disable=SC2086
    timeout -k 1 30 "$top_builddir/tests/migrate/move" "$pid" $1 2>said || moved=$?
    wait "$pid" 2>/dev/null
    stayed=$?
    same "a move with the fault '$1' ($(cat said))" "$2" "$moved"
    cmp native out || fail "output with the fault '$1'"
}
echo "# moves"
move "" 7
same "what was moved has gone from where it was" 137 $stayed
grep -q "as before" said || fail "it has another number: $(cat said)"
for fault in no-room dies-building dies-ready cut; do
    echo "# $fault"
    move $fault 98
    same "status of what stayed" 7 $stayed
done
