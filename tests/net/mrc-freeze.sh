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
# Two that count on the target, and one that has stopped itself.
cat >"$home/proj/counters" <<'JOB'
count() { while :; do echo >>"/tmp/count.$1"; sleep 0.1; done; }
rm -f /tmp/count.*
count a & 
(kill -STOP $BASHPID; touch /tmp/count.never) &
count b
JOB
chown -R "$user:" "$home"
lines() { node sh -c 'cat /tmp/count.a /tmp/count.b 2>/dev/null | wc -l'; }
grows() { local was; was=$(lines); sleep 0.6; [ "$(lines)" -gt "$was" ]; }
rests() { ! grows && ! grows; }
nothing_there() { ! node pgrep -u alice -f 'mrc-agent|agent-|counters' >/dev/null; }

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

echo "# one whose connection is lost"
(here timeout -k 2 60 mrc -q -F "$conf" --no-hub --freeze-after 1s --reconnect-for 60s alice@n1 bash ./counters </dev/null >/dev/null 2>&1) &
wait_for 10 grows
"$lab" --name "$name" link head n1 --cut inf
wait_for 10 rests
"$lab" --name "$name" link head n1 --cut 0
wait_for 40 grows
# shellcheck disable=SC2046 # a pid
kill -TERM $(of_head 'reconnect-for 60s' | head -1)
wait_for 25 nothing_there
