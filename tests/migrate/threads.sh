#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# threads.sh: programs of several threads, root's and an ordinary user's, are moved between three nodes every 30 to 80 ms while they run: what
# they print and how they end is as natively. Those of ours (threads.c, crew.c) have locks and waits of every kind, reads by a shared offset, signals
# for one thread, forks, and ends of the process by one that is not the first. Too few moves are a failure.
# Usage: threads.sh [SECONDS [kill]]: then again and again, for so long. kill: once while each runs one of the processes that serve it, anywhere, is
# killed: then it may also end with a status that says so, what it had printed being right.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
requires cc sort xz zstd /usr/bin/python3
cluster_up
user=$(test_user)
close_inherited # of whoever runs the tests
seconds=${1:-0} is_killing=${2:-} limit_s=120 job=100
mkdir "$tmp/u" && chown "$user:" "$tmp/u" && cd "$tmp/u" || exit 99
seq 1 1000000 >in.big
od -An -tx4 -w4 -v in.big | head -n 500000 >in.lines
cat >in.py <<'P'
import hashlib, queue, threading
q, done, lock = queue.Queue(), {}, threading.Lock()
def work():
    while (n := q.get()) is not None:
        h = hashlib.sha256(str(sum(i * i % 7 for i in range(20000 + n))).encode()).hexdigest()
        with lock:
            done[n] = h
threads = [threading.Thread(target=work) for n in range(4)]
for t in threads: t.start()
for n in range(600): q.put(n)
for t in threads: q.put(None)
for t in threads: t.join()
print(len(done), hashlib.sha256(repr(sorted(done.items())).encode()).hexdigest())
raise SystemExit(4)
P
cat >in.omp.c <<'P'
#include <stdio.h>
static double a[1 << 18];
int main(void)
{
    for (int turn = 0; turn < 900; turn++) {
        double most = 0;
#pragma omp parallel for
        for (int i = 0; i < 1 << 18; i++)
            a[i] = a[i] * 0.5 + (double)((i ^ turn) % 1000);
#pragma omp parallel for reduction(max : most)
        for (int i = 0; i < 1 << 18; i++)
            if (a[i] > most)
                most = a[i];
        if (turn % 100 == 99)
            printf("%d %.9f\n", turn, most);
        fflush(stdout);
    }
    return 8;
}
P
cc -O1 -fopenmp -o in.omp in.omp.c || fail "an OpenMP program"
cat >in.go <<'P'
package main
import "fmt"
func gen(c chan<- int) { for i := 2; ; i++ { c <- i } }
func filter(in <-chan int, out chan<- int, p int) { for { if i := <-in; i%p != 0 { out <- i } } }
func main() { c := make(chan int); go gen(c); for i := 0; i < 1200; i++ { p := <-c; if i%200 == 0 { fmt.Println(p) }; n := make(chan int); go filter(c, n, p); c = n } }
P
! command -v go >/dev/null || HOME=$PWD GO111MODULE=off go build -o in.gobin in.go || fail "a Go program"
cat >in.js <<'P'
let x = 1n
for (let i = 0; i < 2500000; i++) x = (x * 6364136223846793005n + 1442695040888963407n) & ((1n << 64n) - 1n)
setTimeout(() => { console.log(x.toString()); process.exitCode = 6 }, 200)
P
chmod -R a+rX .

as()
{
    prefix=()
    [ "$1" = root ] || prefix=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups --inh-caps=-all)
}

