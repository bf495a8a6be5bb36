#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# move.sh: a program that looks at itself moves into another PID namespace, and notices nothing; a move whose destination has no room,
# dies or is cut off before it runs leaves it where it was, and no copy anywhere. Programs that are away, whose calls the stub makes,
# print and end as they would; when either side of one that is away dies, both do.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires root bc gzip
unshare -pf --mount-proc true 2>/dev/null || skip "needs PID namespaces"
counter=$top_builddir/tests/migrate/counter
close_inherited
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

# away TICKS COMMAND...: moved while it runs, it ends as it would
away()
{
    local ticks=$1 native=0
    shift
    "$@" >native || native=$?
    "$@" >out & pid=$!
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 10 used "$ticks"
    moved=0
    timeout -k 1 30 "$top_builddir/tests/migrate/move" "$pid" away 2>said || moved=$?
    [ $moved = 0 ] || fail "away ($(cat said)): $*"
    wait "$pid"
    same "status of $1, away" $native $?
    cmp native out || fail "output of $*, away"
}
used()
{
    is_gone "$pid" && fail "ended before it could be moved"
    [ "$(cut -d' ' -f14 "/proc/$pid/stat")" -ge "$1" ]
}
echo "# away"
away 2 "$counter" 20 20
head -c 12000000 /dev/urandom >in
away 4 gzip -c in
echo 'scale=900; for (i = 1; i < 4; i++) a(1) / i' >in.bc
away 3 bc -lq in.bc

# body: the copy, which has the stub's number in its own namespace
body()
{
    awk -v pid="$pid" '$1 == "NSpid:" && NF > 2 && $NF == pid { split(FILENAME, part, "/"); print part[3] }' \
        /proc/[0-9]*/status 2>/dev/null
}
for side in home host; do
    echo "# the $side of one that is away dies"
    "$counter" 200 20 >out & pid=$!
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 10 lines 3
    "$top_builddir/tests/migrate/move" "$pid" away 2>said & mover=$!
    has_body() { [ -n "$(body)" ] && lines 8; }
    wait_for 10 has_body
    copy=$(body)
    host=$(cat "/proc/$mover/task/$mover/children")
    if [ $side = home ]; then kill -9 $mover; else kill -9 $host; fi
    wait "$pid" 2>/dev/null
    same "status when the $side is killed" 137 $?
    wait $mover 2>/dev/null
    for left in $copy $host; do wait_for 10 is_gone "$left"; done
done
