#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-neighbours.sh: what another user of the target can do to a job there: see that it runs, and nothing else.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
limit=60
lab_up 2
echo "only mine" >"$home/proj/f"
chmod 644 "$home/proj/f"
chmod 755 "$home" "$home/proj" # what keeps bob out must not be the modes

head -c 1000000 /dev/urandom >"$home/proj/big"
chown -R "$user:" "$home/proj"
# shellcheck disable=SC2016
here sh -c 'echo $$ >pid; exec mrc -q -F "$0" --nest n2 alice@n1 sh -c "cat big >/dev/null; echo up; exec sleep 4242"' "$conf" >"$tmp/o" 2>"$tmp/e" & job=$!
wait_for 30 grep -q up "$tmp/o"
bob() { "$lab" --name "$name" run -u bob n1 -- sh -c "$1" 2>&1; }
alice() { "$lab" --name "$name" run -u alice n1 -- sh -c "$1" 2>&1; }
pid=$(alice "pgrep -u alice -x sleep" | head -1)
[ -n "$pid" ] || fail "no job to look at"
agent=$(alice "pgrep -u alice -f mrc-agent" | head -1)

denied() # denied WHAT COMMAND...: bob's command fails and shows nothing of ours
{
    local out rc=0
    out=$(bob "$2") || rc=$?
    [ $rc != 0 ] || fail "$1: bob could ($out)"
    case $out in *"only mine"*) fail "$1: bob read it" ;; esac
}
denied "the job's root directory" "ls /proc/$pid/root/ && ls /proc/$pid/root/$home"
denied "its working directory" "cat /proc/$pid/cwd/f"
denied "its environment" "cat /proc/$pid/environ"
denied "its memory" "head -c 1 /proc/$pid/mem"
denied "its descriptors" "ls /proc/$pid/fd/"
denied "its namespaces" "nsenter -t $pid -U -m true"
denied "a signal" "kill $pid"
denied "a signal to the agent" "kill $agent"
denied "the agent's descriptors" "ls /proc/$agent/fd/"
denied "the head's files at their own paths" "cat $home/proj/f"
denied "what is kept of contents" "ls ~alice/.cache/mrc/chunks"
# The abstract socket by which a job asks for jobs can be seen in /proc/net/unix, and refuses him.
socket=$(bob "grep -o 'mrc-nest-[0-9a-f]*' /proc/net/unix" | head -1)
[ -n "$socket" ] || fail "there is no socket to try"
out=$(bob "python3 -c \"
import socket
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
s.connect('\\0$socket')
s.sendall(b'hello')
print(len(s.recv(100)))
\"") || true
case $out in 0 | *ConnectionReset* | *BrokenPipe*) ;; *) fail "the socket for jobs of the job: $out" ;; esac
# Whoever makes files in /tmp where ours may come must not lead us anywhere.
bob "mkdir -p /tmp/mrc-1001 /tmp/mrc; ln -sf /etc/passwd /tmp/mrc-1001/agent" >/dev/null
same "a second job beside" "only mine" "$(job cat f)"
# What a head may show: no set-user-ID bit and no device of its has an effect there.
same "mounts of the head's files" "0 of 1" "$(job sh -c 'a=$(grep -c " fuse.mrcfs " /proc/self/mounts); b=$(grep " fuse.mrcfs " /proc/self/mounts | grep -c nosuid,nodev); echo $((a - b)) of $a')"
kill "$(cat "$home/proj/pid")"
wait $job
left() { alice "pgrep -u alice -x sleep"; }
is_over() { ! left >/dev/null; }
wait_for 10 is_over
bob "test -d /tmp/mrc-1001" || fail "what bob had was removed"
