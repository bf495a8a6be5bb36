#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# home.sh: unmodified programs, root's and an ordinary user's, that are away and do what can be done at home only: they come home for
# it, one by one or as a family, print and write what they do natively, and say why they came; and they may leave again when that is over.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
requires /usr/bin/python3 git make sort zstd
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
let_go() { cat "$input" >&8; exec 8>&-; }
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
    { "${prefix[@]}" "$@" <"$input" 2>"$tmp/native.err"; echo $? >"$tmp/status"; } | cat >"$tmp/native"
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
echo go >go
printf 'go\ngo\n' >twice
input=go

cat >threads.py <<'P'
import sys, time
sys.stdin.readline()
import threading
found = []
def work(n):
    time.sleep(1.5)
    found.append(sum(i * i for i in range(n)))
threads = [threading.Thread(target=work, args=(30000 * k,)) for k in range(1, 5)]
for t in threads: t.start()
for t in threads: t.join()
print(sorted(found))
sys.stdin.readline()
raise SystemExit(3)
P
cat >shared.py <<'P'
import mmap, sys, time
sys.stdin.readline()
m = mmap.mmap(-1, 1 << 16)
m[:4] = b"1234"
time.sleep(1.5)
print(m[:4])
m.close()
sys.stdin.readline()
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
cat >large.py <<'P'
import os, sys, threading
big = os.urandom(1000) * 60000
sys.stdin.readline()
t = threading.Thread(target=lambda: print(hash(big) == hash(bytes(big)), flush=True))
t.start()
t.join()
raise SystemExit(7)
P
cat >work.sh <<'W'
read -r _
rm -rf one two three repo
make -s -j2 PY="$1"
git init -q repo && cd repo && git config gc.auto 0
for i in 1 2; do
    seq $((i * 9999)) >f$i
    git add .
    git -c user.name=n -c user.email=e -c commit.gpgsign=false commit -qm $i
done
git -c gc.threads=2 gc -q 2>&1
git fsck 2>/dev/null
git count-objects -v | grep -E "^(in-pack|packs|garbage)"
git log --format=%s
zstd -q -T2 -5 -c <../numbers | md5sum
(sleep 0.3; echo late) &
W
seq 300000 | sort -R --random-source=<(yes) >numbers
says() { grep -q -- "$1" "$tmp/said" || fail "should say '$1': $(cat "$tmp/said")"; }

