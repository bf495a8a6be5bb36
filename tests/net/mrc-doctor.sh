#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-doctor.sh: what mrc doctor finds on a target that is well, on one that lacks something, on one where something was
# left, and on one that can't be reached.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
requires python3

lab_up 1
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY
# doctor EXPECTED-STATUS [OPTION...]: the list in $tmp/list
doctor()
{
    local expected=$1 got=0
    shift
    m "$@" > "$tmp/list" 2> "$tmp/words" || got=$?
    [ "$got" = "$expected" ] || fail "mrc $*: status $got: $(cat "$tmp/list" "$tmp/words")"
}
# finds STATE LABEL REGEX: a line of the list, with what follows it
finds()
{
    tr '\n' ' ' < "$tmp/list" | sed 's/  */ /g' | grep -Eq -- " $1 $2 $3" || fail "no '$1 $2 $3' in: $(cat "$tmp/list")"
}
# asked CHECK FIELD: of the JSON
asked()
{
    python3 -c 'import json, sys
top = json.load(open(sys.argv[1]))
print([c[sys.argv[3]] for c in top["checks"] if c["id"] == sys.argv[2]][0])' "$tmp/list" "$1" "$2"
}

doctor 0 doctor alice@n1
finds ok connection "by mrc's own ssh, in [0-9]+ ms; the agent was sent, [0-9]+ bytes"
# What the one before has started may still be ending when this one looks.
nothing_left() { doctor 0 doctor alice@n1; grep -q 'ok  *processes left  *none' "$tmp/list"; }
wait_for 30 nothing_left
sed 's/^/# /' "$tmp/list"
finds ok connection "by mrc's own ssh, in [0-9]+ ms; the agent was there"
finds ok "round trip" '[0-9.]+ ms, the best of 3'
finds ok channels 'at least 12 at a time on one connection' # as the lab's sshd lets us
finds ok clock '-?[0-9]+ ms from ours'
finds ok agent 'version [^ ]+ for [^ ]+, in /home/alice/.cache/mrc '
finds ok kernel "Linux $(uname -r) "
finds ok "cache directory" '/home/alice/.cache/mrc: [0-9]+ MB are free'
finds ok "cached contents" '/home/alice/.cache/mrc/chunks: there is no cache'
finds ok "user namespaces" 'can be made by this user'
finds ok FUSE '/dev/fuse works, and can be mounted'
finds ok "view of files" 'can be built in a user namespace, which a mount was tried in'
finds ok "processes left" 'none of [0-9]+ of this user, but for 0 agents of running jobs'
finds ok "mounts left" 'none outside'
finds ok "files left" 'nothing but the cache, and 0 things that running jobs use'
finds ok "kernel here" "Linux $(uname -r)"
finds ok "leases here" "granted on the file system of $home"
finds ok "openat2 here" names
same "the last line" "mrc works on alice@n1" "$(tail -1 "$tmp/list")"

doctor 0 doctor --json alice@n1
same "a state in the JSON" ok "$(asked view state)"
same "JSON" "1 alice@n1 True 23" "$(python3 -c 'import json, sys
t = json.load(open(sys.argv[1])); print(t["version"], t["host"], t["works"], len({c["id"] for c in t["checks"]}))' "$tmp/list")"

# A job that runs is nothing left, and one that was killed leaves nothing.
# shellcheck disable=SC2016
here sh -c 'echo $$ > pid; exec mrc -q -F "$0" alice@n1 sh -c "touch runs; exec sleep 300"' "$conf" 2> /dev/null &
wait_for 60 test -e "$dir/runs"
doctor 0 doctor alice@n1
finds ok "processes left" 'none of [0-9]+ of this user, but for 1 agents of running jobs'
kill -KILL "$(cat "$dir/pid")" || fail "kill mrc"
clean() { m doctor alice@n1 > "$tmp/list"; grep -q 'but for 0 agents' "$tmp/list" && grep -q 'cache, and 0 things' "$tmp/list"; }
wait_for 60 clean
finds ok "processes left" 'none of [0-9]+ of this user, but for 0 agents of running jobs and kept connections ok '
finds ok "files left" 'nothing but the cache, and 0 things'

