#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mirror.sh: with no line of the table known, a program's calls are made at home with its own pointers, its memory following them, and do the same.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires root
unshare -pf --mount-proc true 2>/dev/null || skip "needs PID namespaces"
[ -e /dev/userfaultfd ] || skip "needs /dev/userfaultfd"
bin=$top_builddir/tests/migrate
close_inherited
exec </dev/null
cd "$tmp" || exit 99
chmod 777 .
told() { grep -v "not made" said; }
runs() { grep -q "^away: runs" said; }
waits() { [ "$(cut -d' ' -f1 "/proc/$pid/syscall" 2>/dev/null)" = 0 ]; }
# What is not made at home, or by the kernels of both, is known, and nothing else.
known=" fork vfork clone clone3 mmap rt_sigreturn rt_sigaction rt_sigprocmask "
where=()

# send COMMAND...: it is away; $pid, $away. A line into the pipe "go" lets it go on.
send()
{
    rm -f go
    mkfifo go
    "${as[@]}" "$@" <go >out 2>&1 & pid=$!
    exec 8>go
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 10 waits
    : >said
    "${where[@]}" "$bin/away" "$pid" ${pauses-0} "$known" 2>said 8>&- & away=$!
    at_exit "kill -9 $away 2>/dev/null"
    wait_for 10 runs
}

# like_native COMMAND...   which reads a line, $input, when it is away
like_native()
{
    local native=0
    echo "${input-}" | "${as[@]}" "$@" >native 2>&1 || native=$?
    send "$@"
    echo "${input-}" >&8
    exec 8>&-
    rc=0
    wait "$pid" || rc=$?
    [ "$native" = $rc ] || diff native out >&2
    same "status away ($(told))" "$native" $rc
    wait "$away"
    same "status of away ($(told))" 0 $?
    diff native out >&2 || fail "calls do something else when they are made with the program's own pointers"
}
in_place() { ! grep "came home" said >&2 || fail "it came home"; }

as=()
echo "# probes of each line, and of what is in none"
mapfile -t probes < <(sed -n 's/^PROBE(\([a-z_]*\)).*/\1/p' "$top_srcdir"/tests/migrate/probe*.c | grep -Ev '^(home_|threads)')
[ ${#probes[@]} -ge 30 ] || fail "only ${#probes[@]} probes"
like_native "$bin/probe" "${probes[@]}"
in_place
echo "# what has threads comes home for such a call"
like_native "$bin/probe" threads
grep -q "came home because it has threads, and makes a call with pointers of its own" said || fail "it stayed: $(cat said)"
echo "# the same of what is caught in the middle of it"
pauses=5
like_native "$bin/probe" lines_of_names lines_of_descriptors mirror_large mirror_children what_comes_with_them
in_place
[ "$(grep -c "^away: paused" said)" -ge 3 ] || fail "it was hardly caught: $(cat said)"
unset pauses

echo "# programs, an ordinary user's"
as=(setpriv --reuid 1234 --regid 1234 --clear-groups)
cat >makefile <<'M'
all: one two
	@cat one two; echo $(shell echo in the shell)
one two: %:
	@echo "made $@" >$@
M
# shellcheck disable=SC2016
like_native bash -c 'read -r _; rm -f one two; make -s -j2; echo $?; make -s nothing 2>&1 | head -c 20; rm -f one two'
in_place
cat >p.py <<'P'
import sys
sys.stdin.readline()
import hashlib, json, os, subprocess, tempfile
print(subprocess.run(["echo", "sub"], capture_output=True).stdout, sorted(os.listdir("/etc"))[:3], json.dumps({"a": 1}))
with tempfile.TemporaryDirectory() as d:
    open(d + "/f", "w").write("x" * 2000000)
    print(os.stat(d + "/f").st_size, hashlib.sha256(open(d + "/f", "rb").read()).hexdigest())
P
cat >p.sql <<'P'
create table t(a, b);
insert into t select value, value * value from (with recursive n(value) as (select 1 union all select value + 1 from n limit 2000) select value from n);
select sum(b), count(*) from t where a % 7 = 3;
P
! command -v python3 >/dev/null || like_native "$(python3 -c 'import sys; print(sys.executable)')" p.py
in_place
! command -v sqlite3 >/dev/null || like_native bash -c 'read -r _; rm -f base; sqlite3 base <p.sql; sqlite3 base "select * from t where b = 1444"; rm base'
# shellcheck disable=SC2016
! command -v git >/dev/null || like_native bash -c 'read -r _; export HOME=$PWD GIT_AUTHOR_DATE="@1 +0000" GIT_COMMITTER_DATE="@1 +0000"
    rm -rf r; git init -q -b main r; cd r; seq 2000 >f; git add f; git -c user.name=a -c user.email=a@b commit -qm one; git log --format=%H; git fsck; exec git status -s'

echo "# a node that gives no mirror: it comes home, and says why"
# shellcheck disable=SC2016
where=(unshare -m bash -c 'mount --bind /dev/null /dev/userfaultfd && exec "$@"' bash)
like_native "$bin/probe" mirror_semaphores
grep -q "came home because it makes a call whose memory can't follow it (this node gives it no mirror" said || fail "why it came: $(cat said)"
where=()
as=()

echo "# killed while it waits for memory"
# shellcheck disable=SC2046
supervisor() { for middle in $(children "$away"); do children "$middle"; done; }
children() { cat "/proc/$1/task/$1/children" 2>/dev/null; }
# stops_in_fault: the supervisor stands still, and its kernel waits for a page
stops_in_fault()
{
    for _ in {1..200}; do
        kill -STOP "$host"
        for _ in 1 2 3 4 5; do
            ! grep -q userfault "/proc/$pid/wchan" 2>/dev/null || return 0
            sleep 0.01
        done
        kill -CONT "$host"
        sleep 0.01
    done
    return 1
}
for whom in job deputy; do
    rm -f written
    send "$(python3 -c 'import sys; print(sys.executable)')" -c "
import os, sys
sys.stdin.readline()
fd = os.open('written', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
while True:
    x = bytes([120]) * 300000
    os.lseek(fd, 0, 0)
    os.write(fd, x)
"
    echo >&8
    exec 8>&-
    read -r host _ <<<"$(supervisor)"
    wait_for 10 test -s written
    stops_in_fault || fail "it never waited for memory"
    if [ "$whom" = job ]; then
        kill -9 "$pid"
        wait_for 5 is_gone "$pid"
        kill -CONT "$host"
    else
        kill -9 "$away"
        wait_for 5 is_gone "$pid"
        kill -9 "$host"
    fi
    wait "$pid"
    same "status of what was killed with its $whom" 137 $?
    wait "$away"
    [ "$(tr -d x <written | wc -c)" = 0 ] || fail "something was written that it never had"
done
