#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-detach.sh: jobs that live without their head: output, input, terminal and status are taken up again, files wait for the head and are the same
# afterwards or ESTALE; every process of it is killed once.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"

requires python3
lab_up 1
limit=25
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY XDG_STATE_HOME XDG_RUNTIME_DIR
export MRC_HUB_IDLE=0
at_exit '[ $functions_rc = 0 ] || node tail -n 30 /home/alice/.cache/mrc/log >&2'
at_exit 'kill_head'

r() { here timeout -k 2 $limit mrc -F "$conf" "$@"; }
a() { here timeout -k 2 $limit mrc "$@"; }
# detached COMMAND...: its job's number
detached() { r --detach "${o[@]}" alice@n1 "$@" 2>"$tmp/err" </dev/null | sed 's/.*://'; }
o=()
# Processes of this test's user on this test's head, with these words: others' tests run at the same time.
of_head()
{
    local pid
    for pid in $(ps -u "$user" -o pid=,args= | awk -v what="$1" '$0 ~ what && !/timeout|awk/ { print $1 }'); do
        { tr "\0" "\n" <"/proc/$pid/environ"; } 2>/dev/null | grep -qx "HOME=$home" && echo "$pid"
    done
}
# As when the head's computer is switched off.
kill_head()
{
    local pid
    for pid in $(of_head mrc); do
        kill -9 "$pid" 2>/dev/null
    done
    true
}
is_served() { a ps | grep -q "$1.* detached .*[^)]$"; }
of_agents() { node pgrep -u alice -f 'mrc-agent|agent-'; }
nothing_there() { [ -z "$(of_agents)" ] && [ -z "$(node sh -c 'ls -A /home/alice/.cache/mrc/views 2>/dev/null; grep mrcfs /proc/mounts')" ]; }
gone_there() { wait_for 15 nothing_there; }
state=$home/.local/state/mrc/jobs

