#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An agent of another version or of somebody else's, and sides that fall silent: clear words and an end, no hang.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
requires fuse userns
fake=$top_builddir/tests/net/fake_agent
[ -x "$fake" ] || { echo "not built: make check"; exit 99; }
export HOME=$tmp/home XDG_CACHE_HOME=$tmp/cache
mkdir -p "$HOME" && cd "$HOME" || exit 99

echo "# a hostile agent"
# meet KIND COMMAND...: a job at the fake agent; the command is put before mrc
meet() { MRC_AGENT=$fake MRC_SILENCE=3 "${@:2}" timeout 50 mrc --reconnect-for "${again:-0}" --via "env MRC_FAKE=$1" host true; }
bad "another version" 255 'host: .*mrc-agent 99\?\[2J there speaks version 3 of the session protocol, mrc .* here version 2: both must be of one version.*MRC_AGENT' meet version
bad "no hello" 255 'host: .*something that is none of the session' meet no-hello
bad "garbage after hello" 255 'host: .*something that is none of the session' meet garbage
bad "too long a message" 255 'host: .*something that is none of the session' meet oversize
bad "channels that are not the agent's" 255 'host: .*something that is none of the session' meet channels
bad "a gap in the job's messages" 255 'host: .*something that is none of the session' meet offset
bad "job messages without sense" 255 'host: .*message about the job makes no sense' meet job
bad "unknown channels and messages, then silence" 255 'host: .*silent for too long' meet unknown
bad "silence after hello" 255 'host: .*silent for too long' meet silent
again=8s lines=2 bad "the same, where connections are made anew" 255 'could not be made again within 8 s' meet silent
bad "silence in a message" 255 'host: .*silent for too long' meet half
bad "silence at once" 255 'host: .*silent for too long' meet nothing
bad "no agent of ours at all" 255 'host: .*something that is none of the session' meet echo
# Ctrl-C ends it as long as there is no job that could be told.
MRC_AGENT=$fake mrc --via "env MRC_FAKE=idle" host true &
pid=$!
sleep 2
kill -TERM $pid
wait $pid
same "a signal before the job's start" 143 $?

echo "# the session's first bytes are sent before anything was heard: a round trip less where the agent is there"
# shellcheck disable=SC2016
printf '#!/bin/sh\ntimeout 10 head -c 110 >"$HOME/early"\n' >"$HOME/takes" && chmod 755 "$HOME/takes"
mrc --via "$HOME/takes" host true 2>/dev/null
grep -aq 'mrc [0-9]' "$HOME/early" || fail "no first bytes: $(od -c "$HOME/early" | head -5)"

echo "# a head that disappears"
seconds_of_job=4321.$$
is_running() { pgrep -f "^sleep $seconds_of_job" >/dev/null; }
is_over() { ! is_running; }
MRC_SILENCE=3 mrc local: sleep $seconds_of_job 2>"$tmp/err" &
pid=$!
wait_for 20 is_running
sleep 6 # longer than the limit: who is silent is asked, and answers
is_running || fail "a quiet job was ended"
# mrc, its transport and its file server: what would be gone with the computer; the agent's line stays open.
parts="$pid $(pgrep -P $pid)"
# shellcheck disable=SC2086
kill -STOP $parts
wait_for 20 is_over
# shellcheck disable=SC2086
kill -CONT $parts
wait $pid
same "then mrc" 255 $?
grep -q '^mrc: local' "$tmp/err" || fail "no words: $(cat "$tmp/err")"

echo "# a head that is only stopped"
MRC_SILENCE=3 mrc local: sh -c 'kill -STOP $$; echo on' >"$tmp/out" 2>"$tmp/err" &
pid=$!
is_stopped() { grep -q '^State:[[:space:]]*T' /proc/$pid/status; }
wait_for 20 is_stopped
sleep 8
kill -CONT $pid
wait $pid
same "after Ctrl-Z and a long time" "0 on" "$? $(cat "$tmp/out" "$tmp/err")"
bad_end
echo "all passed"
