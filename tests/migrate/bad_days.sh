#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# bad_days.sh: what goes wrong with nodes, kernels and programs while jobs move: too little memory, a full disk, something that a kernel
# lacks, a stranger in a daemon's place, a job that ends at that moment, a number that has a new owner, moves without a rest. The job
# runs on at one place, or it ends with a status that its parent sees; there are words that say why, and nothing is left on any node.
# BAD_DAYS: only these cases.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
. "$top_srcdir/tests/migrate/bad_job.sh"
requires python3
in_parts "${BAD_DAYS_PARTS:-3}"
group=
at_exit '[ -z "$group" ] || (wait_for 5 rmdir "$group") 2>/dev/null' # last: its processes are gone then
cluster_up
cd "$tmp" || exit 99

# ---- memory ----

# make_group MIB: n1's daemon is in a cgroup of so much memory; or none can be made here.
make_group()
{
    local root limit
    root=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/self/mounts)
    if [ -n "$root" ]; then
        limit=memory.limit_in_bytes
    else
        root=$(cgroup_root)
        limit=memory.max
        grep -qw memory "$root/cgroup.subtree_control" 2>/dev/null || return 1
    fi
    group=$root/mosix-test.$$
    mkdir -p "$group" 2>/dev/null && echo "$(($1 << 20))" >"$group/$limit" || return 1
    [ $limit = memory.limit_in_bytes ] || echo 0 >"$group/memory.swap.max"
    kill_daemon n1
    (echo $BASHPID >"$group/cgroup.procs" && daemon n1) || fail "a daemon in a cgroup"
}

not_for_guests() # the administrator allows them less than it has
{
    again n1 --guest-memory 32
    start "$gap" 64 idle random
    go n2
    refused n1 "MiB of memory that may be written, and guests here may have 32" n2
    go home
    refused n1 "MiB of memory that may be written, and guests here may have 32" home
    gap_is_right
    again n1
}

short() # the node has less than that
{
    make_group 24 || { echo "# no cgroup can limit memory here"; return; }
    start "$gap" 64 idle random
    refused n1 "too little memory" home
    go n2
    refused n1 "too little memory" n2
    gap_is_right
    same "$case: the daemon there" "" "$(is_silent n1 && echo gone)"
    again n1
}

grows() # away, beyond what the node has
{
    make_group 48 || { echo "# no cgroup can limit memory here"; return; }
    local body
    start "$couple" grow 400 20
    go n1
    body=$(pgrep -P "$(inside $pid "supervisor")")
    same "$case: who is ended first" 1000 "$(cat "/proc/$body/oom_score_adj")"
    same "$case: and then" 500 "$(cat "/proc/$(inside $pid "supervisor")/oom_score_adj")"
    for body in $(inside $pid "^mosixd: (guest|hands|job|namespaces)"); do same "$case: and last" 0 "$(cat "/proc/$body/oom_score_adj")"; done
    same "$case: what the job has" 0 "$(cat /proc/$pid/oom_score_adj)"
    kill -USR1 $pid
    ends 137
    says "process $pid (couple) is lost: it was killed at n1, probably because that node has too little memory" err
    begins_right grow 400
    start "$couple" "${endless[@]}" 20
    go n1
    go home
    same "$case: what it has at home" 0 "$(cat /proc/$pid/oom_score_adj)"
    go n1
    kill -9 "$(pgrep -P "$(inside $pid "supervisor")")"
    ends 137
    says "process $pid (couple) is lost: it was killed at n1" err
    # Of two only the one that is killed; its parent sees it.
    start "$couple" two 100 20
    go n1
    kill -USR1 $pid
    wait_for 10 grep -q '^c 1' out
    kill -9 "$(pgrep -n -P "$(inside $pid "supervisor")")"
    ends 137
    says "is lost: it was killed at n1" err
    grep -q "process $pid" err && fail "$case: the other is killed: $(cat err)"
    says "couple: the child is lost: 9$" out
    again n1
}

# ---- disks ----