# An agent whose connection was cut, not ended, waits for its head, and is nothing left; neither is one that the head came back to.
# shellcheck disable=SC2016
here sh -c 'echo $$ > pid; exec mrc -q -F "$0" alice@n1 sh -c "touch away; until [ -e over ]; do sleep 0.2; done"' "$conf" 2> "$tmp/cut.err" &
cut=$!
wait_for 60 test -e "$dir/away"
head=$(cat "$dir/pid")
kill -STOP "$head"
# shellcheck disable=SC2016
node sh -c 'kill -9 $(pgrep -f "^sshd: alice@notty")' || fail "cut the connection"
says() { doctor 0 doctor alice@n1; tr '\n' ' ' < "$tmp/list" | sed 's/  */ /g' | grep -Eq "ok processes left none of [0-9]+ of this user, but for $1"; }
wait_for 60 says '0 agents of running jobs and kept connections; 1 that wait for their head to come back, the first is [0-9]+ '
kill -CONT "$head"
# The job's agent, and the one that the new connection has started.
wait_for 60 says '2 agents of running jobs and kept connections ok '
touch "$dir/over"
wait $cut || fail "the job that was cut off: status $?, $(cat "$tmp/cut.err")"
wait_for 60 says '0 agents of running jobs and kept connections ok '

# What is left is told, with how to get rid of it; mrc works nevertheless.
node setpriv --reuid alice --regid alice --clear-groups sh -c 'cd ~alice/.cache/mrc; touch junk
    mkfifo /tmp/left; (exec 3<> /tmp/left; setsid ./agent-* < /tmp/left > /dev/null 2>&1 & echo $! > /tmp/left.pid)' || fail "leave an agent"
left=$(node cat /tmp/left.pid)
doctor 0 doctor alice@n1
finds note "processes left" "1 agents whose connection has gone, 0 other processes .* the first is $left what helps: if it .*: kill $left "
finds note "files left" '0 things .*, 1 in the cache directory .*; the first is junk what helps: remove it'
node kill "$left"
node rm /home/alice/.cache/mrc/junk
node setpriv --reuid alice --regid alice --clear-groups sh -c 'mkdir -p ~alice/.cache/mrc/views/layer-7-left' || fail "leave a layer"
doctor 0 doctor alice@n1
finds note "files left" '1 things that views had made and could not be removed, 0 in the cache .*; the first is views/layer-7-left '
node rmdir /home/alice/.cache/mrc/views/layer-7-left
alice=$(node id -u alice)
node sh -c "mkdir -p -m 700 /var/tmp/mrc-$alice; touch /var/tmp/mrc-$alice/agent-x; chown -R alice: /var/tmp/mrc-$alice"
doctor 0 doctor alice@n1
finds note "files left" "nothing but the cache, and an agent in /var/tmp/mrc-$alice what helps: remove it"
node rm -r "/var/tmp/mrc-$alice"

# A cache of contents that others may change, and too few channels.
node chmod 777 /home/alice/.cache/mrc/chunks
doctor 0 doctor alice@n1
finds note "cached contents" "the cache of contents can't be used: .* what helps: make it this user's alone"
node chmod 700 /home/alice/.cache/mrc/chunks

# shellcheck disable=SC2016
node sh -c 'sed -i "s/^MaxSessions .*/MaxSessions 2/" /etc/ssh/sshd_config; kill -HUP "$(cat /run/sshd.pid)"' || fail "MaxSessions"
few() { m doctor alice@n1 > "$tmp/list" 2> /dev/null; grep -q '2 at a time' "$tmp/list"; }
wait_for 60 few
finds note channels "2 at a time on one connection: .* what helps: MaxSessions 10 in the target's sshd_config"

# Without /dev/fuse.
node sh -c ': > /tmp/nofuse; mount --bind /tmp/nofuse /dev/fuse; chmod 000 /tmp/nofuse' || fail "hide /dev/fuse"
doctor 1 doctor alice@n1
finds FAILED FUSE '.*/dev/fuse.* as root, '
finds FAILED "view of files" ".*"
same "the last line" "mrc does not work on alice@n1" "$(tail -1 "$tmp/list")"
doctor 1 doctor --json alice@n1
same "a state in the JSON" failed "$(asked fuse state)"
node umount /dev/fuse

doctor 1 doctor alice@nowhere.invalid
finds FAILED connection "it failed; standard error says why what helps: mrc -v"
finds ok "kernel here" Linux
doctor 1 doctor --json alice@nowhere.invalid
same "a state in the JSON" failed "$(asked connection state)"

# Not by ssh.
doctor 0 doctor local:
finds ok connection "by a shell on this computer"
finds unknown channels "this way to connect has one"
same "mrc doctor without a host" 255 "$(status m doctor 2> /dev/null)"
