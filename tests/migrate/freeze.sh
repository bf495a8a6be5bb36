#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# freeze.sh: a job's memory goes to disk and comes back, at home and from where it was away; it ends as it would. What signals do to it
# meanwhile, a full disk, a file that was changed, daemons and keepers that are killed, moves and checkpoints that are asked for.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
requires python3
cluster_up
user=$(test_user)
as_u=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups --inh-caps=-all)
counter=$top_builddir/tests/migrate/counter
mkdir "$tmp/u" && chown "$user:" "$tmp/u" && cd "$tmp/u" || exit 99
says() { grep -q -- "$1" said || fail "should say '$1': $(cat said)"; }
kill_daemon head
daemon head --freeze "$tmp/frozen"
state() { mosps -a | awk -v pid="$pid" '$1 == pid { print $3 }'; }
is_state() { [ "$(state)" = "$1" ]; }
has_line() { [ -s out ]; }
start() # [COMMAND...]
{
    : >out
    [ $# -gt 0 ] || set -- "$counter" 60 20
    "${prefix[@]}" mosrun "$@" >out 2>err </dev/null & pid=$!
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 10 has_line
}
ends() { local got=0; wait "$pid" || got=$?; same "$1 ($(cat err))" "$2" $got; }
freeze() { "${prefix[@]}" migrate $pid freeze || fail "freeze"; wait_for 10 is_state frozen; }
thaw() { "${prefix[@]}" migrate $pid continue || fail "continue"; wait_for 10 is_state settled; }
stands_still()
{
    local lines
    lines=$(wc -l <out)
    sleep 0.3
    same "lines of a frozen job" "$lines" "$(wc -l <out)"
}
no_files() { [ -z "$(ls -A "$tmp/frozen")" ]; }
memory() { awk '$1 == "VmRSS:" || $1 == "VmSwap:" { n += $2 } END { print n + 0 }' "/proc/$pid/status"; }

prefix=()
"$counter" 60 20 >native
for who in root user; do
    [ $who = root ] || prefix=("${as_u[@]}")
    echo "# $who"
    rm -f out err && "${prefix[@]}" touch out err
    start
    freeze
    stands_still
    file=$(ls "$tmp/frozen"/*)
    same "mode of its file" "600 0" "$(stat -c '%a %u' "$file")"
    mosimg "$file" >said || fail "its file is no image"
    same "frozen twice" 0 "$(status "${prefix[@]}" migrate $pid freeze)"
    thaw
    no_files || fail "a file is left: $(ls "$tmp/frozen")"
    freeze
    thaw
    ends "status after two times" 7
    cmp native out || fail "output"
done
prefix=()
wait_for 10 none_inside $pid

echo "# its memory is given back"
cat >big.py <<'P'
import array, signal, sys, time
big = bytes(range(256)) * (4096 * 64)
print(len(big), flush=True)
end = time.monotonic() + 60
while time.monotonic() < end:
    time.sleep(0.02)
    if sys.argv[1:] and not sum(big[::4096]) == 0: sys.exit(3)
P
start python3 big.py
before=$(memory)
freeze
after=$(memory)
if ! [ "$before" -gt 65000 ] || ! [ "$after" -lt 1000 ]; then fail "it had $before KiB, and has $after"; fi

echo "# what is refused meanwhile"
same "a move" 1 "$(status migrate $pid n1 2>said)"
says "is frozen: migrate $pid continue first"
same "a checkpoint" 1 "$(status migrate $pid checkpoint 2>said)"
says "is frozen"
same "somebody else's continue" 1 "$(status "${as_u[@]}" migrate $pid continue 2>said)"
says "somebody else's"
mosps -w >said
says "its memory is in $tmp/frozen/"

echo "# the daemon is killed and started again: it is frozen as before"
kill_daemon head
daemon head --freeze "$tmp/frozen"
wait_for 5 is_state frozen
same "frozen" 1 "$(find "$tmp/frozen" -type f | wc -l)"

echo "# a file that was changed: it stays frozen, until the file is as it was"
file=$(ls "$tmp/frozen"/*)
cp "$file" "$tmp/copy"
printf changed | dd of="$file" bs=1 seek=500000 conv=notrunc status=none
migrate $pid continue || fail "continue"
was_told() { grep -q "job $pid stays frozen: .*changed" "$log"; }
wait_for 10 was_told
same "state" frozen "$(state)"
cat "$tmp/copy" >"$file"
thaw
kill $pid
ends "SIGTERM after it thawed" 143
start
same "a job that is not frozen" 1 "$(status migrate $pid continue 2>said)"
says "is not frozen"
ends "it goes on" 7

echo "# signals"
start
freeze
kill -TERM $pid
stands_still
migrate $pid continue || fail "continue"
ends "SIGTERM waits until it thaws" 143
start
freeze
kill -STOP $pid
thaw
stands_still
kill -CONT $pid
ends "it was stopped while it was frozen" 7
start
kill -STOP $pid
freeze
kill -CONT $pid
stands_still
thaw
ends "it was continued while it was frozen" 7
start
freeze
kill -KILL $pid
ends "SIGKILL" 137
wait_for 5 no_files
wait_for 10 none_inside $pid

echo "# its keeper, or who holds it, is killed: so is the job"
for who in "^mosixd: job" "^mosixd: hands"; do
    start
    freeze
    kill -9 "$(inside $pid "$who")"
    ends "'$who' is killed" 137
    mosps >/dev/null
    wait_for 5 no_files
    wait_for 10 none_inside $pid
done

echo "# a full disk: it goes on"
mkdir "$tmp/small" && mount -t tmpfs -o size=100k,mode=700 none "$tmp/small" || fail "mount"
at_exit 'umount "$tmp/small"'
kill_daemon head
daemon head --freeze "$tmp/small"
start
migrate $pid freeze || fail "freeze"
is_full() { mosps -w | grep "^ *$pid .*settled.*No space left"; }
wait_for 10 is_full
ends "status" 7
cmp native out || fail "output"
[ -z "$(ls -A "$tmp/small")" ] || fail "a file is left: $(ls "$tmp/small")"
kill_daemon head
daemon head --freeze "$tmp/frozen"

echo "# away: it comes home for it, and goes back"
start
migrate $pid n1 || fail "migrate"
wait_for 10 is_at $pid n1
freeze
same "place" home "$(place $pid)"
stands_still
thaw
wait_for 10 is_at $pid n1
ends "status" 7
cmp native out || fail "output"
wait_for 5 no_files

echo "# POSIX timers tick at home, away and after it was frozen"
start "$top_builddir/tests/migrate/ticks" 5
for to in n1 n2 home n1; do
    migrate $pid $to || fail "migrate $to: $(mosps -aw)"
    wait_for 10 is_at $pid $to
done
freeze
thaw
wait_for 10 is_at $pid n1
ends "ticks: $(cat out)" 5
tail -4 out >said
same "ticks" "timer 0: right timer 1: right timer 2: right 0 wrong" "$(paste -sd ' ' said)"

"$top_builddir/tests/migrate/ticks" 1 >/dev/null || [ $? = 5 ] || fail "ticks"
close_inherited # pipes of whoever runs the tests
start "$top_builddir/tests/migrate/ticks" 4 2
file=$(migrate $pid chkexit) || fail "checkpoint"
ends "checkpoint" 137
got=0
mosrun "-R$file" >>out 2>err || got=$?
same "status of ticks that was made again ($(cat err))" 5 $got
tail -4 out >said
same "ticks after a checkpoint" "timer 0: right timer 1: right timer 2: right 0 wrong" "$(paste -sd ' ' said)"

echo "# threads"
cat >threads.py <<'P'
import threading
go, done = threading.Event(), []
def work(n):
    go.wait()
    done.append(sum(i * i % 7 for i in range(300000 + n)))
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for t in threads: t.start()
print("five", flush=True)
open("go").readline()
go.set()
for t in threads: t.join()
print(sorted(done))
P
mkfifo go
echo >go &
python3 threads.py >native
start python3 threads.py
exec 8<>go
migrate $pid freeze || fail "freeze of threads"
wait_for 10 is_state frozen
same "threads of a frozen process" 5 "$(ls "/proc/$pid/task" | wc -l)"
echo >&8
sleep 0.5
same "output of who is frozen" five "$(cat out)"
migrate $pid continue || fail "continue threads"
exec 8>&-
ends "threads that were frozen" 0
cmp native out || fail "output of threads that were frozen: $(cat out)"

echo "# a child that ends meanwhile"
start bash -c 'echo 1; sleep 1 & wait; echo done'
same "a shell and its child" 0 "$(status migrate $pid freeze)"
wait_for 10 is_state frozen
sleep 1
migrate $pid continue || fail "continue"
ends "its child ended meanwhile" 0
same "output" "1 done" "$(paste -sd ' ' out)"
