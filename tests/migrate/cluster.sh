# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2034,SC2154 # for the test, and of functions.sh
# cluster.sh: three nodes with file trees of their own and a mosixd on each: the head of a lab, which is home, n1 and n2; after
# functions.sh in a test in bash:
#     cluster_up
# With MIGRATE_TRUST=certified in the environment its nodes have certificates of an owner and talk to each other; else
# (MIGRATE_TRUST=static) they have a map and a key that all share.
# Afterwards $MOSIX_RUN is where programs meet the home's daemon, $log its log, and:
#     on_node NODE COMMAND...   as root on n1 or n2
#     daemon NODE [OPTION...]   starts the daemon of head, n1 or n2
#     kill_daemon NODE          kills it, and nothing else
#     started_by[NODE]=COMMAND  what its daemon is started by from then on
#     snapshot                  prints what of ours is on all nodes
#     place PID                 where it is; "gone" when the home knows no such job
#     is_certified              is it a cluster of the first kind?
#     inside PID PATTERN        processes of ours of that job whose title matches, anywhere
cluster_up()
{
    requires root
    lab=$top_srcdir/examples/lab/lab
    name=m$$
    at_exit 'rmdir "$(cgroup_root)/mosix.$$"/u* "$(cgroup_root)/mosix.$$" 2>/dev/null' # last of all: those of its jobs are gone then
    at_exit '"$lab" --name $name down'
    "$lab" --name $name up 2 --for $$ >/dev/null || fail "lab up"
    mkdir "$tmp/etc" || exit 99
    export MOSIX_RUN=$tmp/mosix.$$
    log=$tmp/log.head
    mkdir "$tmp/bin" && ln -s "$top_builddir/mosix-core/cmd/mosrun" "$tmp/bin/native"
    PATH=$top_builddir/mosix-core/cmd:$tmp/bin:$PATH
    local n from=$tmp/etc
    if is_certified; then
        certify
    else
        printf 'head 10.77.0.254\nn1 10.77.0.1\nn2 10.77.0.2 7722\n' >"$tmp/etc/nodes"
        od -An -tx1 -N32 /dev/urandom | tr -d ' \n' >"$tmp/etc/key"
        chmod 600 "$tmp/etc/key"
    fi
    for n in n1 n2; do
        ! is_certified || from=$tmp/owner/$n
        tar -C "$from" -c . | on_node $n sh -c 'mkdir -p /etc/mosix && tar -C /etc/mosix -x --no-same-owner' || fail "files on $n"
        on_node $n sh -c 'cat >/usr/local/sbin/mosixd && chmod +x /usr/local/sbin/mosixd' <"$top_builddir/mosix-core/mosixd/mosixd" || fail "mosixd on $n"
    done
    for n in head n1 n2; do daemon $n; done
    ! is_certified || for n in head n1 n2; do wait_for 20 is_alive $n; done
}

is_certified() { [ "${MIGRATE_TRUST-static}" = certified ]; }
is_alive() { mosctl rstatus 2>/dev/null | awk -F'\t' -v n="$1" '$2 == n && $4 == "alive" { found = 1 } END { exit !found }'; }

# An owner, and a directory for each node; the head's is $tmp/etc.
certify()
{
    local n
    mkdir -m 700 "$tmp/owner" || exit 99
    printf '1 head 10.77.0.254\n2 n1 10.77.0.1\n3 n2 10.77.0.2 7722\n' >"$tmp/owner/mosix.map"
    mosctl keygen -d "$tmp/owner" >/dev/null || fail "keygen"
    for n in head n1 n2; do mosctl certify -d "$tmp/owner" $n >/dev/null || fail "certify $n"; done
    cp -p "$tmp/owner/head/"* "$tmp/etc" || exit 99
}

cgroup_root() { awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts; }

on_node() { local n=$1; shift; "$lab" --name $name run "$n" -- "$@"; }

# Computers were started at other times, and suspended for others: seconds that the clocks of a node are ahead of home's.
declare -A started_by=() mono_s=([n1]=3000 [n2]=90000) boot_s=([n1]=90000 [n2]=3000)

