#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# away.sh: what a program's system calls do, and what its signals, is the same at home and away.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires root
unshare -pf --mount-proc true 2>/dev/null || skip "needs PID namespaces"
bin=$top_builddir/tests/migrate
close_inherited
exec </dev/null
cd "$tmp" || exit 99
runs() { grep -q "^away: runs" said; }

# send COMMAND...: it runs, and is away; $pid, $away. A line into the pipe "go" lets it go on.
send()
{
    rm -f go
    mkfifo go
    "$@" <go >out 2>&1 & pid=$!
    exec 8>go
    at_exit "kill -9 $pid 2>/dev/null"
    waits() { [ "$(cut -d' ' -f1 "/proc/$pid/syscall" 2>/dev/null)" = 0 ]; }
    wait_for 10 waits
    : >said
    # shellcheck disable=SC2086
    "$bin/away" "$pid" ${pauses-} 2>said 8>&- & away=$!
    at_exit "kill -9 $away 2>/dev/null"
    wait_for 10 runs
}
# ends STATUS: what is away ends so
ends()
{
    rc=0
    wait "$pid" || rc=$?
    same "status away ($(cat said))" "$1" $rc
    wait "$away"
    same "status of away ($(cat said))" 0 $?
}

# like_native COMMAND...   which reads a line, $input, when it is away
like_native()
{
    local native=0
    echo "${input-}" | "$@" >native 2>&1 || native=$?
    send "$@"
    echo "${input-}" >&8
    exec 8>&-
    ends $native
    diff native out >&2 || fail "calls do something else when they are made away"
}
echo "# probes"
like_native "$bin/probe"
! grep "came home" said >&2 || fail "it came home for something that is in no line"
echo "# each line of the table"
grep -q '^away: not made:$' said || fail "lines without a probe: $(grep "not made" said)"
sed -n 's/^\(CALL\|VARIANT\)([0-9]*, \([a-z0-9_]*\),.* \(SEEN\|HERE\)[,)].*/\2/p' "$top_srcdir/mosix-core/abi/calls.def" >seen
[ -s seen ] || fail "no lines that are made where the body is"
while read -r line; do
    case $line in
    rt_sigreturn) continue ;;    # each handler's end
    clone | clone3) line=fork ;; # as the library does it
    esac
    grep -qw "$line" "$top_srcdir"/tests/migrate/probe_*.c || fail "no probe has $line"
done <seen
echo "# answers that are kept are asked for once"
export AWAY_COUNTS=1
like_native "$bin/probe" home_kept_often
unset AWAY_COUNTS
sed -n 's/^KEPT(\([a-z_]*\),.*/\1/p' "$top_srcdir/mosix-core/abi/kept.def" | while read -r name; do
    grep -qE "(CALL\(|SYS_)${name}[,)]" "$top_srcdir/tests/migrate/probe_lines.c" || echo "$name"
done >missing
[ ! -s missing ] || fail "kept, but in no probe: $(cat missing)"
for name in getuid geteuid getgid getegid getsid getpgrp sched_get_priority_max; do
    made=$(sed -n "s/^away: made $name //p" said)
    [ "$made" = 1 ] || fail "$name was asked for $made times, not once: $(cat said)"
done
echo "# what is done at home only: the program comes home for it"
comes_home() # PROBE REASON
{
    like_native "$bin/probe" "home_$1"
    grep -q "came home because it $2" said || fail "home_$1 should come home because it $2: $(grep -v "not made" said)"
}
grep -h '^PROBE(home_' "$top_srcdir/tests/migrate/"probe_{home,threads}.c | sed 's/PROBE(home_\(.*\))/\1/' >probes
while read -r probe; do
    case $probe in 32_bit*)
        status=0
        echo go | "$bin/probe" "home_$probe" >/dev/null 2>&1 || status=$?
        # Some virtual computers know no int 0x80 in 64-bit programs.
        [ $status != 139 ] || { echo "# home_$probe: not tried, this computer ends who makes such a call"; continue; }
        ;;
    esac
    case $probe in
    first_thread_ends) why="ends its first thread before the others" ;;
    with_threads) why="shares memory that may be written" ;;
    child_with*) why="makes a child in a way" ;;
    shared_anonymous | shared_file) why="shares memory that may be written" ;;
    shared_memory) why="shares memory (shmget)" ;;
    32_bit*) why="makes 32-bit" ;;
    io_uring) why="uses io_uring" ;;
    own_maps) why="reads /proc/self/maps" ;;
    own_status) why="reads /proc/self/status" ;;
    large_arguments) why="makes a call with more than a megabyte" ;;
    own_filter) why="makes a kind of prctl" ;;
    tracing) why="traces processes" ;;
    timer_of*) why="makes a kind of timer_create" ;;
    personality) why="changes its personality" ;;
    *) why="makes system call 1000" ;;
    esac
    comes_home "$probe" "$why"
