#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mosrun.sh: jobs and who may move them; nodes that aren't there and strangers; a short cut; nothing is attached to a job at home; each
# process of ours is killed while a job is away, and while it moves: the job runs on and ends as it would, or it is killed, and nothing
# is left of it on any node.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
cluster_up
counter=$top_builddir/tests/migrate/counter
cd "$tmp" || exit 99
user=$(test_user)
as_u=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups --inh-caps=-all)
says() { grep -q -- "$1" said || fail "should say '$1': $(cat said)"; }
has_line() { [ -s out ]; }
start() # TURNS
{
    : >out
    mosrun "$counter" "$1" 20 >out 2>err </dev/null & pid=$!
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 10 has_line
}
go() { migrate $pid "$1" || fail "migrate $1"; wait_for 10 is_at $pid "$1"; }
ends() { local got=0; wait "$pid" || got=$?; same "$1" "$2" $got; }

echo "# jobs"
mosrun -J5 sh -c 'mosps; native mosps' >said
same "a job lists its shell and its mosps, and a native program the shell" 3 "$(awk '$5 == 5' said | wc -l)"
same "status" 7 "$(status mosrun sh -c 'exit 7')"
mosrun -J8 true
mosrun -J9 true
! [ -e "$(cgroup_root)/mosix.$$/u0-j8" ] || fail "the cgroup of a job that has ended stays"
same "status of what isn't there" 127 "$(status mosrun no-such-program 2>said)"
# shellcheck disable=SC2016 # for that shell
same "argv[0]" other "$(mosrun -z sh other -c 'echo "$0"')"
for option in -q3 -Gx -C -Ofile -y -Jx; do
    same "status of $option" 2 "$(status mosrun $option true 2>said)"
done
same "without a daemon" 1 "$(MOSIX_RUN=$tmp/none status mosrun true 2>said)"
says "no mosixd runs"
"$counter" 100 20 >native
start 100
same "tracer of a job at home" 0 "$(awk '$1 == "TracerPid:" { print $2 }' "/proc/$pid/status")"
same "migrate to nowhere" 1 "$(status migrate $pid n9 2>said)"
says "no node is called n9"
same "migrate what isn't there" 1 "$(status migrate 99999999 n1 2>said)"
same "migrate what is no job" 1 "$(status migrate $$ n1 2>said)"
says "was not started by mosrun"
same "migrate somebody else's" 1 "$(status "${as_u[@]}" migrate $pid n1 2>said)"
says "somebody else's"
same "out, of what is no guest" 1 "$(status migrate $pid out 2>said)"
says "process $pid is no guest's"
go n1
go home
same "tracer of a job that came home" 0 "$(awk '$1 == "TracerPid:" { print $2 }' "/proc/$pid/status")"
ends "status" 7
cmp native out || fail "output"
wait_for 10 none_inside $pid

