#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# away.sh: what a program's system calls do, and what its signals, is the same at home and away.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires root
unshare -pf --mount-proc true 2>/dev/null || skip "needs PID namespaces"
bin=$top_builddir/tests/migrate
for fd in /proc/self/fd/*; do
    fd=${fd##*/}
    [ "$fd" -le 2 ] || [ "$fd" = 255 ] || eval "exec $fd>&-"
done
exec </dev/null
cd "$tmp" || exit 99
runs() { grep -q "^away: runs" said; }

# send COMMAND...: it runs, and is away; $pid, $away. A line into the pipe "go" lets it go on.
send()
{
    rm -f go
    mkfifo go
    "$@" <go >out 2>&1 & pid=$!
    exec 8>go
    at_exit "kill -9 $pid 2>/dev/null"
    waits() { [ "$(cut -d' ' -f1 "/proc/$pid/syscall" 2>/dev/null)" = 0 ]; }
    wait_for 10 waits
    : >said
    # shellcheck disable=SC2086
    "$bin/away" "$pid" ${pauses-} 2>said 8>&- & away=$!
    at_exit "kill -9 $away 2>/dev/null"
    wait_for 10 runs
}
# ends STATUS: what is away ends so
ends()
{
    rc=0
    wait "$pid" || rc=$?
    same "status away ($(cat said))" "$1" $rc
    wait "$away"
    same "status of away ($(cat said))" 0 $?
}

# like_native COMMAND...
like_native()
{
    local native=0
    echo | "$@" >native 2>&1 || native=$?
    send "$@"
    echo >&8
    exec 8>&-
    ends $native
    diff native out >&2 || fail "calls do something else when they are made away"
}
echo "# probes"
like_native "$bin/probe"
echo "# probes of what is caught between its calls every 30 ms"
pauses=30
like_native "$bin/probe" what_comes_with_them blocked_and_pending masks_of_waits while_computing
[ "$(grep -c "^away: paused" said)" -ge 5 ] || fail "it was hardly caught: $(cat said)"
unset pauses

# body: the copy, which has the stub's number in its own namespace
body()
{
    awk -v pid="$pid" '$1 == "NSpid:" && NF > 2 && $NF == pid { split(FILENAME, part, "/"); print part[3] }' \
        /proc/[0-9]*/status 2>/dev/null
}
state() { awk '$1 == "State:" { print $2 }' "/proc/$1/status" 2>/dev/null; }
is_state() { [ "$(state "$pid")$(state "$copy")" = "$1" ]; }
lines() { [ "$(wc -l <out)" -ge "$1" ]; }
# count TURNS: a program that counts is away; $copy
count()
{
    "$bin/counter" "$1" 20 >out 2>&1 & pid=$!
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 10 lines 3
    : >said
    "$bin/away" "$pid" 2>said & away=$!
    at_exit "kill -9 $away 2>/dev/null"
    wait_for 10 runs
    has_body() { copy=$(body) && [ -n "$copy" ]; }
    wait_for 10 has_body # a process that ends meanwhile disturbs awk
}

echo "# stopped and continued"
"$bin/counter" 40 20 >native
count 40
for signal in STOP TSTP; do
    kill -$signal "$pid"
    wait_for 10 is_state tT
    before=$(wc -l <out)
    kill -CONT "$pid"
    wait_for 10 lines $((before + 2))
done
ends 7
cmp native out || fail "output of what was stopped"

for signal in TERM USR2 KILL; do
    echo "# killed by $signal"
    count 400
    kill -$signal "$pid"
    ends $((128 + $(kill -l $signal)))
    is_gone "$copy" || fail "a body is left"
done
for signal in SEGV KILL; do
    echo "# the body killed by $signal"
    count 400
    kill -$signal "$copy"
    ends $((128 + $(kill -l $signal)))
done
