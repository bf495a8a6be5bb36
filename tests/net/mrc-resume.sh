#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-resume.sh: connections that are cut under jobs, again and again: nothing lost or doubled, and nothing left at the end.
# Usage: mrc-resume.sh [SEED [CUTS [all]]]: which moments; how many cuts of each job (4); all: with and without kept views at each distance.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"

requires python3
lab_up 1
limit=200
RANDOM=${1:-1}
cuts=${2:-4}
ways=('0 --no-hub' '40 ')
[ "${3:-}" != all ] || ways+=('0 ' '40 --no-hub')
dir_hub=$tmp/run
mkdir -m 700 "$dir_hub"
chown "$user:" "$dir_hub"
export XDG_RUNTIME_DIR=$dir_hub MRC_HUB_IDLE=60
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY
at_exit 'here mrc stop --jobs >/dev/null 2>&1'
at_exit '[ $functions_rc = 0 ] || tail -n 5 "$tmp"/*err >&2'

r() { here timeout $limit mrc -v --reconnect-for 60s -F "$conf" "$@"; }
# The server's process of each connection, and on the head whoever holds one: either is a connection that breaks.
cut_there() { node sh -c 'kill -9 $(pgrep -f "^sshd: alice@notty") 2>/dev/null'; true; }
cut_here()
{
    local pid
    for pid in $(ps -u "$user" -o pid=,args= | awk -v conf="$conf" 'index($0, "-F " conf) { print $1 }'); do
        # The sockets of the transport are TCP.
        ss_of "$pid" && kill -9 "$pid"
    done
    true
}
ss_of() { "$lab" --name "$name" head -- ss -Htnp 2>/dev/null | grep -q "pid=$1,"; }
back() { grep -c 'the connection is back' "$1"; }

# cut_under ERR PID: cuts $cuts times at random moments while PID runs, each time when the last cut is mended
cut_under()
{
    local i done=0
    for ((i = 0; i < cuts; i++)); do
        sleep "0.$((RANDOM % 9))$((RANDOM % 10))"
        kill -0 "$2" 2>/dev/null || break
        if [ $((i % 3)) = 2 ]; then cut_here; else cut_there; fi
        # The job may end meanwhile: what was lost was its good-bye.
        wait_for 60 eval "[ $(back "$1") -gt $done ] || [ \$(back '$1') -gt $done ] || ! kill -0 $2 2>/dev/null"
        done=$(back "$1")
    done
    echo "   cut $i times, $done times back"
    total=$((total + done))
}
total=0
is_quiet_there() { ! node pgrep -u alice -f 'agent-|mrc' >/dev/null; }

