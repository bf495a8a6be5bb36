#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# stopped.sh: jobs that are stopped (SIGSTOP, or SIGTSTP as from a terminal) while they sleep or wait in a read, are moved away, on and home;
# they stand still wherever they are, are shown as stopped at home, and end as they would when they are continued.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
cluster_up
cd "$tmp" || exit 99
close_inherited
mkfifo line
exec 8<>line

is_stopped() { grep -q '^State:.[Tt]' "/proc/$pid/status"; }
# goes SIGNAL NODE|stop... : "stop" stops it; elsewhere it goes
goes()
{
    local signal=$1 to
    shift
    for to in "$@"; do
        if [ $to = stop ]; then
            kill -$signal $pid
            wait_for 10 is_stopped
        else
            migrate $pid $to || fail "$what: migrate to $to: $(tail -n 3 "$log")"
            (wait_for 10 is_at $pid $to) || { mosps -aw; grep State "/proc/$pid/status"; tail -n 6 "$log"; fail "$what"; }
        fi
    done
}
# like_native STATUS COMMAND...: for each way
like_native()
{
    local status=$1 signal way got
    shift
    for way in "n1 stop home" "stop n1 home" "n1 stop n2 home" "n1 stop home n2"; do
        for signal in STOP TSTP; do
            what="$1, SIG$signal, $way" got=0
            echo "# $what"
            : >out
            set -m # one that is in a group of its own has no group without a parent elsewhere, which SIGTSTP leaves alone
            mosrun "$@" <&8 >out 2>err & pid=$!
            set +m
            at_exit "kill -9 $pid 2>/dev/null"
            wait_for 10 started
            # shellcheck disable=SC2086 # words
            goes $signal $way
            [ "${way##* }" != home ] || grep -q '^State:.T' "/proc/$pid/status" || fail "$what: it is $(grep ^State "/proc/$pid/status")"
            size=$(stat -c %s out)
            sleep 0.3
            same "$what: bytes of output while it is stopped" "$size" "$(stat -c %s out)"
            kill -CONT $pid
            echo x >&8
            wait $pid || got=$?
            same "$what: status ($(cat err))" $status $got
            right || fail "$what: output: $(tail -n 3 out)"
        done
    done
}

echo "# sleeps"
started() { [ "$(cat "/proc/$pid/comm")" = sleep ]; }
right() { read -r _ <&8; }
like_native 0 sleep 1.2
echo "# waits in a read"
started() { [ "$(cat "/proc/$pid/comm")" = head ]; }
right() { [ "$(cat out)" = x ]; }
like_native 0 head -n 1
