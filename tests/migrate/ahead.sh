#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# ahead.sh: files that home sends ahead read as they would at home, whatever is done to them and to their descriptors meanwhile, and cost few
# round trips.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires root
unshare -pf --mount-proc true 2>/dev/null || skip "needs PID namespaces"
bin=$top_builddir/tests/migrate
close_inherited
exec </dev/null
cd "$tmp" || exit 99
export AWAY_COUNTS=1
whole() { [ -e source ] || head -c 3000001 /dev/urandom >source; cat source >big; }
whole

# Who changes the file when a probe says so.
mkfifo order told
changes()
{
    while read -r what; do
        case $what in
        over) tr '\000-\177' '\200-\377' <source | dd of=big conv=notrunc bs=64K 2>/dev/null ;;
        cut) dd of=big bs=1 seek=700001 count=0 2>/dev/null ;; # truncate(1) does not wait
        grow) head -c 100000 source >>big ;;
        whole) whole ;;
        replace) cat source source >new && mv new big ;;
        esac
        echo >&7
    done <&6
}
exec 6<>order 7<>told
changes & changer=$!
at_exit "kill $changer 2>/dev/null"

# like_native PROBE...: it is away, and does what it does at home
like_native()
{
    local native=0
    whole
    exec 5<big
    echo | "$bin/probe" "$@" >native 2>&1 || native=$?
    whole
    exec 5<big
    rm -f go
    mkfifo go
    "$bin/probe" "$@" <go >out 2>&1 & pid=$!
    [ "${is_shared-}" ] || exec 5<&-
    exec 8>go
    at_exit "kill -9 $pid 2>/dev/null"
    waits() { [ "$(cut -d' ' -f1 "/proc/$pid/syscall" 2>/dev/null)" = 0 ]; }
    wait_for 10 waits
    : >said
    # shellcheck disable=SC2086
    "$bin/away" "$pid" ${pauses-} 2>said 8>&- 7>&- 6>&- & away=$!
    at_exit "kill -9 $away 2>/dev/null"
    runs() { grep -q "^away: runs" said; }
    wait_for 10 runs
    echo >&8
    exec 8>&-
    rc=0
    wait "$pid" || rc=$?
    same "status away ($(grep -v "not made" said))" $native $rc
    wait "$away"
    same "status of away ($(grep -v "not made" said))" 0 $?
    diff native out >&2 || fail "$*: reads bring something else away"
}
made() { sed -n "s/^away: made $1 //p" said; }

echo "# from the begin to the end"
like_native home_ahead_plain
calls=$(awk '/calls/ { n += $1 } END { print n }' native)
[ "$calls" -gt 7000 ] && [ "$(made read)" -lt 70 ] || fail "of $calls reads $(made read) were made at home"
for probe in moved shared changed signals; do
    echo "# $probe"
    like_native home_ahead_$probe
done
calls=$(awk '/calls/ { n += $1 } END { print n }' native)
[ $(($(made read) * 3)) -lt "$calls" ] || fail "with signals $(made read) reads of $calls were made at home"
echo "# a descriptor that was there before it went away"
like_native home_ahead_inherited
calls=$(awk '/calls/ { n += $1 } END { print n }' native)
[ $(($(made read) * 3)) -lt "$calls" ] || fail "of $calls reads of such a descriptor $(made read) were made at home"
echo "# one that is made another one's place"
like_native home_ahead_duplicated
calls=$(awk '/calls/ { n += $1 } END { print n }' native)
[ $(($(made read) * 3)) -lt "$calls" ] || fail "of $calls reads of descriptors that were duplicated $(made read) were made at home"
echo "# one that somebody else has too"
is_shared=1
like_native home_ahead_inherited
unset is_shared
[ $(($(made read) * 10)) -gt $((calls * 9)) ] || fail "of $calls reads of a descriptor that is shared $(made read) were made at home"
echo "# caught between its calls all the time"
pauses=20
like_native home_ahead_long
like_native home_ahead_inherited
like_native home_ahead_moved home_ahead_shared
[ "$(grep -c "^away: paused" said)" -ge 2 ] || fail "it was hardly caught: $(grep -v "not made" said)"
unset pauses

echo "# opened for writing by others all the time"
opened() { while [ ! -e stop ]; do : >>big; sleep 0.003; done; }
rm -f stop
opened & opener=$!
at_exit "kill $opener 2>/dev/null"
like_native home_ahead_long
touch stop
wait $opener

# slowly: it is away, and reads what was sent ahead a while ago
slowly()
{
    "$bin/probe" home_ahead_slowly <go >out 2>&1 & pid=$!
    exec 8>go
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 10 waits
    "$bin/away" "$pid" 2>said 8>&- 7>&- 6>&- & away=$!
    at_exit "kill -9 $away 2>/dev/null"
    wait_for 10 runs
    echo >&8
    wait_for 10 grep -q reads out
}
# opens_within SECONDS
opens_within() { timeout "$1" sh -c ': >>big'; }

echo "# who wants to write does not wait for a body or a deputy that has been killed"
for which in "$(printf '%s' '$away')" '$(pgrep -P $(pgrep -P $away))'; do
    slowly
    eval "kill -9 $which"
    opens_within 1 || fail "a file can't be opened after its reader was lost"
    wait "$pid" 2>/dev/null
    [ $? -gt 128 ] || fail "a stub outlives its deputy"
    exec 8>&-
    kill -9 $away 2>/dev/null
    wait $away 2>/dev/null
done

echo "# nor for longer than what was sent is good for; who does not want to wait is told so, once"
slowly
refused() { ! truncate -s 3000000 big 2>err; }
wait_for 10 refused
grep -q "temporarily unavailable" err || fail "truncate says: $(cat err)"
opens_within 1 || fail "the file can't be opened while it is read ahead"
leased() { grep -q "LEASE *ACTIVE *READ .*:$(stat -c %i big) " /proc/locks; }
body=$(pgrep -P "$(pgrep -P $away)")
# stopped_reading: has the body been stopped while the file was being read ahead?
stopped_reading() { leased && kill -STOP "$body" && { leased || { kill -CONT "$body"; false; }; }; }
wait_for 10 stopped_reading # it has begun anew
start=$(date +%s%N)
opens_within 2 || fail "who opens the file waits for a host that is silent"
[ $((($(date +%s%N) - start) / 1000000)) -ge 20 ] || fail "the file was given up before the host was asked"
kill -9 $away
wait $away "$pid" 2>/dev/null
exec 8>&-
