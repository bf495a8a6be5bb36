#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One truth: jobs on two targets and programs here read and change the same files at the same time, on links of 20 ms.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
requires python3 git make gcc
unset MAKEFLAGS MFLAGS MAKELEVEL # of the make that runs the tests
lab_up 2
limit=120
for n in n1 n2; do "$lab" --name "$name" link head $n --delay 10ms; done

# ready NAME: the job that makes this file runs
ready() { wait_for 20 test -e "$home/proj/$1"; }

echo "# an editor saves while jobs read: each read is one version as a whole, and the saved one once the save has returned"
# reader.py NAME: reads until the file "stop" is there. Prints for each read: when it began (ns), which version.
cat >"$home/proj/reader.py" <<'P'
import os, sys, time
open("ready." + sys.argv[1], "w").close()
while not os.path.exists("stop"):
    for name in "renamed", "inplace":
        began = time.time_ns()
        with open(name, "rb", 0) as f:
            lines = f.read().split(b"\n")
        if len(set(lines[:-1])) != 1 or len(lines) != 129:
            sys.exit(f"{name}: torn: {len(lines)} lines, {set(lines[:-1])}")
        print(began, name, int(lines[0]))
P
# saver.py: saves 40 versions, in two ways. Prints when each save had returned.
cat >"$home/proj/saver.py" <<'P'
import os, sys, time
def text(n): return (b"%030d\n" % n) * 128
def renamed(n):
    with open("renamed.new", "wb") as f:
        f.write(text(n)); f.flush(); os.fsync(f.fileno())
    os.rename("renamed.new", "renamed")