# With the rights that its unit leaves it, and no more.
as_unit()
{
    local unit=$top_srcdir/mosix-core/mosixd/mosixd.service.in cap set=-all
    for cap in $(sed -n 's/^CapabilityBoundingSet=//p' "$unit"); do set+=,+$(tr '[:upper:]' '[:lower:]' <<<"${cap#CAP_}"); done
    [ $set != -all ] && grep -qx 'NoNewPrivileges=yes' "$unit" && echo "setpriv --no-new-privs --bounding-set $set"
}

# Each writes its number, as its node sees it, into a file.
daemon()
{
    # shellcheck disable=SC2016 # for the shell there
    local note='echo $$ >"$0"; exec "$@"'
    local n=$1 unit
    shift
    unit=$(as_unit) || fail "the unit of mosixd has no bounds"
    : >"$tmp/log.$n"
    if [ "$n" = head ]; then
        "$lab" --name $name head -- sh -c "$note" "$tmp/pid.head" \
            $unit ${started_by[head]-} \
            "$top_builddir/mosix-core/mosixd/mosixd" -v -c "$tmp/etc" -r "$MOSIX_RUN" -n head "$@" >>"$log" 2>&1 </dev/null &
        at_exit 'kill_daemon head'
    else
        "$lab" --name $name run "$n" -- unshare --time --monotonic "${mono_s[$n]}" --boottime "${boot_s[$n]}" --fork --kill-child \
            sh -c "$note" /run/mosixd.pid $unit ${started_by[$n]-} /usr/local/sbin/mosixd -v "$@" >>"$tmp/log.$n" 2>&1 </dev/null &
    fi
    disown $!
    wait_for 10 grep -q "listens" "$tmp/log.$n"
    # Of one that was killed the others know for some seconds that it is dead.
    ! is_certified || [ $n = head ] || [ ! -S "$MOSIX_RUN/control" ] || ! mosctl rstatus >/dev/null 2>&1 || wait_for 20 is_alive $n
}

kill_daemon()
{
    if [ "$1" = head ]; then
        kill -9 "$(cat "$tmp/pid.head")" 2>/dev/null
    else
        # shellcheck disable=SC2016 # for the shell there
        on_node "$1" sh -c 'kill -9 $(cat /run/mosixd.pid)' 2>/dev/null
    fi
}

# What is there when nothing is: processes, mounts, files, shared memory, of all nodes, and descriptors of the daemons.
snapshot()
{
    local n
    mosps >/dev/null # takes away what a killed keeper has left
    for n in n1 n2; do
        # shellcheck disable=SC2016 # for the shell there
        on_node $n sh -c 'ls -A /tmp /dev/shm /run/mosix*/g /run/mosix*/j 2>/dev/null; cut -d" " -f2-4 /proc/mounts; ps -eo args= | grep "^mosixd:" | sort; ls /proc/$(cat /run/mosixd.pid)/fd | wc -l' | sed "s/^/$n: /"
    done
    ls -A "$MOSIX_RUN/j" "$MOSIX_RUN/g" 2>/dev/null
    ls "/proc/$(cat "$tmp/pid.head")/fd" | wc -l
}

place() { local where; where=$(mosps -a | awk -v pid="$1" '$1 == pid { print $2 }'); echo "${where:-gone}"; }
is_at() { [ "$(place "$1")" = "$2" ]; }

# Titles say which job a process is for; its children are for the same.
inside()
{
    ps -eo pid=,ppid=,args= | awk -v job="$1" -v want="$2" '
        { parent[$1] = $2; args[$1] = $0; sub(/^ *[0-9]+ +[0-9]+ /, "", args[$1]) }
        END {
            for (p in args)
                for (q = p; q in args; q = parent[q])
                    if (args[q] ~ "^mosixd: (job|hands|guest) " job "( |$)") {
                        if (args[p] ~ want) print p
                        break
                    }
        }'
}
none_inside() { [ -z "$(inside "$1" .)" ]; }
