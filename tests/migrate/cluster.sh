# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2034,SC2154 # for the test, and of functions.sh
# cluster.sh: three nodes with file trees of their own and a mosixd on each: the head of a lab, which is home, n1 and n2; after
# functions.sh in a test in bash:
#     cluster_up
# Afterwards $MOSIX_RUN is where programs meet the home's daemon, $log its log, and:
#     on_node NODE COMMAND...   as root on n1 or n2
#     daemon NODE [OPTION...]   starts the daemon of head, n1 or n2
#     kill_daemon NODE          kills it, and nothing else
#     place PID                 where it is; "gone" when the home knows no such job
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
    printf 'head 10.77.0.254\nn1 10.77.0.1\nn2 10.77.0.2 7722\n' >"$tmp/etc/nodes"
    od -An -tx1 -N32 /dev/urandom | tr -d ' \n' >"$tmp/etc/key"
    chmod 600 "$tmp/etc/key"
    export MOSIX_RUN=$tmp/mosix.$$
    log=$tmp/log.head
    mkdir "$tmp/bin" && ln -s "$top_builddir/mosix-core/cmd/mosrun" "$tmp/bin/native"
    PATH=$top_builddir/mosix-core/cmd:$tmp/bin:$PATH
    local n
    for n in n1 n2; do
        tar -C "$tmp/etc" -c . | on_node $n sh -c 'mkdir -p /etc/mosix && tar -C /etc/mosix -x --no-same-owner' || fail "files on $n"
        on_node $n sh -c 'cat >/usr/local/sbin/mosixd && chmod +x /usr/local/sbin/mosixd' <"$top_builddir/mosix-core/mosixd/mosixd" || fail "mosixd on $n"
    done
    for n in head n1 n2; do daemon $n; done
}

cgroup_root() { awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts; }

on_node() { local n=$1; shift; "$lab" --name $name run "$n" -- "$@"; }

# Computers were started at other times, and suspended for others: seconds that the clocks of a node are ahead of home's.
declare -A mono_s=([n1]=3000 [n2]=90000) boot_s=([n1]=90000 [n2]=3000)

# Each writes its number, as its node sees it, into a file.
daemon()
{
    # shellcheck disable=SC2016 # for the shell there
    local note='echo $$ >"$0"; exec "$@"'
    local n=$1
    shift
    : >"$tmp/log.$n"
    if [ "$n" = head ]; then
        "$lab" --name $name head -- sh -c "$note" "$tmp/pid.head" \
            "$top_builddir/mosix-core/mosixd/mosixd" -v -c "$tmp/etc" -r "$MOSIX_RUN" -n head "$@" >>"$log" 2>&1 </dev/null &
        at_exit 'kill_daemon head'
    else
        "$lab" --name $name run "$n" -- unshare --time --monotonic "${mono_s[$n]}" --boottime "${boot_s[$n]}" --fork --kill-child \
            sh -c "$note" /run/mosixd.pid /usr/local/sbin/mosixd -v "$@" >>"$tmp/log.$n" 2>&1 </dev/null &
    fi
    disown $!
    wait_for 10 grep -q "listens" "$tmp/log.$n"
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
