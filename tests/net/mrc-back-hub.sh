#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-back-hub.sh: what the hub and keepers have to do with lost connections: each killed while one is made anew; a view that was cut off and the next
# job; a hub that is killed under a detached job. And changes that were in doubt when a detached job's file server went.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"

requires python3
lab_up 1
mkdir -m 700 "$tmp/run"
chown "$user:" "$tmp/run"
export XDG_RUNTIME_DIR=$tmp/run MRC_HUB_IDLE=60 MRC_SILENCE=3
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY XDG_STATE_HOME
limit=60
at_exit 'here mrc stop --jobs >/dev/null 2>&1; of_head . | xargs -r kill -9'
at_exit '[ $functions_rc = 0 ] || { tail -n +1 "$tmp"/*err; node tail -n 20 /home/alice/.cache/mrc/log; } >&2'

v() { here timeout $limit mrc -v --reconnect-for 40s -F "$conf" "$@"; }
# Processes of ours on this test's head, of that kernel's name or with that word in its arguments.
of_head() { ps -u "$user" -o pid=,comm=,args= | awk -v what="$1" '$0 ~ what && !/timeout|awk/ { print $1 }' |
    while read -r p; do [ "/proc/$p/ns/mnt" -ef /proc/self/ns/mnt ] && echo "$p"; done; }
keepers() { ps -u "$user" -o pid=,ppid=,comm= | awk '$3 == "mrc-view" { pid[$1]; parent[$1] = $2 } END { for (p in pid) if (!(parent[p] in pid)) print p }' |
    while read -r p; do [ "/proc/$p/ns/mnt" -ef /proc/self/ns/mnt ] && echo "$p"; done; }
has_view() { [ "$(here mrc ps | grep -c ' view ')" = 1 ]; }
# Both the job's mrc and the keeper have noticed, and try.
both_try() { [ "$(of_head mrc-again | wc -l)" -ge 2 ]; }
cut_link() { "$lab" --name "$name" link head n1 --cut inf; }
mend_link() { "$lab" --name "$name" link head n1 --clear; }
quiet() { [ -z "$(of_head 'mrc-|hub-process')" ] && ! node pgrep -u alice -f 'mrc-|agent-' >/dev/null; }
# begin: a kept view, and a job in it that is fed by fd 8
begin()
{
    here mrc stop --jobs >/dev/null
    wait_for 30 quiet
    v alice@n1 true 2>"$tmp/first.err" || fail "first job"
    wait_for 10 has_view
    rm -f "$tmp/in" "$home/proj/made"
    mkfifo "$tmp/in"
    v alice@n1 sh -c 'echo begun; while read -r line; do echo "$line" >>made; done; cat made; exit 7' <"$tmp/in" >"$tmp/out" 2>"$tmp/job.err" &
    job=$!
    exec 8>"$tmp/in"
    wait_for 20 grep -sq begun "$tmp/out"
    ! grep -q "view of the job's own" "$tmp/job.err" || fail "the job has a view of its own"
    echo one >&8
    wait_for 10 grep -sq one "$home/proj/made"
}
finish()
{
    exec 8>&-
    local rc=0
    wait $job || rc=$?
    same "$1: status" 7 $rc
    same "$1: output" "begun one two" "$(paste -sd' ' "$tmp/out")"
    echo "ok: $1"
}

echo "# the kept connection has died in silence when a job begins: the job has another agent, and runs once"
MRC_SILENCE=6 # an agent waits half as long
v alice@n1 true 2>"$tmp/first.err" || fail "first job"
sleep 1 # the next one is there then
node sh -c 'kill -STOP $(pgrep -f "^sshd: alice@notty")'
rc=0
echo fed | v alice@n1 sh -c 'echo ran >>ran; cat; exit 7' >"$tmp/out" 2>"$tmp/job.err" || rc=$?
same "status" 7 $rc
same "what was fed" fed "$(cat "$tmp/out")"
same "it ran" ran "$(cat "$home/proj/ran")"
grep -q 'by a connection that the hub keeps' "$tmp/job.err" || fail "the hub had no connection: the test shows nothing"
grep -q 'connection lost' "$tmp/job.err" || fail "the connection was not lost: the test shows nothing"
node sh -c 'kill -9 $(pgrep -f "^sshd: alice@notty")'
MRC_SILENCE=3

echo "# the hub is killed while the connection is made anew"
begin
cut_link
wait_for 20 both_try
of_head hub-process | xargs kill -9
echo two >&8
mend_link
wait_for 30 grep -q 'the connection is back' "$tmp/job.err"
finish "the hub killed while away"
wait_for 30 quiet

