#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# hops.sh: eight jobs go from node to node without end: nothing grows that should not, nothing is left, and none notices it. Usage:
# hops.sh [MOVES]: so many together (make soak-hops: 5,000). Prints how many a minute.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
moves=${1:-150} jobs=8
cluster_up
couple=$top_builddir/tests/migrate/couple
cd "$tmp" || exit 99

pids=()
for ((j = 0; j < jobs; j++)); do
    mosrun "$couple" alone 10000000 10 >out.$j 2>err.$j </dev/null & pids+=($!)
done
at_exit 'kill -9 "${pids[@]}" 2>/dev/null'
for ((j = 0; j < jobs; j++)); do wait_for 10 [ -s out.$j ]; done
# go PID NODE: unless the last move is still under way when the time is over
go() { until migrate "$1" "$2" 2>/dev/null; do [ -e "$tmp/over" ] && return 1; sleep 0.02; done; }
hop() { while go "$1" n1 && go "$1" n2; do :; done; }
# Only ours: mosps lists what other tests have marked by a variable, too.
ours() { mosps -aw | awk -v pids=" ${pids[*]} " 'index(pids, " " $1 " ")'; }
count() { ours | awk '{ n += $4 } END { print n + 0 }'; }
has_moved() { [ "$(count)" -ge "$1" ]; }
keepers() { for p in "${pids[@]}"; do pgrep -f "^mosixd: job $p\$"; done; }
# What daemon and keepers have: "DESCRIPTORS KIB", a line each. During a move a keeper has more.
sizes()
{
    local p
    for p in "$(cat "$tmp/pid.head")" $(keepers); do
        echo "$(find "/proc/$p/fd" -type l | wc -l) $(awk '/^VmRSS/ { print $2 }' "/proc/$p/status")"
    done
}
settled() { [ "$(ours | grep -c ' settled ')" = $jobs ]; }

for round in first second; do
    rm -f over
    hoppers=()
    began=$(date +%s%N) from=$(count)
    for p in "${pids[@]}"; do hop "$p" & hoppers+=($!); done
    wait_for 600 has_moved $((from + moves / 2))
    echo "$round half: $((($(count) - from) * 60000000000 / ($(date +%s%N) - began))) moves a minute, load $(cut -d' ' -f1 /proc/loadavg)"
    : >over
    wait "${hoppers[@]}"
    for ((i = 0; i < 200; i++)); do settled && break; sleep 0.1; done
    settled || { ours; tail -n 3 err.* "$log"; fail "a job is not settled"; }
    wait_for 10 eval 'sizes >sizes.now; [ "$(wc -l <sizes.now)" = $((jobs + 1)) ]'
    mv sizes.now sizes.$round
done
paste sizes.first sizes.second | awk '{ print } $3 > $1 || $4 > $2 + 512 { bad = 1 } END { exit bad }' || fail "something has grown: descriptors and KiB of daemon and keepers, before and now"
kill "${pids[@]}"
for ((j = 0; j < jobs; j++)); do
    got=0
    wait "${pids[j]}" || got=$?
    same "status of job $j ($(cat err.$j))" 143 $got
    wait_for 20 none_inside "${pids[j]}"
    lines=$(wc -l <out.$j)
    "$couple" alone "$lines" 0 | head -n "$lines" | cmp - out.$j || fail "output of job $j"
done
for n in n1 n2; do
    # shellcheck disable=SC2016 # for the shell there
    wait_for 10 on_node $n sh -c '! ps -eo args | grep -q "^mosixd:" && [ -z "$(ls /run/mosix*/g)" ]'
done