echo "# output and status after the head was switched off"
j=$(detached sh -c 'i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); sleep 0.02; done; echo err >&2; read x; echo "got $x"; exit 7')
[ ${#j} = 16 ] || fail "no number: '$j' $(cat "$tmp/err")"
same "mode of what is remembered" "600" "$(stat -c %a "$state/$j")" $?
a ps | grep -q "alice@n1:$j .* detached .* sh -c i=0" || fail "ps: $(a ps)"
a ps --json | python3 -c 'import json,sys; e=[x for x in json.load(sys.stdin)["entries"] if x["state"]=="detached"]; assert len(e)==1 and e[0]["is_served"], e' || fail "ps --json"
kill_head
a ps | grep -q "$j.*its files wait" || fail "ps afterwards: $(a ps)"
status=0; echo word | a attach "n1:${j:0:6}" >"$tmp/out" 2>"$tmp/err" || status=$?
same "status" "7" "$status" $?
same "output" "$(seq -f 'line %.0f' 0 39; echo got word)" "$(cat "$tmp/out")" $?
same "errors" "err" "$(cat "$tmp/err")" $?
same "nothing is remembered" "" "$(ls -A "$state")" $?
gone_there || fail "left there: $(of_agents)"

echo "# files: what is the same goes on, what is not is ESTALE"
mkdir -p "$home/proj/sub"
seq 1 5 >"$home/proj/in"; echo here >"$home/proj/sub/here"; : >"$home/proj/rw"; echo old >"$home/proj/gone"; echo moved >"$home/proj/moved"; echo l >"$home/proj/locked"
cat >"$home/proj/job" <<'JOB'
cd sub
exec 5<../in 6>>../log 7<>../rw 8<../gone 9<../moved 4<>../locked
flock 4
read -r a <&5; echo "first $a"
echo one >&6
cat /proc/self/mounts >/dev/null
while ! [ -e ../go ]; do sleep 0.1; done
pwd
cat here
read -r b <&5; echo "second $b"
echo two >&6 && echo appended
echo rw >&7 && echo written
cat <&8
cat <&9
echo lost | dd bs=16 status=none >&4 || echo not written
cat ../gone
echo new >../made
exit 3
JOB
chown -R "$user:" "$home/proj"
j=$(detached sh ./job)
wait_for 10 test -s "$home/proj/log"
kill_head
(cd "$home/proj" && rm gone && echo new >gone && mv moved elsewhere && touch go && chown "$user:" gone go)
same "the job waits" "" "$(cat "$home/proj/made" 2>/dev/null)" 0
status=0; a attach "$j" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
same "status of the files' job" "3" "$status" $?
same "its output" "first 1
$home/proj/sub
here
second 2
appended
written
not written
new" "$(cat "$tmp/out")" $?
same "stale to read" "2" "$(grep -c "cat: .*Stale file handle" "$tmp/err")" $?
grep -q "dd: .*Stale file handle" "$tmp/err" || fail "writing under a lock that was lost: $(cat "$tmp/err")"
same "what it appended" "one two" "$(paste -sd" " "$home/proj/log")"
same "what it wrote and made" "rw new l" "$(cat "$home/proj/rw" "$home/proj/made" "$home/proj/locked" | paste -sd" ")"
gone_there || fail "left there: $(of_agents)"

echo "# only the provider is killed, in the middle of reading: all bytes are the same"
head -c $((24 << 20)) /dev/urandom >"$home/proj/big"; chown "$user:" "$home/proj/big"
"$lab" --name "$name" link head n1 --rate 100mbit
o=(--no-cache)
j=$(detached sh -c 'sha256sum big; find . -name "f*" | wc -l')
sleep 0.7
kill_head
a attach --files "$j" || fail "attach --files: $?"
is_served "$j" || fail "nobody serves it: $(a ps)"
a attach "$j" >"$tmp/out" 2>"$tmp/err" </dev/null || fail "status $?: $(cat "$tmp/err")"
same "the sum" "$(sha256sum <"$home/proj/big" | cut -c1-64)" "$(head -1 "$tmp/out" | cut -c1-64)" $?
"$lab" --name "$name" link head n1 --clear
o=()

echo "# much output: the job waits, nothing is lost, also when who is attached is killed"
o=(--keep-output 1)
j=$(detached sh -c 'seq 1 2000000; echo end >&2')
sleep 1
a attach "$j" 2>/dev/null </dev/null | head -c 300000 >/dev/null
# The reader takes some of it, and what is in the pipe once the writer is dead: so that is never at the end.
(here mrc attach "$j" </dev/null 2>/dev/null | python3 -c 'import os, sys, time
got = sys.stdin.buffer.read(2000000)
open(sys.argv[1] + ".some", "w").close()
while not os.path.exists(sys.argv[1] + ".killed"): time.sleep(0.02)
open(sys.argv[1], "wb").write(got + sys.stdin.buffer.read())' "$tmp/part") &
reader=$!
wait_for 20 test -e "$tmp/part.some"
attached=$(of_head 'mrc attach')
# shellcheck disable=SC2086 # pids
kill -9 $attached 2>/dev/null
touch "$tmp/part.killed"
wait $reader
a attach "$j" >"$tmp/rest" 2>"$tmp/err" </dev/null || fail "status $?: $(cat "$tmp/err")"
same "the end" "end" "$(cat "$tmp/err")" $?
python3 - "$tmp/part" "$tmp/rest" <<'PY' || fail "bytes are missing"
import sys
whole = b"".join(b"%d\n" % i for i in range(1, 2000001))
part, rest = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read()
assert whole.endswith(rest), "the rest is not the end"
assert whole.find(part) >= 0, "the part is not from it"
at = whole.find(part) if len(part) > 100 else 0
assert len(rest) + at + len(part) >= len(whole), (at, len(part), len(rest), len(whole))
PY
o=()

echo "# a terminal; mrc detach; another one takes over"
cat >"$home/proj/screen.py" <<'PY'
import os, pty, sys, time, select, signal, struct, fcntl, termios
def run(rows, *args):
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(args[0], args)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 91, 0, 0))
    return pid, fd
def until(fd, what, seconds=15):
    got, end = b"", time.time() + seconds
    while what not in got:
        if time.time() > end: sys.exit("no %r in %r" % (what, got))
        if select.select([fd], [], [], 0.2)[0]:
            try: more = os.read(fd, 65536)
            except OSError: more = b""
            if not more and what not in got: sys.exit("ended without %r: %r" % (what, got))
            got += more
    return got
job = sys.argv[1]
one, f1 = run(31, "mrc", "attach", job)
until(f1, b"31 91")
os.write(f1, b"hello\n")
until(f1, b"got hello")
two, f2 = run(33, "mrc", "attach", job)
until(f2, b"33 91")
until(f1, b"another mrc is attached")
assert os.waitpid(one, 0)[1] >> 8 == 255
os.write(f2, b"again\n")
until(f2, b"got again")
assert os.system("mrc detach " + job) == 0
until(f2, b"detached")
assert os.waitpid(two, 0)[1] == 0
three, f3 = run(35, "mrc", "attach", job)
until(f3, b"35 91")
os.write(f3, b"\x03")
until(f3, b"interrupted")
assert os.waitpid(three, 0)[1] >> 8 == 5
PY
cat >"$home/proj/job.py" <<'PY'
import os, signal, sys
def size(*_): os.write(1, b"%d %d\n" % tuple(reversed(os.get_terminal_size(1))))
def interrupted(*_):
    os.write(1, b"interrupted\n")
    os._exit(5)
signal.signal(signal.SIGWINCH, size)
signal.signal(signal.SIGINT, interrupted)
for line in iter(lambda: os.read(0, 100), b""): os.write(1, b"got " + line)
PY
j=$(r --detach -tt alice@n1 python3 job.py </dev/null 2>/dev/null | sed 's/.*://')
here timeout -k 2 40 python3 screen.py "$j" || fail "terminal: $?"
a detach "$j" 2>"$tmp/err" && fail "detach of a job that is over"
grep -q 'no detached job' "$tmp/err" || fail "words: $(cat "$tmp/err")"

echo "# who does not know the secret"
j=$(detached sleep 100)
python3 - "$state/$j" <<'PY'
import sys
f = open(sys.argv[1], "r+b"); f.seek(12); b = f.read(1); f.seek(12); f.write(bytes([b[0] ^ 1]))
PY
bad "another secret" 255 'ended or sent us away' a attach "$j"
python3 - "$state/$j" <<'PY'
import sys
f = open(sys.argv[1], "r+b"); f.seek(12); b = f.read(1); f.seek(12); f.write(bytes([b[0] ^ 1]))
PY

echo "# kills there: the job's agent, the holder; sshd; each is said"
agent=$(node pgrep -u alice -f '^mrc-agent' | head -1)
[ -n "$agent" ] || fail "no agent of the job's"
node kill -9 "$agent"
bad "the job's agent is killed" 255 "the job's agent on the target has ended" a attach "$j"
j=$(detached sleep 100)
node sh -c 'kill -9 $(pgrep -x mrc-agent-holds)'
bad "the holder is killed" 255 'not there any more' a attach "$j"
gone_there || fail "left there: $(of_agents)"
same "nothing is remembered of those" "" "$(ls -A "$state")" $?
j=$(detached sh -c 'sleep 2; cat in')
node sh -c 'kill -9 $(pgrep -f "^sshd: alice@notty")'
a attach "$j" >"$tmp/out" 2>"$tmp/err" </dev/null || fail "sshd was killed: status $?: $(cat "$tmp/err")"
same "read after sshd was killed" "1 2 3 4 5" "$(paste -sd" " "$tmp/out")"

echo "# nobody comes: it ends"
o=(--reconnect-for 2s)
j=$(detached sleep 100)
kill_head
gone_there || fail "left there: $(of_agents)"
doctor_says()
{
    r doctor --json alice@n1 >"$tmp/doctor" || true
    python3 - "$tmp/doctor" "$@" <<'PY' || fail "doctor: $(cat "$tmp/doctor")"
import json, sys
checks = {f["id"]: f for f in json.load(open(sys.argv[1]))["checks"]}
for id in ("processes", "mounts", "files"): assert checks[id]["state"] == "ok", checks[id]
held = checks["held"]
assert held["state"] == sys.argv[2], held
for word in sys.argv[3:]: assert word in held["detail"] + held["remedy"], (word, held)
PY
}
doctor_says note "0 are held there" "$j is the first" "--forget $j"
bad "it waited for too long" 255 'not there any more' a attach "$j"
doctor_says ok "0 are held there, this computer knows of 0"

echo "# a job is ended without anybody who attaches; who was attached is told; its last writes are here"
o=()
j2=$(detached sh -c 'trap "" TERM HUP; echo began; while :; do sleep 0.1; done')
a detach --end "$j2" 2>"$tmp/err2" & ending=$!
j=$(detached sh -c 'trap "echo ended >ended; exit 1" TERM HUP; echo began; while :; do sleep 0.1; done')
a attach "$j" >"$tmp/out" 2>"$tmp/err.attach" </dev/null & attached=$!
wait_for 10 grep -q began "$tmp/out"
server=$(a ps | awk -v j="$j" 'index($0, j) { print $2 }')
a detach --end "$j" 2>"$tmp/err" || fail "end: $(cat "$tmp/err")"
same "words" "" "$(cat "$tmp/err")"
wait $attached && fail "who was attached ended well"
grep -q "ended by mrc detach --end" "$tmp/err.attach" || fail "who was attached heard: $(cat "$tmp/err.attach")"
wait $ending || fail "end of a job that does not want to: $(cat "$tmp/err2")"
same "nothing is remembered" "" "$(ls -A "$state")" $?
gone_there || fail "left there: $(of_agents)"
same "its last word" ended "$(cat "$dir/ended")" $?
server_ended() { ! grep -qs '^State:.[^ZX]' "/proc/$server/status"; }
wait_for 20 server_ended
bad "both" 255 'give one of them' a detach --end --forget "$j"
bad "twice" 255 "$j|no such|not" a detach --end "$j"
o=(--reconnect-for 2s)

echo "# a target that is gone for ever is forgotten, and who serves the files ends"
j=$(detached sleep 100)
doctor_says ok "1 are held there, this computer knows of 1"
server=$(a ps | awk -v j="$j" 'index($0, j) { print $2 }')
[ -e "/proc/$server" ] && grep -q mrc-files "/proc/$server/comm" || fail "ps names process $server: $(a ps)"
"$lab" --name "$name" link head n1 --cut inf
a detach --forget "$j" 2>"$tmp/err" || fail "forget: $(cat "$tmp/err")"
grep -q "$j is forgotten here" "$tmp/err" || fail "words: $(cat "$tmp/err")"
same "nothing is remembered" "" "$(ls -A "$state")" $?
! grep -qs '^State:.[^ZX]' "/proc/$server/status" || fail "process $server serves it still"
"$lab" --name "$name" link head n1 --clear
gone_there || fail "left there: $(of_agents)"
bad_end