echo "# a keeper is killed while the connection is made anew: the job ends with words, the next one is well"
begin
cut_link
wait_for 20 both_try
keepers | xargs kill -9
began=$SECONDS
mend_link
exec 8>&-
rc=0
wait $job || rc=$?
same "keeper: status" 255 $rc
[ $((SECONDS - began)) -le 20 ] || fail "keeper: took $((SECONDS - began)) s"
echo "ok: $(grep '^mrc: n1: ' "$tmp/job.err" | tail -1)"
same "the next job" one "$(v alice@n1 cat made 2>"$tmp/next.err")"

echo "# a view that was cut off: the next job is let in or has another one, and both see the same"
begin
cut_link
wait_for 20 both_try
mend_link
wait_for 30 grep -q 'the connection is back' "$tmp/job.err"
same "the second job" one "$(v alice@n1 cat made 2>"$tmp/second.err")"
echo two >&8
wait_for 10 grep -sq two "$home/proj/made"
same "the third job" "one two" "$(v alice@n1 sh -c 'paste -sd" " made' 2>"$tmp/third.err")"
finish "a view that was cut off"

echo "# the hub is killed under a detached job"
here mrc stop >/dev/null
wait_for 30 quiet
v alice@n1 true 2>"$tmp/first.err"
wait_for 10 has_view
j=$(v --detach alice@n1 sh -c 'echo begun; until [ -e go ]; do sleep 0.1; done; cat go; exit 5' </dev/null 2>"$tmp/detach.err" | sed 's/.*://')
of_head hub-process | xargs kill -9
echo gone >"$home/proj/go"
rc=0
here timeout $limit mrc attach "$j" </dev/null >"$tmp/out" 2>"$tmp/attach.err" || rc=$?
same "detached: status" 5 $rc
same "detached: output" "begun gone" "$(paste -sd' ' "$tmp/out")"
wait_for 30 quiet

echo "# changes that were under way when a detached job's file server went: EIO, and nothing is lost that was said to be made"
cat >"$home/proj/doubt.py" <<'P'
import errno, os
fd = os.open("doubt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
made, failed, i = [], [], 0
while not os.path.exists("stop") and i < 5000:
    try:
        os.write(fd, b"%d\n" % i)
        os.fsync(fd)
        made.append(i)
    except OSError as e:
        failed.append((i, errno.errorcode[e.errno]))
        open("/tmp/failed", "w").write("one\n") # the target's
    i += 1
print(repr((made, failed)))
P
chown "$user:" "$home/proj/doubt.py"
"$lab" --name "$name" link head n1 --delay 100ms
j=$(v --detach --no-hub alice@n1 python3 doubt.py </dev/null 2>"$tmp/detach.err" | sed 's/.*://')
wait_for 20 grep -sq 3 "$home/proj/doubt"
# Whether a change is under way at that moment, or its answer, is chance: half of the time each, from one line to the next.
for wait in 0.10 0.15 0.20 0.05 0.12 0.17 0.07 0.02; do
    lines=$(wc -l <"$home/proj/doubt")
    wait_for 20 eval '[ $(wc -l <"$home/proj/doubt") -gt $lines ]'
    sleep $wait
    of_head mrc | xargs -r kill -9
    here timeout $limit mrc attach --files "$j" || fail "attach --files"
    lines=$(($(wc -l <"$home/proj/doubt") + 2))
    wait_for 20 eval '[ $(wc -l <"$home/proj/doubt") -gt $lines ]'
    ! node test -s /tmp/failed || break
done
touch "$home/proj/stop"
rc=0
here timeout $limit mrc attach "$j" </dev/null >"$tmp/out" 2>"$tmp/attach.err" || rc=$?
python3 - "$tmp/out" "$home/proj/doubt" "$rc" <<'P' || fail "in doubt: status $rc"
import sys
made, failed = eval(open(sys.argv[1]).read())
there = [int(x) for x in open(sys.argv[2])]
print("status", sys.argv[3], "made", len(made), "failed", failed, "there", len(there))
assert failed and all(name == "EIO" for _, name in failed), failed
assert len(failed) <= 3, failed
assert set(made) <= set(there), "what was said to be made is not there"
assert set(there) <= set(made) | {i for i, _ in failed}, "what was never tried is there"
assert len(there) == len(set(there)), "something was done twice"
P
