#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# waits.sh: calls that wait for a time give what they give natively, not too early and not much too late, however often the process is
# moved meanwhile; also when it was stopped and continued before, and as an ordinary user's. A wait that began anew with every move
# would not end here at all.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
cluster_up
waits=$top_builddir/tests/migrate/waits
user=$(test_user)
span=1200 late=6000 # ms
# Each of these waits in its own process. recv's time is its socket's, not the call's: it does begin anew.
mapfile -t names < <("$waits" 1 | awk '$1 != "recv" { print $1 }')
[ ${#names[@]} -gt 15 ] || fail "only ${#names[@]} waits"

is_over() { local pid; for pid in "${pids[@]}"; do is_gone "$pid" || return 1; done; }

# look NAME OUTPUT SPAN: result and errno of a native run; not before its time (but for what two nodes' clocks differ by), nor long after
look()
{
    local want got ms
    want=$("$waits" 20 "$1" | cut -d' ' -f1-3)
    got=$(cut -d' ' -f1-3 "$2") ms=$(cut -d' ' -f4 "$2")
    same "what $1 gives" "$want" "$got"
    [ "$ms" -ge $(($3 - 20)) ] && [ "$ms" -lt $(($3 + late)) ] || fail "$1 took $ms ms, not $3"
}

# until_over WHERE...: all are moved from place to place, one after the other
until_over()
{
    local i=0 n end=$(($(date +%s) + 60))
    until is_over; do
        for n in "${!pids[@]}"; do
            i=$((i + 1))
            migrate -j$((200 + n)) "$(set -- "$@"; shift $((i % $#)); echo "$1")" >/dev/null 2>&1
        done
        [ "$(date +%s)" -lt $end ] || { moskillall -KILL; fail "they wait without end: $(tail -qn 1 "$tmp"/out.*)"; }
    done
}

start()
{
    local n
    pids=()
    for n in "${!names[@]}"; do
        "$@" mosrun -J$((200 + n)) "$waits" $span "${names[n]}" >"$tmp/out.$n" 2>&1 </dev/null & pids+=($!)
    done
}
look_at_all() { local n; for n in "${!names[@]}"; do look "${names[n]}" "$tmp/out.$n" $span; done; }

all=("${names[@]}")
for ((first = 0; first < ${#all[@]}; first += 5)); do
    names=("${all[@]:first:5}")
    start
    until_over n1 n2 home
    look_at_all
done
echo "# $(grep -c ' is at \| came home because' "$log") moves of ${#all[@]} waits"

# Moved all the time: some of their alarms come when the call is about to be made again, and end it all the same.
names=(read read read)
for _ in 1 2 3 4; do
    start
    until_over n1 n2 home
    look_at_all
done

names=(nanosleep poll poll-nothing epoll_wait futex clock_nanosleep)
start setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups --inh-caps=-all
until_over n1 n2
look_at_all

# The kernel goes on with these by its own note once they have been stopped, and doesn't say with which call.
span=8000
names=(nanosleep poll poll-nothing futex clock_nanosleep)
start
sleep 0.3
kill -STOP "${pids[@]}"
sleep 0.1
kill -CONT "${pids[@]}"
sleep 0.1
for n in "${!pids[@]}"; do same "the call of ${names[n]}" 219 "$(cut -d' ' -f1 "/proc/${pids[n]}/syscall")"; done
for n in "${!pids[@]}"; do migrate -j$((200 + n)) n1 || fail "migrate ${names[n]}"; done
until_over n2 n1 home
look_at_all
echo "waits: ok"