full()
{
    # shellcheck disable=SC2016 # for the shell there
    local fill='for d in /tmp /dev/shm /run; do head -c 1000000 /dev/zero >$d/full; done 2>/dev/null; :'
    kill_daemon n1
    on_node n1 sh -c 'for d in /tmp /dev/shm; do mount -t tmpfs -o size=16k,mode=1777 none $d || exit; done; mount -t tmpfs -o size=64k none /run'
    daemon n1
    on_node n1 sh -c "$fill"
    on_node n1 sh -c 'echo more >/run/more || echo more >/tmp/more' 2>/dev/null && fail "$case: it is not full"
    start "$couple" "${endless[@]}" 50
    if migrate $pid n1 && (wait_for 20 is_settled n1) 2>/dev/null; then echo "# moves to a node whose disk is full work"; else
        refused n1 "No space left" home
    fi
    go n2
    if migrate $pid n1 && (wait_for 20 is_settled n1) 2>/dev/null; then :; else refused n1 "No space left" n2; fi
    go home
    runs_on
    kill_daemon n1
    on_node n1 umount /run /tmp /dev/shm
    daemon n1
    # And at home, where its daemon keeps what it has to.
    kill_daemon head
    mv "$MOSIX_RUN" "$tmp/run.kept" && mkdir "$MOSIX_RUN" && mount -t tmpfs -o size=64k,mode=755 none "$MOSIX_RUN" || exit 99
    daemon head
    head -c 1000000 /dev/zero 2>/dev/null >"$MOSIX_RUN/full"
    start "$couple" "${endless[@]}" 50
    go n1
    go n2
    go home
    runs_on
    kill_daemon head
    umount "$MOSIX_RUN" && rmdir "$MOSIX_RUN" && mv "$tmp/run.kept" "$MOSIX_RUN" || exit 99
    daemon head
}

# ---- kernels ----

# without NODE WHAT WORDS: what is asked of a node whose kernel lacks something; "": it works all the same
without()
{
    case=kernels,$1,$2
    started_by[$1]="$lacks $2"
    [ "$1" = head ] || started_by[$1]="/usr/local/sbin/lacks $2"
    again "$1"
    start "$couple" "${endless[@]}" 30
    if [ -z "$3" ]; then
        go n1; go n2; go home
    else
        refused n1 "$3" home
        [ "$1" = head ] || { go n2; refused n1 "$3" n2; }
    fi
    runs_on
    unset "started_by[$1]"
}
lacks=$top_builddir/tests/migrate/lacks

kernels()
{
    on_node n1 sh -c 'cat >/usr/local/sbin/lacks && chmod +x /usr/local/sbin/lacks' <"$lacks" || fail "lacks on n1"
    without n1 userns "make namespaces"
    without n1 seccomp "seccomp"
    without n1 process_vm_writev "process_vm_writev"
    without n1 timens "time namespace"
    without n1 notify "seccomp"
    without n1 pidfd_getfd "pidfd_getfd"
    without n1 process_vm_readv "process_vm_readv"
    without n1 ptrace "process"
    without n1 userfaultfd ""
    without n1 memfd_create ""
    again n1
    without head ptrace "process"
    without head process_vm_writev ""
    without head userfaultfd ""
    without head pidfd_open "pidfd_open"
    without head pidfd_getfd "pidfd_getfd"
    again head
}

# ---- strangers ----

