#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-freeze.sh: a head that stays away: jobs are stopped, go on when it is back, and are ended when it is not; what was stopped before stays so.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"

requires python3
lab_up 1
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY XDG_STATE_HOME XDG_RUNTIME_DIR
export MRC_HUB_IDLE=0 MRC_SILENCE=2
at_exit '[ $functions_rc = 0 ] || node tail -n 20 /home/alice/.cache/mrc/log >&2'
at_exit 'kill_head'
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
# Four that count on the target, two of which threads have started, and one that has stopped itself.
cat >"$home/proj/counters" <<'JOB'
count() { while :; do echo >>"/tmp/count.$1"; sleep 0.1; done; }
rm -f /tmp/count.*
count a & 
python3 - <<'PY' &
import os, threading, time
# A process that is started by another thread than the first, in a session of its own, and whose parent ends.
def start():
    if os.fork() == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        while True:
            open("/tmp/count.c", "a").write("\n")
            time.sleep(0.1)
    time.sleep(10000)
def other():
    if os.fork() == 0:
        while True:
            open("/tmp/count.d", "a").write("\n")
            time.sleep(0.1)
    time.sleep(10000)
for what in (start, other): threading.Thread(target=what).start()
PY
(kill -STOP $BASHPID; touch /tmp/count.never) &
count b
JOB
chown -R "$user:" "$home"
lines() { node sh -c 'for i in a b c d; do wc -l </tmp/count.$i; done 2>/dev/null' | tr "\n" " "; }
# Of a, b, c and d: grows: each has, rests: none has.
moved() { python3 -c 'import sys; a, b = (x.split() for x in sys.argv[1:]); sys.exit(len(a) != 4 or sum(map(str.__ne__, a, b)) != int(sys.stdin.read()))' "$@"; }
grows() { local was; was=$(lines); sleep 0.6; echo 4 | moved "$was" "$(lines)"; }
rests() { local was; was=$(lines); sleep 1.2; echo 0 | moved "$was" "$(lines)"; }
nothing_there() { ! node pgrep -u alice -f 'mrc-agent|agent-|counters|^python3 -$' >/dev/null; }
# Nothing but the cache is left there, and mrc doctor can see that.
proven()
{
    here timeout -k 2 30 mrc -F "$conf" doctor --json alice@n1 >"$tmp/doctor" || fail "doctor: $(cat "$tmp/doctor")"
    python3 - "$tmp/doctor" <<'PY' || fail "doctor: $(cat "$tmp/doctor")"
import json, sys
for f in json.load(open(sys.argv[1]))["checks"]:
    if f["id"] in ("processes", "mounts", "files"): assert f["state"] == "ok" and ("none" in f["detail"] or "nothing but the cache" in f["detail"]), f
    if f["id"] == "held": assert f["detail"].startswith("0 are held there"), f
PY
    same "what is in the places of ours" "" "$(node sh -c 'find /home/alice/.cache/mrc/views /tmp/mrc-* -mindepth 1 2>/dev/null')" 0
}

echo "# a detached job"
j=$(here timeout -k 2 30 mrc -F "$conf" --detach --freeze-after 1s --reconnect-for 8s alice@n1 bash ./counters </dev/null | sed 's/.*://')
wait_for 10 grows
sleep 1.2
grows || fail "it is frozen although its head is there"
kill_head
wait_for 5 rests
node sh -c 'ps -eo stat,args | grep -q "^T.*[c]ounters"' || fail "nothing is stopped: $(node ps -eo stat,args)"
here mrc attach --files "$j" || fail "attach --files"
wait_for 5 grows
[ -z "$(node sh -c 'ls /tmp/count.never 2>/dev/null')" ] || fail "what had stopped itself was continued"
kill_head
wait_for 5 rests
wait_for 25 nothing_there
same "mounts that are left" "" "$(node grep mrcfs /proc/mounts)" 0
proven

echo "# one whose connection is lost; it has no pid namespace of its own"
(here timeout -k 2 60 mrc -q -F "$conf" --no-hub --no-pid-namespace --freeze-after 1s --reconnect-for 60s alice@n1 bash ./counters </dev/null >/dev/null 2>&1) &
wait_for 10 grows
"$lab" --name "$name" link head n1 --cut inf
wait_for 10 rests
"$lab" --name "$name" link head n1 --cut 0
wait_for 40 grows
# shellcheck disable=SC2046 # a pid
kill -TERM $(of_head 'reconnect-for 60s' | head -1)
wait_for 25 nothing_there
proven
