#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# home.sh: unmodified programs, root's and an ordinary user's, that are away and do what can be done at home only: they come home for
# it, one by one or as a family, print and write what they do natively, and say why they came; and they may leave again when that is over.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
requires /usr/bin/python3 git make sort
cluster_up
user=$(test_user)
py=/usr/bin/python3
mkdir "$tmp/u" && chown "$user:" "$tmp/u" && cd "$tmp/u" || exit 99

# as WHO: root or user; sets "prefix", with which a command is still one process
as()
{
    who=$1 prefix=()
    [ "$1" = root ] || prefix=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups --inh-caps=-all)
}
waits() { [ "$(cut -d' ' -f1 "/proc/$pid/syscall" 2>/dev/null)" = 0 ]; }

# send COMMAND...: it runs as a job, and is at n1; it waits for a line, which is given to it by let_go
send()
{
    rm -f "$tmp/go"
    mkfifo -m 666 "$tmp/go"
    "${prefix[@]}" mosrun "$@" <"$tmp/go" >"$tmp/out" 2>"$tmp/err" & pid=$!
    exec 8>"$tmp/go"
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 10 waits
    "${prefix[@]}" migrate $pid n1 || fail "migrate $*"
    wait_for 10 is_at $pid n1
}
let_go() { echo "$input" >&8; exec 8>&-; }
why() { "${prefix[@]}" mosps -aw | awk -v pid="$1" '$1 == pid' | grep -o '(.*)'; }
is_why() { case $(why "$pid") in *"$1"*) ;; *) false ;; esac; }
ends()
{
    local got=0
    wait "$pid" || got=$?
    same "status of $what as $who ($(cat "$tmp/err"))" "$native" $got
    wait_for 5 cmp -s "$tmp/native" "$tmp/out" # a child in the background may write later
    cmp "$tmp/native.err" "$tmp/err" || fail "errors of $what as $who"
    wait_for 10 none_inside $pid
}
native() # COMMAND...
{
    what=$* native=0
    { echo "$input" | "${prefix[@]}" "$@" 2>"$tmp/native.err"; echo $? >"$tmp/status"; } | cat >"$tmp/native"
    native=$(cat "$tmp/status")
}
# like_native REASON COMMAND...: comes home because of that; "": because of nothing, or its children do
like_native()
{
    local reason=$1
    shift
    native "$@"
    send "$@"
    let_go
    [ -z "$reason" ] || wait_for 10 is_why "$reason"
    ends
    echo "# $who: $what"
}
input=go

cat >threads.py <<'P'
import sys, time
sys.stdin.readline()
import threading
found = []
def work(n):
    time.sleep(0.3)
    found.append(sum(i * i for i in range(n)))
threads = [threading.Thread(target=work, args=(30000 * k,)) for k in range(1, 5)]
for t in threads: t.start()
for t in threads: t.join()
print(sorted(found))
time.sleep(0.7)
raise SystemExit(3)
P
cat >pool.py <<'P'
import sys
sys.stdin.readline()
import multiprocessing, os
def f(x): return x * x
if __name__ == "__main__":
    with multiprocessing.Pool(3) as p:
        print(p.map(f, range(10)))
    print([l.split()[1] for l in open('/proc/self/status') if l.startswith('TracerPid')])
P
cat >makefile <<'M'
all: one two three
	@cat one two three; $(PY) -c 'import threading; t = threading.Thread(target=print, args=("thread",)); t.start(); t.join()'
one two three: %:
	@echo "made $@" >$@
M
for who in root user; do
    as $who
    like_native "starts threads" "$py" threads.py
    like_native "" "$py" pool.py
done
for who in root user; do
    as $who
    # shellcheck disable=SC2016
    like_native "" bash -c 'read -r _; rm -f one two three; make -s -j2 PY="$0"; echo $?; sort --parallel=2 -S 1M <(seq 200000) | tail -n 2; (sleep 0.3; echo late) & ' "$py"
done
