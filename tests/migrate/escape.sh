#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# escape.sh: a guest that is hostile tries each way out of its sandbox that we know of (escape.c, an attempt a line); what it gets is
# what it would get at home, and its host is untouched. Then it eats memory, and makes processes, on a host that limits guests.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
requires python3
cluster_up
user=$(test_user)
as_u=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups --inh-caps=-all)
escape=$top_builddir/tests/migrate/escape
mkdir "$tmp/u" && chown "$user:" "$tmp/u" && cd "$tmp/u" || exit 99
mkfifo -m 666 "$tmp/go"
why() { mosps -aw | awk -v pid="$1" '$1 == pid' | grep -o '(.*)'; }
is_why() { case $(why "$pid") in *"$1"*) ;; *) false ;; esac; }
waits() { [ "$(cut -d' ' -f1 "/proc/$pid/syscall" 2>/dev/null)" = 0 ]; }

# start FILE ARGUMENT...: it runs, and waits for a line; its output goes to FILE
start()
{
    local out=$1
    shift
    "${as_u[@]}" mosrun "$escape" "$@" <"$tmp/go" >"$tmp/$out" 2>"$tmp/err" & pid=$!
    exec 8>"$tmp/go"
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 10 waits
}
let_go() { echo >&8; }
ends() { local got=0; wait "$pid" || got=$?; exec 8>&-; same "$1 ($(cat "$tmp/err"))" "$2" $got; }

echo "# the host has what can be found and changed"
cat >"$tmp/host.py" <<'P'
import os, socket, sys, time
open("/tmp/only-on-the-host", "w").write("untouched\n")
os.chmod("/tmp/only-on-the-host", 0o666)
unix = socket.socket(socket.AF_UNIX); unix.bind("\0only-on-the-host"); unix.listen()
tcp = socket.socket(); tcp.bind(("127.0.0.1", 7799)); tcp.listen()
os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)  # as bodies are
for s in unix, tcp: s.setblocking(False)
print(os.getpid(), flush=True)
sys.stdin.readline()
came = 0
for s in unix, tcp:
    try: s.accept(); came += 1
    except BlockingIOError: pass
print("connections:", came)
print("priority:", os.getpriority(os.PRIO_PROCESS, 0), "name:", socket.gethostname())
P
mkfifo "$tmp/host.in"
on_node n1 sh -c 'cat >/root/host.py' <"$tmp/host.py" || fail "host.py"
on_node n1 python3 /root/host.py <"$tmp/host.in" >"$tmp/host.out" 2>"$tmp/host.err" &
exec 7>"$tmp/host.in"
is_up() { [ -s "$tmp/host.out" ]; }
wait_for 10 is_up
read -r victim <"$tmp/host.out"
on_node n1 perl -e 'defined shmget(0x65736370, 4096, 01666) or die "shmget: $!"' || fail "shared memory"

echo "# it tries"
# Numbers of descriptors, as they are everywhere.
for fd in /proc/self/fd/*; do
    fd=${fd##*/}
    case $fd in 0 | 1 | 2 | 7 | 255) ;; *) eval "exec $fd>&-" ;; esac
done
start native "$victim" 7>&-
let_go
ends "at home" 0
start away "$victim" 7>&-
migrate $pid n1 || fail "migrate"
wait_for 10 is_at $pid n1
supervisor=$(inside $pid "supervisor")
same "limit of new user namespaces in a guest's" 0 "$(nsenter --preserve-credentials -U -t "$supervisor" cat /proc/sys/user/max_user_namespaces)"
let_go
ends "away" 0
[ "$(wc -l <"$tmp/native")" -ge 60 ] || fail "too few attempts: $(cat "$tmp/native")"
diff "$tmp/native" "$tmp/away" || fail "a guest gets something else than at home"
sed 's/^/#   /' "$tmp/away"

echo "# its host is untouched"
same "the file" untouched "$(on_node n1 cat /tmp/only-on-the-host)"
! [ -e /tmp/only-on-the-host ] || fail "home and host share files: nothing was tested"
same "attached to its shared memory" 0 "$(on_node n1 ipcs -m | awk '$1 == "0x65736370" { print $6 }')"
name_before=$(on_node n1 uname -n)
echo >&7
exec 7>&-
is_answered() { grep -q priority "$tmp/host.out"; }
wait_for 10 is_answered || fail "the host's process was killed: $(cat "$tmp/host.err")"
same "connections" "connections: 0" "$(sed -n 2p "$tmp/host.out")"
same "its priority and name" "priority: 0 name: $name_before" "$(sed -n 3p "$tmp/host.out")"
grep -q only-on-the-host "$tmp/log.n1" && fail "the host's log: $(cat "$tmp/log.n1")"
wait_for 10 none_inside $pid

echo "# bombs, where a guest may have 64 MiB and 4 processes"
kill_daemon n1
daemon n1 --guest-memory 64 --guest-processes 4
start out 1 memory
migrate $pid n1 || fail "migrate"
wait_for 10 is_at $pid n1
let_go
ends "memory" 0
got=$(cut -d' ' -f1 "$tmp/out")
if ! [ "$got" -lt 16 ] || ! [ "$got" -gt 8 ]; then fail "a guest got $got times 4 MiB"; fi
start out 1 processes
migrate $pid n1 || fail "migrate"
wait_for 10 is_at $pid n1
let_go
wait_for 10 is_why "makes more processes than a guest may have there"
count() { mosps -a | awk -v where="$1" '$2 == where && $8 == "escape"' | wc -l; }
same "processes at n1" 3 "$(count n1)"
let_go
ends "processes" 0
same "all of them were made" "12 of 12" "$(cat "$tmp/out")"
# One that has too much already stays where it is.
cat >"$tmp/big.py" <<'P'
import sys
big = bytearray(100 << 20)
print("has it", file=sys.stderr, flush=True)
sys.stdin.readline()
print(len(big))
P
"${as_u[@]}" mosrun python3 "$tmp/big.py" <"$tmp/go" >"$tmp/out" 2>"$tmp/err" & pid=$!
exec 8>"$tmp/go"
at_exit "kill -9 $pid 2>/dev/null"
wait_for 10 grep -q "has it" "$tmp/err"
migrate $pid n1
for _ in $(seq 100); do is_why "guests here may have 64" && break; sleep 0.1; done
is_why "guests here may have 64" || fail "one that has too much: $(mosps -aw; tail -n 3 "$log" "$tmp/log.n1")"
same "place" home "$(place $pid)"
let_go
ends "of one that stayed" 0
same "its output" 104857600 "$(cat "$tmp/out")"