echo "# checkpoints"
checkpoints() # [SETPRIV...]: as whom
{
    local file
    rm -f out err
    "$@" touch out err
    "$@" mosrun -Cck "$counter" 100 20 >out 2>err </dev/null & pid=$!
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 10 has_line
    same "name of a checkpoint" "$PWD/ck.1" "$("$@" migrate $pid checkpoint)"
    file=$("$@" migrate $pid chkexit) || fail "chkexit"
    same "name of the next" "$PWD/ck.2" "$file"
    same "whose it is" "$("$@" id -u)" "$(stat -c %u ck.2)"
    ends "chkexit" 137
    mosrun -Ick.2 >said || fail "inspect"
    says "process $pid: counter"
    says "^whole$"
    local got=0
    "$@" mosrun -Rck.2 >>out 2>err || got=$?
    same "status of a recovered program ($(cat err))" 7 $got
    cmp native out || fail "output of a recovered program"
    printf changed | dd of=ck.1 bs=1 seek=5000 conv=notrunc status=none
    same "recovery from a changed file" 1 "$(status mosrun -Rck.1 2>said)"
    says "was changed"
    mosrun -Ick.1 >/dev/null 2>said && fail "inspection of a changed file"
    says "was changed"
    rm -f ck.* out
    "$@" touch out
    "$@" mosrun -Cck "$threads" 150 any 3 >out 2>err </dev/null & pid=$!
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 10 has_line
    same "chkstop of threads" "$PWD/ck.1" "$("$@" migrate $pid chkstop)"
    is_stopped() { grep -q '^State:.T' "/proc/$pid/status"; }
    wait_for 10 is_stopped
    "$@" migrate $pid n2 || fail "a move of threads that are stopped"
    wait_for 10 is_at $pid n2
    local said_bytes
    said_bytes=$(stat -c %s out)
    sleep 0.5
    same "output of threads that were stopped before a move" "$said_bytes" "$(stat -c %s out)"
    kill -CONT $pid
    same "chkexit of threads" "$PWD/ck.2" "$("$@" migrate $pid chkexit)"
    ends "chkexit of threads" 137
    mosrun -Ick.2 >said || fail "inspect"
    says "^thread [0-9]*: worker-3$"
    got=0
    "$@" mosrun -Rck.2 >>out 2>err || got=$?
    same "status of recovered threads ($(cat err))" 5 $got
    "$threads" 150 any 3 | cmp - out || fail "output of recovered threads"
    same "numbers of recovered threads" "$("$@" id -u)" "$(grep -q "could not have their old numbers" err && "$@" id -u || echo 0)"
    rm -f ck.*
}
threads=$top_builddir/tests/migrate/threads
close_inherited
checkpoints
mkdir "$tmp/user" && cd "$tmp/user" && cp ../native . && chown -R "$user:" . || exit 99
checkpoints "${as_u[@]}"
start 100
kill -STOP $pid
migrate $pid chkstop >said || fail "chkstop"
kill -CONT $pid
ends "chkstop, and let go on" 7
cd "$tmp" || exit 99

echo "# strangers, and nodes that aren't there"
on_node n1 bash -c 'head -c 3000 /dev/urandom >/dev/tcp/10.77.0.254/7722' 2>/dev/null
if is_certified; then
    wait_for 10 grep -q "refused a connection" "$log"
else
    wait_for 10 grep -q "refused a connection: who has connected has not the same key" "$log"
fi
kill_daemon n2
start 100
migrate $pid n2 || fail "migrate to a node without a daemon"
is_told() { mosps -w | grep "^ *$pid .*settled.*connect to node n2"; }
wait_for 10 is_told
go n1
ends "status after a move that failed" 7
daemon n2

echo "# cuts"
start 100
go n1
"$lab" --name $name link head n1 --cut 1s
ends "status when the link is cut for a second" 7
"$lab" --name $name link head n1 --clear

echo "# a body has nothing of its host"
start 1000
go n1
body=$(pgrep -P "$(inside $pid "supervisor")")
field() { awk -v name="$1:" '$1 == name { print $2 }' "/proc/$body/status"; }
same "user" 65534 "$(field Uid)"
for caps in CapInh CapPrm CapEff CapBnd CapAmb; do same $caps 0000000000000000 "$(field $caps)"; done
same "new privileges" 1 "$(field NoNewPrivs)"
same "filter of calls" 2 "$(field Seccomp)"
same "root" "" "$(ls -A "/proc/$body/root/")"
same "descriptors" "anon_inode:seccomp notify" "$(find "/proc/$body/fd" -type l -printf '%l\n' | sort -u)"
for ns in cgroup ipc mnt net pid time user uts; do
    for other in self "$(inside $pid "guest")"; do
        [ "$(readlink "/proc/$body/ns/$ns")" != "$(readlink "/proc/$other/ns/$ns")" ] || fail "it shares its $ns namespace with $other"
    done
done
same "interfaces" "lo:" "$(awk 'NR > 2 { print $1 }' "/proc/$body/net/dev")"
front=$(ps -o ppid= -p "$(inside $pid "^mosixd: guest")" | tr -d ' ')
carriers=$(inside $pid "^mosixd: a connection")
[ "$(echo "$carriers" | wc -l)" = 2 ] || fail "connections: $carriers"
for body in $carriers $front $(inside $pid "supervisor"); do
    same "new privileges of process $body" 1 "$(field NoNewPrivs)"
    same "filter of calls of process $body" 2 "$(field Seccomp)"