for way in "${ways[@]}"; do
    delay=${way%% *} hub=${way#* }
    [ $delay = 0 ] && "$lab" --name "$name" link head n1 --clear || "$lab" --name "$name" link head n1 --delay ${delay}ms
    echo "# ${hub:-kept views}, round trip $((2 * delay)) ms"
    # A shell loop, whose lines must be counted.
    rm -f "$tmp/err" "$tmp/out"
    r $hub alice@n1 sh -c 'i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); sleep 0.02; done' >"$tmp/out" 2>"$tmp/err" </dev/null &
    wait_for 60 grep -sq 'line 1' "$tmp/out"
    cut_under "$tmp/err" $!
    wait $! || fail "a loop: status $?: $(tail -n 3 "$tmp/err")"
    seq 0 299 | sed 's/^/line /' | cmp - "$tmp/out" || fail "lines of a loop"

    # Both ways at once.
    head -c $((24 << 20)) /dev/urandom >"$tmp/in"
    rm -f "$tmp/err" "$tmp/out"
    (sleep 0.5; cat "$tmp/in") | r $hub alice@n1 cat >"$tmp/out" 2>"$tmp/err" &
    wait_for 60 grep -sq 'started, process' "$tmp/err"
    cut_under "$tmp/err" $!
    wait $! || fail "cat: status $?: $(tail -n 3 "$tmp/err")"
    cmp "$tmp/in" "$tmp/out" || fail "cat: other bytes"

    # Files: unpacked there, which are written here; and a data base.
    rm -rf "$home/proj/t" && mkdir "$home/proj/t"
    for ((i = 0; i < 300; i++)); do echo "file $i $RANDOM" >"$home/proj/t/f$i"; done
    head -c 3000000 /dev/urandom >"$home/proj/t/big"
    (cd "$home/proj" && tar cf t.tar t && cp -a t t.was && rm -rf t)
    chown -R "$user:" "$home/proj"
    rm -f "$tmp/err" "$tmp/out"
    r $hub alice@n1 sh -c 'for i in 1 2 3; do rm -rf t; tar xf t.tar || exit 1; done; cat t/f* | cksum' >"$tmp/out" 2>"$tmp/err" </dev/null &
    wait_for 60 grep -sq 'started, process' "$tmp/err"
    cut_under "$tmp/err" $!
    wait $! || fail "tar: status $?: $(tail -n 3 "$tmp/err")"
    diff -r "$home/proj/t" "$home/proj/t.was" || fail "tar: other files"
    same "what the job saw of them" "$(cat "$home/proj"/t.was/f* | cksum)" "$(cat "$tmp/out")"
    rm -rf "$home/proj/t.was"
    cat >"$home/proj/sums.py" <<'PY'
import sqlite3, os, time
if os.path.exists("s.db"): os.unlink("s.db")
d = sqlite3.connect("s.db")
d.execute("create table t (a integer primary key, b text)")
for i in range(60):
    with d:
        d.execute("insert into t values (?, ?)", (i, "x" * (i * 7 % 500)))
    time.sleep(0.02)
print(d.execute("select count(*), sum(a), sum(length(b)) from t").fetchone())
PY
    rm -f "$tmp/err" "$tmp/out"
    r $hub alice@n1 python3 sums.py >"$tmp/out" 2>"$tmp/err" </dev/null &
    wait_for 60 grep -sq 'started, process' "$tmp/err"
    cut_under "$tmp/err" $!
    wait $! || fail "sqlite: status $?: $(tail -n 3 "$tmp/err")"
    same "sqlite" "(60, 1770, $(python3 -c 'print(sum(i * 7 % 500 for i in range(60)))'))" "$(cat "$tmp/out")"
    same "and here" 60 "$(python3 -c 'import sqlite3; print(sqlite3.connect("'"$home"'/proj/s.db").execute("select count(*) from t").fetchone()[0])')"
done
[ $total -gt 8 ] || fail "only $total connections were made again"

echo "# a terminal: what is typed while it is away arrives once, in order"
"$lab" --name "$name" link head n1 --clear
cat >"$tmp/keys.py" <<'PY'
import os, pty, re, subprocess, sys, time
cut, argv = sys.argv[1], sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(argv[0], argv)
seen = b""
def until(text, seconds=60):
    global seen
    end = time.time() + seconds
    while text not in seen:
        if time.time() > end:
            sys.exit("no %r in %r" % (text, seen[-2000:]))
        try:
            seen += os.read(fd, 4096)
        except OSError:
            sys.exit("ended, no %r in %r" % (text, seen[-2000:]))
os.write(fd, b"stty -echo; PS1=; echo rea''dy\n")
until(b"ready")
for i in range(8):
    if i % 3 == 1:
        subprocess.run(cut, shell=True)
    for k in range(20):
        os.write(fd, b"echo got-%d-%d\n" % (i, k))
    until(b"got-%d-19" % i)
os.write(fd, b"exit 3\n")
try:
    while True:
        b = os.read(fd, 4096)
        if not b:
            break
        seen += b
except OSError:
    pass
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(status, re.findall(rb"got-\d+-\d+", seen) == [b"got-%d-%d" % (i, k) for i in range(8) for k in range(20)],
      seen.count(b"connection lost") > 0)
PY
same "status, all lines once and in order, status line" "3 True True" \
    "$(timeout $limit python3 "$tmp/keys.py" "$lab --name $name run n1 -- sh -c 'kill -9 \$(pgrep -f \"^sshd: alice@notty\")'" \
        "$lab" --name "$name" head -u "$user" -- env HOME="$home" sh -c "cd $dir && exec mrc --no-hub -F $conf -t alice@n1 sh" 2>&1 | tail -n 1)"

echo "# without; too long; nobody there any more; told to end"
rm -f "$tmp/err" "$tmp/out"
r --no-hub --reconnect-for 0 alice@n1 sleep 1000 2>"$tmp/err" &
wait_for 20 grep -sq 'started, process' "$tmp/err"
cut_there
rc=0; wait $! || rc=$?
same "--reconnect-for 0" 255 $rc
! grep -q 'trying again' "$tmp/err" || fail "--reconnect-for 0: $(cat "$tmp/err")"
wait_for 20 is_quiet_there

rm -f "$tmp/err" "$tmp/out"
r --no-hub --reconnect-for 3s alice@n1 sleep 1000 2>"$tmp/err" &
wait_for 20 grep -sq 'started, process' "$tmp/err"
"$lab" --name "$name" link head n1 --cut inf
cut_there
cut_here
rc=0; wait $! || rc=$?
same "too long" 255 $rc
grep -q 'could not be made again within 3 s' "$tmp/err" || fail "too long: $(cat "$tmp/err")"
wait_for 20 is_quiet_there # it has waited as long, and ended the job
"$lab" --name "$name" link head n1 --clear

rm -f "$tmp/err" "$tmp/out"
r --no-hub --reconnect-for 5s alice@n1 sleep 1000 2>"$tmp/err" &
waiter=$!
wait_for 20 grep -sq 'started, process' "$tmp/err"
"$lab" --name "$name" link head n1 --cut inf
cut_there
cut_here
wait_for 20 grep -sq 'connection lost, trying again' "$tmp/err"
pkill -TERM -u "$user" -f "^mrc .*-F $conf .*sleep 1000"
rc=0; wait $waiter || rc=$?
same "a signal that ends" 143 $rc
grep -q 'the job is left alone' "$tmp/err" || fail "a signal: $(cat "$tmp/err")"
wait_for 20 is_quiet_there
"$lab" --name "$name" link head n1 --clear

rm -f "$tmp/err" "$tmp/out"
r --no-hub alice@n1 sleep 1000 2>"$tmp/err" &
wait_for 20 grep -sq 'started, process' "$tmp/err"
node sh -c 'kill -9 $(pgrep -o agent-)'
rc=0; wait $! || rc=$?
same "a killed agent" 255 $rc
grep -q "n1: .*job's agent is not there any more" "$tmp/err" || fail "a killed agent: $(cat "$tmp/err")"
wait_for 20 is_quiet_there

rm -f "$tmp/err" "$tmp/out"
r --no-hub alice@n1 sleep 1000 2>"$tmp/err" &
waiter=$!
wait_for 20 grep -sq 'started, process' "$tmp/err"
mine=$(pgrep -u "$user" -o -f "^mrc .*-F $conf .*sleep 1000")
kill -9 "$mine"
wait $waiter
wait_for 8 is_quiet_there # a head that is killed is no connection that is lost
echo "mrc-resume: $total connections made again"