done <probes
echo "# no call of the table is known but what the kernel there does: it comes home for each, and leaves again"
again_and_again() # PROBE...
{
    echo go | "$bin/probe" "$@" >native 2>&1
    rm -f go
    mkfifo go
    "$bin/probe" -s "$@" <go >out 2>&1 & pid=$!
    exec 8>go
    at_exit "kill -9 $pid 2>/dev/null"
    waits() { [ "$(cut -d' ' -f1 "/proc/$pid/syscall" 2>/dev/null)" = 0 ]; }
    wait_for 10 waits
    : >said
    echo go >&8
    exec 8>&-
    local end=$((SECONDS + 30))
    while [ $SECONDS -lt $end ] && ! is_gone "$pid"; do
        AWAY_NO_MIRROR=1 "$bin/away" "$pid" 0 " none " 2>>said
    done
    rc=0
    wait "$pid" || rc=$?
    same "status of what came home again and again ($(tail -n 3 said))" 7 $rc
    diff native out >&2 || fail "calls do something else when the program comes home for them"
    came=$(grep -c "came home" said)
    [ "$came" -ge 40 ] || fail "it came home only $came times: $(tail -n 3 said)"
}
again_and_again fork_and_wait memory_is_copied memory_of_its_own lines_of_descriptors messages masks_of_handlers
echo "# probes of what is caught between its calls every 30 ms"
pauses=30
like_native "$bin/probe" what_comes_with_them blocked_and_pending masks_of_waits while_computing
[ "$(grep -c "^away: paused" said)" -ge 5 ] || fail "it was hardly caught: $(cat said)"
like_native "$bin/probe" threads threads_one_by_one threads_raw_clone threads_that_wait threads_that_are_cancelled threads_and_signals \
    threads_with_children threads_and_how_processes_end threads_as_proc_has_them
echo "# children that are made while it is about to be caught"
pauses=1
# shellcheck disable=SC2016
like_native bash -c 'read -r _; for i in {1..150}; do (exit $((i % 9))); echo "$i $?"; done'
[ "$(grep -c "^away: paused" said)" -ge 20 ] || fail "it was hardly caught: $(cat said)"
unset pauses

echo "# a shell, its children and its programs"
# shellcheck disable=SC2016
like_native bash -c 'read -r _; trap "echo trapped" USR1; f() { for i in 1 2 3; do echo $((i * $1)); done; }
    f 5 | sort -rn | while read -r n; do echo "line $n"; done
    x=$(f 7 | tail -n 1; exit 3); echo "$x $?"; kill -USR1 $$; { (kill -9 $BASHPID); } 2>/dev/null; echo $?
    sleep 0.2 & sleep 0.1; wait $!; echo "waited $?"; cat <(echo substituted) <<<here - ; { echo a; false; } >file || cat file
    set -o pipefail; true | false | true; echo $?; exec sh -c "echo executed; exit 9"'
cat >makefile <<'M'
all: one two
	@cat one two; echo $(shell echo in the shell)
one two: %:
	@echo "made $@" >$@
M
# shellcheck disable=SC2016
like_native bash -c 'read -r _; rm -f one two; make -s -j2; echo $?; make -s nothing 2>&1 | head -c 20; rm -f one two'

echo "# programs that go on by executing themselves at home"
# shellcheck disable=SC2016
like_native sh -c 'read -r _; exec awk "BEGIN { for (i = 0; i < 100000; i++) s += i; print s; exit 4 }"'
cat >p.pl <<'P'
$_ = <STDIN>; open F, '>', 'p'; print F $_ for 1..5; close F; print -s 'p', "\n", map { $_ * 2 } 1..9; print `echo sub`; exit 6
P
cat >p.py <<'P'
import sys
sys.stdin.readline()
import ctypes, json, os, sqlite3, subprocess, tempfile
print(subprocess.run(["echo", "sub"], capture_output=True).stdout, sorted(os.listdir("/etc"))[:3], json.dumps({"a": 1}))
with tempfile.TemporaryDirectory() as d:
    open(d + "/f", "w").write("x" * 2000000)
    print(os.stat(d + "/f").st_size, len(open(d + "/f").read()))
P
cat >p.sql <<'P'
create table t(a, b);
insert into t select value, value * value from (with recursive n(value) as (select 1 union all select value + 1 from n limit 2000) select value from n);
select sum(b), count(*) from t where a % 7 = 3;
create index i on t(b);
select a from t where b = 1444;
P
! command -v perl >/dev/null || like_native perl p.pl
! command -v sqlite3 >/dev/null || input=".read p.sql" like_native sqlite3 -batch :memory:
! command -v python3 >/dev/null || like_native "$(python3 -c 'import sys; print(sys.executable)')" p.py

# body: the child of the first process of its namespace, which is our child's child
children() { cat "/proc/$1/task/$1/children" 2>/dev/null; }
# shellcheck disable=SC2046
body() { for middle in $(children "$away"); do for first in $(children "$middle"); do children "$first"; done; done; }
state() { awk '$1 == "State:" { print $2 }' "/proc/$1/status" 2>/dev/null; }
is_state() { [ "$(state "$pid")" = "$1" ]; }
lines() { [ "$(wc -l <out)" -ge "$1" ]; }
# count TURNS: a program that counts is away; $copy
count()
{
    "$bin/counter" "$1" 20 >out 2>&1 & pid=$!
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 10 lines 3
    : >said
    "$bin/away" "$pid" 2>said & away=$!
    at_exit "kill -9 $away 2>/dev/null"
    wait_for 10 runs
    has_body() { copy=$(body) && copy=${copy% } && [ -n "$copy" ]; }
    wait_for 10 has_body
}

echo "# stopped and continued"
"$bin/counter" 40 20 >native
count 40
for signal in STOP TSTP; do
    kill -$signal "$pid"
    wait_for 10 is_state t
    sleep 0.1 # what was under way
    before=$(wc -l <out)
    sleep 0.3
    same "lines of what is stopped" "$before" "$(wc -l <out)"
    kill -CONT "$pid"
    wait_for 10 lines $((before + 2))
done
ends 7
cmp native out || fail "output of what was stopped"

for signal in TERM USR2 KILL; do
    echo "# killed by $signal"
    count 400
    kill -$signal "$pid"
    ends $((128 + $(kill -l $signal)))
    is_gone "$copy" || fail "a body is left"
done
ulimit -c unlimited
for signal in SEGV KILL; do
    echo "# the body killed by $signal"
    count 400
    kill -$signal "$copy"
    ends $((128 + $(kill -l $signal)))
    ! ls core* >/dev/null 2>&1 || fail "a dump of the stub's memory"
done
