#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# behind.sh: writes that a process that is away does not wait for leave files, and tell it and others, what they would at home, however it
# ends, and cost few round trips; where they might fail they are waited for.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires root
unshare -pf --mount-proc true 2>/dev/null || skip "needs PID namespaces"
bin=$top_builddir/tests/migrate
close_inherited
exec </dev/null
case $(stat -f -c %T "$tmp") in ext2/ext3 | xfs | tmpfs) ;; *) skip "writes are waited for on the file system of $tmp" ;; esac
[ "$(df -k --output=avail "$tmp" | tail -n 1)" -gt 1500000 ] || skip "$tmp has no 1.5 GB free"
cd "$tmp" || exit 99
mkdir small
mount -t tmpfs -o size=2m none small || exit 99
at_exit 'umount "$tmp/small"'
export AWAY_COUNTS=1

# begins PROBE...: it is away, as process $pid of driver $away
begins()
{
    rm -rf go new other small/*
    mkfifo go
    "$bin/probe" "$@" <go >out 2>&1 & pid=$!
    exec 8>go
    at_exit "kill -9 $pid 2>/dev/null"
    waits() { [ "$(cut -d' ' -f1 "/proc/$pid/syscall" 2>/dev/null)" = 0 ]; }
    wait_for 10 waits
    : >said
    # shellcheck disable=SC2086
    "$bin/away" "$pid" ${pauses-} 2>said 8>&- & away=$!
    at_exit "kill -9 $away 2>/dev/null"
    runs() { grep -q "^away: runs" said; }
    wait_for 10 runs
    echo >&8
    exec 8>&-
}
sums() { cksum new other small/new 2>/dev/null; }
# like_native PROBE...: it is away, and does what it does at home
like_native()
{
    local native=0 rc=0
    rm -f new other small/*
    echo | "$bin/probe" "$@" >native 2>&1 || native=$?
    sums >native.sums
    begins "$@"
    wait "$pid" || rc=$?
    same "status away ($(grep -v "not made" said))" $native $rc
    sums | diff native.sums - >&2 || fail "$*: files are other ones"
    wait "$away"
    same "status of away ($(grep -v "not made" said))" 0 $?
    diff native out >&2 || fail "$*: writes bring something else away"
}
made() { sed -n "s/^away: made $1 //p" said; }

echo "# one after the other"
like_native home_behind_plain
calls=$(awk '/calls/ { n += $1 } END { print n }' native)
[ "$calls" -gt 4000 ] && [ "$(made write)" -lt 200 ] || fail "of $calls writes $(made write) were waited for"
for probe in mixed shared limits full exits killed faults; do
    echo "# $probe"
    like_native home_behind_$probe
done
echo "# caught between its calls all the time"
pauses=20
like_native home_behind_plain home_behind_mixed home_behind_shared
[ "$(grep -c "^away: paused" said)" -ge 2 ] || fail "it was hardly caught: $(grep -v "not made" said)"
unset pauses

echo "# nothing is written after who has killed it has seen it die"
for pause in 0.05 0.1 0.15 0.2; do
    begins home_behind_long
    sleep $pause
    kill -9 "$pid"
    wait "$pid"
    same "status of what was killed" 137 $?
    size=$(stat -c %s new)
    sleep 0.2
    same "size of the file" "$size" "$(stat -c %s new)"
    wait "$away"
done
echo "# one whose host is lost is told to be, and its file has what had come"
begins home_behind_long
sleep 0.2
kill -9 "$(pgrep -P "$(pgrep -P $away)")"
wait "$pid"
[ $? -gt 128 ] || fail "a stub outlives its host"
tr -d x <new | cmp - /dev/null || fail "the file holds what was not written"
wait "$away" || true # it says what it has lost