# One of those that serve job $pid is killed while it is moved.
kill_one()
{
    local all victim
    "${prefix[@]}" timeout 20 migrate -j$job "$1" >/dev/null 2>&1 & local mover=$!
    sleep "0.0$((RANDOM % 10))"
    mapfile -t all < <(inside $pid .)
    if [ ${#all[@]} -gt 0 ]; then
        victim=${all[$((RANDOM % ${#all[@]}))]}
        killed=$(ps -o args= -p "$victim")
        kill -9 "$victim" 2>/dev/null
    fi
    wait $mover
}

# May it have ended so, as one of ours was killed? What it had printed is right; it was killed, or words say why it is lost.
is_allowed()
{
    [ -n "$killed" ] && [ $got -ge 128 ] && cmp -s -n "$(stat -c %s "$tmp/out")" "$tmp/out" "$native.out"
}

# moved WHO COMMAND...
moved()
{
    local who=$1 got=0 killed='' turn=0 kill_at=-1 at=home to seen moves end=$(($(date +%s) + limit_s))
    shift
    as "$who"
    local what=$who.${*//[^a-z0-9]/.}
    native=$tmp/${what:0:200}
    if [ ! -e "$native.status" ]; then
        local status=0
        "${prefix[@]}" "$@" >"$native.out" 2>"$native.err" </dev/null || status=$?
        echo $status >"$native.status"
    fi
    job=$((job + 1)) seen=$(wc -l <"$log")
    [ -z "$is_killing" ] || kill_at=$((RANDOM % 12 + 1))
    "${prefix[@]}" mosrun -J$job "$@" >"$tmp/out" 2>"$tmp/err" </dev/null & pid=$!
    at_exit "kill -9 $pid 2>/dev/null"
    while ! is_gone $pid; do
        case $at$((RANDOM % 2)) in home0 | n20) to=n1 ;; n10 | n21) to=home ;; *) to=n2 ;; esac
        if [ $((turn += 1)) = $kill_at ]; then
            kill_one $to
        else
            "${prefix[@]}" migrate -j$job $to >/dev/null 2>"$tmp/refused" && at=$to
        fi
        sleep "0.0$((RANDOM % 6 + 3))"
        [ "$(date +%s)" -lt $end ] || { mosps -aw; tail -n 5 "$log"; fail "$who: $* does not end${killed:+; killed: $killed}"; }
    done
    wait $pid 2>/dev/null || got=$?
    moves=$(tail -n +$((seen + 1)) "$log" | grep -c " is at \| came home because")
    total=$((total + moves)) jobs=$((jobs + 1))
    echo "# $who: $*: $moves moves, status $got${killed:+; killed: $killed}"
    if ! is_allowed; then
        same "status of $* ($(cat "$tmp/err"); $(tail -n 3 "$log"); killed: $killed)" "$(cat "$native.status")" $got
        cmp "$native.out" "$tmp/out" || fail "output of $*"
        cmp "$native.err" "$tmp/err" || fail "errors of $*"
    fi
    wait_for 20 none_inside $pid
}
threads=$top_builddir/tests/migrate/threads crew=$top_builddir/tests/migrate/crew
cp "$crew" in.crew # its file is read while it is away
begun=$(date +%s) total=0 jobs=0
while :; do
    for who in root user; do
        moved $who "$threads" 150 any 4
        moved $who ./in.crew exec in.big 500
        moved $who /usr/bin/python3 in.py
        # Once each is enough when it is not to go on for long.
        if [ $who = root ] || [ "$seconds" != 0 ]; then
            for how in exit group signal; do moved $who ./in.crew $how in.big 500; done
            [ ! -e in.gobin ] || moved $who ./in.gobin
            ! command -v node >/dev/null || moved $who node in.js
        fi
        if [ $who = user ] || [ "$seconds" != 0 ]; then
            moved $who sort --parallel=4 -S 20M in.lines
            moved $who xz -2 -T4 --block-size=1MiB -kc in.big
            moved $who zstd -T2 -15 -qc in.big
            moved $who env OMP_NUM_THREADS=4 OMP_WAIT_POLICY=passive ./in.omp
        fi
        [ "$(date +%s)" -lt $((begun + seconds)) ] || [ "$seconds" = 0 ] || break 2
    done
    [ "$(date +%s)" -lt $((begun + seconds)) ] || break
done
echo "# $jobs jobs, $total moves in $(($(date +%s) - begun)) s"
[ $total -ge $((jobs * 3 / 2)) ] || fail "only $total moves in all"

echo "# on their signal stacks"
: >stacks
mosrun -rn1 "$top_builddir/tests/migrate/onstack" >stacks & pid=$!
at_exit "kill -9 $pid 2>/dev/null"
are_in() { [ "$(grep -c in stacks)" = 2 ]; }
wait_for 10 are_in
for to in n1 home n2 home n1; do
    migrate $pid $to
    wait_for 10 is_at $pid $to
    [ $to != n2 ] || touch go
done
touch stop
rc=0
wait $pid || rc=$?
same "status of what was on its signal stacks ($(tail -n 1 stacks))" 4 $rc