def inplace(n):
    fd = os.open("inplace", os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(fd, text(n), 0)
    os.close(fd)
for n in range(int(sys.argv[1]), int(sys.argv[2])):
    for save in renamed, inplace:
        save(n)
        print(time.time_ns(), save.__name__, n, flush=True)
    time.sleep(0.1)
P
# Versions may not go back, and must be those saved at least GRACE before. A rename here makes nobody wait: what is told of it
# takes half a round trip, 10 ms, and the processes' turns.
cat >"$tmp/judge.py" <<'P'
import bisect, sys
grace = {"renamed": 1_000_000_000, "inplace": 0}
saves = {"renamed": [], "inplace": []}
for line in open(sys.argv[1]):
    when, name, n = line.split()
    saves[name].append((int(when), int(n)))
reads = 0
last = {}
for line in open(sys.argv[2]):
    began, name, n = line.split()
    began, n = int(began), int(n)
    done = bisect.bisect_right(saves[name], (began - grace[name], 1 << 60))
    least = saves[name][done - 1][1] if done else 0
    if n < least:
        sys.exit(f"{name}: read version {n} {began - saves[name][done - 1][0]} ns after {least} was saved")
    if n < last.get(name, 0):
        sys.exit(f"{name}: version {n} after {last[name]}")
    last[name] = n
    reads += 1
if len(set(last.values())) != 1 or reads < 20:
    sys.exit(f"{reads} reads, the last {last}")
print(reads, "reads")
P
here python3 saver.py 0 1 >"$tmp/saves" || fail "first version"
for n in n1 n2; do
    m alice@$n python3 reader.py $n >"$tmp/reads.$n" &
    eval "reader_$n=$!"
done
ready ready.n1
ready ready.n2
here python3 saver.py 1 41 >>"$tmp/saves" || fail "saver"
sleep 2
touch "$home/proj/stop"
for n in n1 n2; do
    eval "wait \$reader_$n" || fail "reader on $n"
    python3 "$tmp/judge.py" "$tmp/saves" "$tmp/reads.$n" || fail "reads on $n"
done
here sh -c 'rm -f ready.* stop'

echo "# a job writes; what it has said to be written is there for everybody"
mkfifo "$tmp/ask" "$tmp/said.fifo"
m alice@n1 sh -c 'i=0; while [ $i -lt 30 ]; do i=$((i + 1)); echo $i > counter; echo $i; read -r x || exit 1; done' \
    <"$tmp/ask" >"$tmp/said.fifo" &
writer=$!
exec 7>"$tmp/ask" 8<"$tmp/said.fifo"
for i in $(seq 30); do
    read -r -t 30 said <&8 || fail "the writer says no $i"
    same "counter, here" "$said" "$(cat "$home/proj/counter")"
    [ $i != 15 ] || same "counter, n2" "$said" "$(m alice@n2 cat counter)"
    echo "$i" >&7
done
exec 7>&- 8<&-
wait $writer || fail "writer"

echo "# sources change here while the build runs there"
mkdir "$home/proj/build"
cat >"$home/proj/build/Makefile" <<'M'
OBJS = $(patsubst %.c,%.o,$(wildcard *.c))
prog: $(OBJS)
	$(CC) -o $@ $^
%.o: %.c version.h
	$(CC) -c -o $@ $<
M
echo '#define VERSION 0' >"$home/proj/build/version.h"
cat >"$home/proj/build/main.c" <<'C'
#include <stdio.h>
#include "version.h"
int part1(void), part2(void), part3(void), part4(void);
int main(void) { return printf("%d %d %d %d %d\n", VERSION, part1(), part2(), part3(), part4()) < 0; }
C
for i in 1 2 3 4; do
    printf '#include "version.h"\nint part%d(void) { return VERSION + %d; }\n' $i $i >"$home/proj/build/part$i.c"
done
chown -R "$user:" "$home/proj/build"
dir=$home/proj/build
for round in 1 2; do
    m alice@n1 make -j2 >"$tmp/make.out" 2>&1 &
    make=$!
    sleep 0.6
    save="echo '#define VERSION $round' > version.new && mv version.new version.h"
    here sh -c "$save"
    wait $make || fail "make of round $round: $(tail -3 "$tmp/make.out")"
    # What was compiled from the old one is newer than the first save: make can't know. After this one it does.
    here sh -c "$save"
    m alice@n$((round % 2 + 1)) make >"$tmp/make.out" 2>&1 || fail "make again of round $round: $(tail -3 "$tmp/make.out")"
    same "program of round $round, here" "$round $((round + 1)) $((round + 2)) $((round + 3)) $((round + 4))" "$(here ./prog)"
    same "nothing left to make, here" "make: 'prog' is up to date." "$(here env LC_ALL=C make 2>&1)"
done
dir=$home/proj

echo "# git on both sides in turn"
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.org
here git init -q -b main repo || fail "git init"
dir=$home/proj/repo
for i in $(seq 3); do
    for who in "m alice@n1" here "m alice@n2"; do
        $who sh -c "echo $i >> f; git add -A && git commit -q -m $i && [ -z \"\$(git status --porcelain)\" ]" || fail "commit $i: $who"
    done
done
same "commits" 9 "$(m alice@n1 git rev-list --count HEAD)"
here git fsck --full --strict || fail "git fsck"
same "lines" 9 "$(wc -l <"$home/proj/repo/f")"
dir=$home/proj

echo "# one lock for all, of both kinds"
cat >"$home/proj/count.py" <<'P'
import fcntl, sys
for i in range(int(sys.argv[1])):
    for name, lock in ("flocked", fcntl.flock), ("locked", fcntl.lockf):
        with open(name, "r+") as f:
            lock(f, fcntl.LOCK_EX)
            n = int(f.read() or 0)
            f.seek(0)
            f.write(str(n + 1))
            f.flush()
            lock(f, fcntl.LOCK_UN)
P
echo 0 >"$home/proj/flocked"
echo 0 >"$home/proj/locked"
chown "$user:" "$home/proj/flocked" "$home/proj/locked"
m alice@n1 python3 count.py 30 & p1=$!
m alice@n2 python3 count.py 30 & p2=$!
here timeout $limit python3 count.py 30 & p3=$!
wait $p1 || fail "counting on n1"
wait $p2 || fail "counting on n2"
wait $p3 || fail "counting here"
same "flock" 90 "$(cat "$home/proj/flocked")"
same "fcntl" 90 "$(cat "$home/proj/locked")"

echo "# records appended by all"
# shellcheck disable=SC2016
append='i=0; while [ $i -lt 200 ]; do i=$((i + 1)); echo "$0 $i"; done >> records'
m alice@n1 sh -c "$append" n1 & p1=$!
m alice@n2 sh -c "$append" n2 & p2=$!
here sh -c "$append" here & p3=$!
wait $p1 && wait $p2 && wait $p3 || fail "appending"
for who in n1 n2 here; do
    same "records of $who" "$(seq 200)" "$(sed -n "s/^$who //p" "$home/proj/records")"
done
same "records" 600 "$(wc -l <"$home/proj/records")"

echo "# a file that is open stays what it was when another takes its name"
echo old >"$home/proj/open"
m alice@n1 sh -c 'exec 3<open; : > ready.n1; until [ -e go ]; do sleep 0.02; done; cat <&3; cat open' >"$tmp/out" & p1=$!
ready ready.n1
echo new >"$home/proj/open.new"
mv "$home/proj/open.new" "$home/proj/open"
m alice@n2 touch go || fail "touch on n2"
wait $p1 || fail "reader of an open file"
same "by descriptor, by name" "old new" "$(tr '\n' ' ' <"$tmp/out" | sed 's/ $//')"

echo "# one removes a tree, another lists it"
here sh -c 'mkdir tree; for i in $(seq 40); do mkdir tree/$i; touch tree/$i/a tree/$i/b tree/$i/c; done'
m alice@n1 sh -c ': > ready.list; until [ ! -e tree ]; do ls -lR tree; done > /dev/null 2>&1; [ ! -e tree ]' & p1=$!
ready ready.list
m alice@n2 rm -rf tree || fail "rm -rf"
wait $p1 || fail "lists"
here test ! -e tree || fail "the tree is still here"

echo "# the disk here is full when a job's writes arrive"
mkdir "$home/proj/full"
mount -t tmpfs -o size=4m none "$home/proj/full"
chown "$user:" "$home/proj/full"
if m alice@n1 sh -c 'head -c 16777216 /dev/zero > full/big' 2>"$tmp/err"; then
    fail "16 MiB into 4: no error"
fi
grep -q "No space left on device" "$tmp/err" || fail "disk full: $(cat "$tmp/err")"
echo "all passed"
