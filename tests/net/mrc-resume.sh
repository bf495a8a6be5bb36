#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-resume.sh: a terminal whose connection is cut while keys are typed; connections that do not come back, or are not to: what is said, and that
# nothing is left. Programs whose connections are cut at random: mrc-cuts.sh; other ways to lose one: mrc-back.sh.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"

requires python3
lab_up 1
limit=200
dir_hub=$tmp/run
mkdir -m 700 "$dir_hub"
chown "$user:" "$dir_hub"
export XDG_RUNTIME_DIR=$dir_hub MRC_HUB_IDLE=60
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY
at_exit 'here mrc stop --jobs >/dev/null 2>&1'
at_exit '[ $functions_rc = 0 ] || tail -n +1 "$tmp"/*err >&2'

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
is_quiet_there() { ! node pgrep -u alice -f 'agent-|mrc' >/dev/null; }

echo "# a terminal: what is typed while it is away arrives once, in order"
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
echo "mrc-resume: ok"