done
for body in $carriers $front; do
    for caps in CapInh CapPrm CapEff CapBnd CapAmb; do same "$caps of process $body" 0000000000000000 "$(field $caps)"; done
done
kill $pid
ends "status" 143

echo "# kills, away at n1"
# killed PATTERN STATUS...: of a job's processes, one whose title matches is killed; the job's status is one of these
killed()
{
    local pattern=$1 victim got=0
    shift
    start 100
    go n1
    victim=$(inside $pid "$pattern" | shuf -n 1)
    [ -n "$victim" ] || fail "there is no '$pattern'"
    kill -9 "$victim"
    wait "$pid" || got=$?
    case " $* " in *" $got "*) ;; *) fail "status $got when '$pattern' is killed, instead of $*" ;; esac
    [ $got != 7 ] || grep -q right out || fail "output when '$pattern' is killed"
    wait_for 10 none_inside $pid
    mosps >/dev/null # takes away what a keeper that was killed has left
    ! [ -e "$MOSIX_RUN/j/$pid" ] || fail "a socket is left of '$pattern'"
}
killed "^mosixd: job" 137
killed "^mosixd: hands" 137
killed "^mosixd: a connection" 137
grep -q "is lost: .* was lost$" err || fail "words: $(cat err)"
killed "^mosixd: guest" 137
killed "^mosixd: namespaces" 137
killed "^mosixd: supervisor" 137
start 100
go n1
body=$(pgrep -P "$(inside $pid "supervisor")")
kill -SEGV "$body"
ends "the body dies of a signal" 139
wait_for 10 none_inside $pid
start 100
go n1
kill -9 $pid
ends "the job is killed at home" 137
wait_for 10 none_inside $pid
start 100
go n1
kill_daemon head
kill_daemon n1
daemon head
daemon n1
same "a new daemon finds it" n1 "$(place $pid)"
go home
ends "both daemons are killed, and started again" 7

echo "# who collects it on its way home is killed: it stays, whole, and comes home the next time"
mosrun "$top_builddir/tests/migrate/gap" 200 idle random >out 2>err & pid=$!
at_exit "kill -9 $pid 2>/dev/null"
wait_for 30 grep -q ready out
migrate $pid n1 || fail "migrate"
wait_for 30 is_at $pid n1
collector() { victim=$(inside $pid "an image that comes home"); [ -n "$victim" ]; }
migrate $pid home || fail "migrate home"
wait_for 10 collector
kill -9 "$victim"
wait_for 10 grep -q "job $pid stays at n1" "$log"
is_at $pid n1 || fail "it is not at n1"
home() { migrate $pid home 2>/dev/null; wait_for 30 is_at $pid home; }
wait_for 30 home
kill -USR2 $pid
wait_for 10 eval '[ "$(wc -l <out)" -gt 1 ]'
same "its memory" "0" "$(tail -n 1 out | cut -d' ' -f2)" $?
kill -TERM $pid
wait $pid

echo "# kills during moves"
# turn HOW: a job is moved about, and one of its processes is killed
ran_on=0
turn()
{
    local got=0 victim
    start 40
    if [ "$1" = leaving ]; then # while its first copy is not yet whole, none but its own hands can do it harm
        migrate $pid n1
        sleep "0.0$((RANDOM % 6))"
        victim=$(inside $pid "connection|guest|namespaces|supervisor" | shuf -n 1)
    else
        for to in n1 n2 home n2; do
            migrate $pid $to 2>/dev/null
            sleep "0.0$((RANDOM % 10))"
        done
        victim=$(inside $pid . | shuf -n 1)
    fi
    [ -z "$victim" ] || kill -9 "$victim" 2>/dev/null
    wait "$pid" || got=$?
    echo "# $1: status $got: $(cat err)"
    case $got in
    7) grep -q right out || fail "output of a job that went on"
        ran_on=$((ran_on + 1)) ;;
    137) ;;
    *) fail "status $got: $(cat err)" ;;
    esac
    wait_for 10 none_inside $pid
}
for _ in 1 2 3 4; do turn leaving; turn anywhere; done
[ $ran_on -gt 0 ] || fail "no job ran on"
