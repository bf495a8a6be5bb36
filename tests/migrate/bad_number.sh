#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2154 # of who runs it
# bad_number.sh DIRECTORY: of bad_days.sh, in a namespace of processes of its own, on the head of its lab: three jobs are killed, and
# another process gets the number of each at once; it is let alone. Its status says what it was done. It prints what migrate says.
set -u
MOSIX_RUN=$1/mosix.${1##*.} # which is what its cgroups are called
export MOSIX_RUN
"$top_builddir/mosix-core/mosixd/mosixd" -v -c "$1/etc" -r "$MOSIX_RUN" -n head >"$1/log.numbers" 2>&1 </dev/null & daemon=$!
until grep -q listens "$1/log.numbers"; do sleep 0.05; done
place() { mosps -a | awk -v pid="$pid" '$1 == pid { print $2 }'; }
for turn in 1 2 3; do
    mosrun "$top_builddir/tests/migrate/couple" alone 1000 20 >/dev/null 2>&1 </dev/null & pid=$!
    until [ "$(place)" = home ]; do sleep 0.05; done
    [ $turn = 1 ] || { migrate $pid n1 || exit 1; until [ "$(place)" = n1 ]; do sleep 0.05; done; }
    [ $turn != 3 ] || { migrate $pid home & migrate $pid n2; } 2>/dev/null
    kill -9 $pid
    wait $pid 2>/dev/null
    # The next process has that number.
    until [ "$(echo $((pid - 1)) >/proc/sys/kernel/ns_last_pid; sleep 100 >/dev/null 2>&1 & echo $!)" = $pid ]; do sleep 0.01; done
    began=$(cut -d' ' -f22 "/proc/$pid/stat")
    for to in n1 home n2 checkpoint freeze continue chkstop; do migrate $pid $to && exit 2; done
    mosps | grep "^ *$pid " && exit 3
    sleep 1
    kill -0 $pid || exit 4
    grep -q "TracerPid:.0$" "/proc/$pid/status" || exit 5
    [ "$(tr '\0' ' ' <"/proc/$pid/cmdline")" = "sleep 100 " ] || exit 6
    [ "$(cut -d' ' -f22 "/proc/$pid/stat")" = "$began" ] || exit 7
    kill $pid
done
kill $daemon
wait $daemon
pgrep -f '^mosixd:' && exit 8
rmdir "$MOSIX_RUN"/[jg]