for who in root user; do
    as $who
    like_native "" "$py" pool.py
    input=twice like_native "" "$py" threads.py
    like_native "" bash work.sh "$py"
    input=numbers like_native "" sort --parallel=2 -S 1M -n

    echo "# $who: why it came, and why it can't leave; and then it may"
    input=twice native "$py" shared.py
    send "$py" shared.py
    echo go >&8
    wait_for 10 is_why "came home because it shares memory that may be written"
    same "migrate what shares memory" 1 "$(status "${prefix[@]}" migrate $pid n1 2>"$tmp/said")"
    says "shares memory that it may write"
    same "to send it away automatically" 1 "$(status "$py" - "$MOSIX_RUN/j/$pid" <<'P' 2>"$tmp/said"
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"auto n1\n")
sys.exit(s.recv(500).decode())
P
)"
    says "came home because it shares memory that may be written, and is not sent away by itself for another [12] s"
    leaves() { "${prefix[@]}" migrate $pid n1 2>/dev/null; }
    wait_for 10 leaves
    wait_for 10 is_at $pid n1
    let_go
    ends

    echo "# $who: a family is called home, and leaves again"
    rm -f wait1 wait2
    mkfifo -m 666 wait1 wait2
    # shellcheck disable=SC2016
    family=(bash -c 'read -r _; for i in 1 2; do (read -r x <wait$i; echo "child $i: $x") & done; echo ready; wait; echo "all"; exit 9')
    native=9 what=family
    send "${family[@]}"
    let_go
    wait_for 10 grep -q ready "$tmp/out"
    children() { pgrep -P "$pid" | tr '\n' ' '; }
    two() { [ "$(children | wc -w)" = 2 ]; }
    wait_for 10 two
    for p in $(children); do
        same "place of a child" n1 "$(place "$p")"
    done
    one=$(children | cut -d' ' -f1) other=$(children | cut -d' ' -f2)
    "${prefix[@]}" migrate "$one" n2 || fail "a child moves by itself"
    wait_for 10 is_at "$one" n2
    same "place of who stays" "n1 n1" "$(place $pid) $(place "$other")"
    "${prefix[@]}" migrate $pid n2 || fail "a family moves on"
    for p in $pid $(children); do wait_for 10 is_at "$p" n2; done
    "${prefix[@]}" migrate $pid n1 || fail "now each is by itself"
    wait_for 10 is_at $pid n1
    same "place of children that are by themselves" "n2 n2" "$(place "$one") $(place "$other")"
    for p in $(children); do "${prefix[@]}" migrate "$p" home || fail "migrate $p home"; done
    "${prefix[@]}" migrate $pid home || fail "a family is called home"
    settled() { mosps -a | grep -q "^ *$1  *home  *settled"; }
    for p in $pid $(children); do wait_for 10 settled "$p"; done
    for p in $pid $(children); do
        same "tracer of $p" 0 "$(awk '$1 == "TracerPid:" { print $2 }' "/proc/$p/status")"
    done
    for p in $pid $(children); do
        "${prefix[@]}" migrate "$p" n1 || fail "migrate $p again"
        wait_for 10 is_at "$p" n1
    done
    echo a >wait1
    echo b >wait2
    printf 'ready\nchild 1: a\nchild 2: b\nall\n' >"$tmp/native"
    sorted() { sort "$tmp/out" | cmp -s - <(sort "$tmp/native"); }
    wait_for 10 sorted
    : >"$tmp/native.err"
    cp "$tmp/out" "$tmp/native"
    ends
done

echo "# who came home alone goes on when what is away is lost, and is told"
as root
cat >left.py <<'P'
import mmap, os, sys, time
sys.stdin.readline()
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    os.read(r, 1)
    os._exit(1)
m = mmap.mmap(-1, 1 << 16)
print("home", flush=True)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
time.sleep(0.5)
raise SystemExit(7)
P
for victim in supervisor guest "a connection"; do
    got=0
    send "$py" left.py
    let_go
    wait_for 10 grep -q home "$tmp/out"
    kill -9 "$(inside $pid "^mosixd: $victim" | tail -n 1)"
    wait "$pid" || got=$?
    same "status when $victim is killed ($(cat "$tmp/err"))" 7 $got
    same "what it saw" "home -9" "$(tr '\n' ' ' <"$tmp/out" | sed 's/ $//')"
    grep -q "^mosrun: process [0-9]* (python3) is lost: the connection for its calls was lost" "$tmp/err" || fail "words: $(cat "$tmp/err")"
    wait_for 10 none_inside $pid
done

echo "# kills and cuts on the way home"
native "$py" large.py
ran_on=0
for turn in 1 2 3 4 5 6; do
    got=0
    send "$py" large.py
    let_go
    sleep "0.0$((RANDOM % 10))"
    if [ $turn = 3 ]; then
        "$lab" --name $name link head n1 --cut 500ms
    else
        victim=$(inside $pid . | shuf -n 1)
        [ -z "$victim" ] || kill -9 "$victim" 2>/dev/null
    fi
    wait "$pid" || got=$?
    echo "# turn $turn: status $got: $(cat "$tmp/err")"
    case $got in
    7) cmp "$tmp/native" "$tmp/out" || fail "output of what went on"
        ran_on=$((ran_on + 1)) ;;
    137) ;;
    *) fail "status $got" ;;
    esac
    wait_for 10 none_inside $pid
    [ $turn != 3 ] || "$lab" --name $name link head n1 --clear
done
[ $ran_on -gt 0 ] || fail "nothing ran on"