# stranger HOW: whoever connects to n2 finds this instead of a daemon
stranger()
{
    on_node n2 python3 -c '
import os, socket, sys, time
how = sys.argv[1]
s = socket.create_server(("10.77.0.2", 7722))
open("/run/stranger", "w").write(str(os.getpid()))
kept = []
while True:
    c, _ = s.accept()
    kept.append(c)
    if how == "garbage": c.sendall(os.urandom(4096))
    if how in ("echo", "late"): c.sendall(c.recv(4096)) # a greeting like ours, and then?
    if how == "late": c.sendall(os.urandom(4096))
    if how == "closes": kept.pop().close()
' "$1" 2>/dev/null &
    disown $!
    at_exit "kill $! 2>/dev/null"
    wait_for 10 on_node n2 test -s /run/stranger
}
strangers()
{
    local how began
    kill_daemon n2
    start "$couple" "${endless[@]}" 50
    for how in garbage echo late closes silent; do
        stranger $how
        began=$SECONDS
        refused n2 "node n2" home
        [ $((SECONDS - began)) -le 10 ] || fail "$case: $how: it took $((SECONDS - began)) s"
        # shellcheck disable=SC2016 # for the shell there
        on_node n2 sh -c 'kill $(cat /run/stranger); rm /run/stranger'
        wait_for 10 is_left
    done
    go n1
    runs_on
    daemon n2
}
is_left() { ! on_node n2 python3 -c 'import socket; socket.create_connection(("10.77.0.2", 7722), 1)' 2>/dev/null; }

# ---- moments ----

moments() # it ends, or is another program, as it moves
{
    local how i to mover
    for ((i = 0; i < 36; i++)); do
        [ $((i % 2)) = 0 ] && how="exit" || how="exec"
        case=moments,$i,$how
        start "$couple" $how 4000 5
        to=n1
        if [ $((i % 3)) != 0 ]; then go n1; [ $((i % 3)) = 1 ] && to=home || to=n2; fi
        migrate $pid $to 2>/dev/null & mover=$!
        sleep "0.$(printf %03d $((i * 4)))"
        kill -USR1 $pid
        ends 7
        wait $mover
        [ $how = exit ] || { same "$case: the other program" executed "$(tail -n 1 out)"; sed -i '$d' out; }
        begins_right $how 4000
    done
}

numbers() # a job's number that somebody else has
{
    kill_daemon head
    local got=0
    "$lab" --name $name head -- timeout 60 unshare --pid --fork --kill-child --mount-proc \
        bash "$top_srcdir/tests/migrate/bad_number.sh" "$tmp" >said 2>&1 || got=$?
    same "$case: ($(cat said))" 0 $got
    same "$case: refusals" 21 "$(grep -c "was not started by mosrun" said)"
    daemon head
}

# What there is besides while a job is away; of its processes the descriptors.
remains()
{
    snapshot
    local p
    for p in $(inside $pid .); do echo "$(tr '\0' ' ' <"/proc/$p/cmdline") $(find "/proc/$p/fd" -type l | wc -l)"; done | sort
}
quick() # a few hundred moves, one after the other
{
    local to moves=0 began
    start "$couple" "${endless[@]}" 2
    for to in n1 n2 home n1; do go $to; done
    began=$SECONDS
    sleep 1 # a host that is left lingers
    remains >early
    while [ $moves -lt "${BAD_DAYS_MOVES:-240}" ]; do
        for to in n1 n2 home; do
            until migrate $pid $to 2>said; do is_gone $pid && fail "$case: $(cat said err)"; sleep 0.005; done
            moves=$((moves + 1))
        done
    done
    echo "# $moves moves in $((SECONDS - began)) s"
    wait_for 20 is_settled home
    go n1
    is_same() { remains >late && cmp -s early late; }
    (wait_for 10 is_same) 2>/dev/null || { diff early late; fail "$case: something grows"; }
    [ "$(mosps -a | awk -v pid=$pid '$1 == pid { print $4 }')" -ge $moves ] || fail "$case: $(mosps -a)"
    runs_on
}

# ---- all ----

turn=0
for case in ${BAD_DAYS:-quick kernels moments grows not_for_guests strangers short full numbers}; do
    is_ours $((turn++)) || continue
    echo "# $case"
    began=$SECONDS
    snapshot >before
    $case
    case=${case%%,*}
    is_clean() { snapshot >after; cmp -s before after; }
    (wait_for 20 is_clean) 2>/dev/null || { diff before after; fail "$case: something is left"; }
    echo "# $case: $((SECONDS - began)) s"
done
