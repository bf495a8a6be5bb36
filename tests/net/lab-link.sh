#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Links of a lab cluster keep what they promise: delay, rate, loss, cut; and go away without a trace.
set -eu
lab=${top_srcdir:-.}/examples/lab/lab
one=l-$$

[ "$(id -u)" = 0 ] || { echo "skip: lab needs root"; exit 77; }
[ -c /dev/net/tun ] || { echo "skip: no /dev/net/tun"; exit 77; }
command -v ping >/dev/null || { echo "skip: no ping (package iputils-ping)"; exit 77; }
fail() { echo "FAIL: $*" >&2; exit 1; }
L() { "$lab" --name "$one" "$@"; }
trap 'L down' EXIT

# between NAME LOW VALUE HIGH: whole numbers or decimals.
between() { awk -v a="$2" -v x="$3" -v b="$4" 'BEGIN { exit !(a <= x && x <= b) }' || fail "$1: $3 is not in $2..$4"; }

# rtt FROM TO: minimum of ten round trips in ms.
rtt() { L run "$1" -- ping -q -c 10 -i 0.1 "$2" | sed -n 's|^rtt.* = \([0-9.]*\)/.*|\1|p'; }

# count A B FIELD: of the direction from A to B.
count() { L stats "$1" "$2" | sed -n "s/^$1>$2 .*\b$3=\([0-9]*\).*/\1/p"; }

L up 3 --for $$

L link n1 n3 --delay 40ms
between "round trip at 40 ms" 80 "$(rtt n1 n3)" 81
between "round trip of another pair" 0 "$(rtt n1 n2)" 5
L link n3 n1 --delay 0 --one-way
between "round trip, 40 ms one way" 40 "$(rtt n1 n3)" 41
L link n1 n3 --clear
between "round trip without link" 0 "$(rtt n1 n3)" 5
if L run n1 -- ip link show to-n3 2>/dev/null; then fail "an interface is left"; fi
L link n1 n3 --clear            # again: nothing to do

# Counts, and that each ping and its answer are two turns.
L link n1 n2 --delay 1ms
L run n1 -- ping -q -c 5 -i 0.05 n2 >/dev/null
between "packets" 5 "$(count n1 n2 packets)" 5
between "bytes" 490 "$(count n2 n1 bytes)" 490
between "turns" 9 "$(L stats n1 n2 | sed -n 's/^turns=//p')" 9
L stats n1 n2 --reset
between "packets after reset" 0 "$(count n1 n2 packets)" 0

# Loss: the same seed loses the same packets.
L link n1 n2 --delay 0 --loss 10% --seed 42
L run n1 -- ping -q -c 300 -i 0.002 -W 0.1 n2 >/dev/null || true
first="$(count n1 n2 lost) $(count n2 n1 lost)"
L stats n1 n2 --reset
L link n1 n2 --seed 42
L run n1 -- ping -q -c 300 -i 0.002 -W 0.1 n2 >/dev/null || true
[ "$first" = "$(count n1 n2 lost) $(count n2 n1 lost)" ] || fail "losses with the same seed differ: $first and others"
between "lost of 300 at 10 %" 10 "${first% *}" 55

# A cut lasts as long as it was told.
L link n1 n2 --loss 0 --cut 1s
began=${EPOCHREALTIME/[.,]/}
until L run n1 -- ping -q -c 1 -W 0.1 n2 >/dev/null; do
    [ $((${EPOCHREALTIME/[.,]/} - began)) -lt 20000000 ] || fail "a cut of a second does not end"
done
between "a cut of a second, ms" 850 $(((${EPOCHREALTIME/[.,]/} - began) / 1000)) 3000
L link n1 n2 --cut inf
if L run n1 -- ping -q -c 2 -i 0.05 -W 0.1 n2 >/dev/null; then fail "a cut without end lets packets through"; fi
L link n1 n2 --cut 0
L run n1 -- ping -q -c 1 -W 2 n2 >/dev/null || fail "the end of a cut"

# A connection lives on while its link comes, changes and goes, and the rate is what was asked for.
L ssh n1 'cat >/dev/null; echo all of it' >"/run/mrc-lab-$one/out" < <(timeout 9 cat /dev/zero) &
stream=$!
sleep 0.5
L link head n1 --delay 40ms --rate 100mbit
sleep 3
bytes=$(count head n1 out_bytes)
began=${EPOCHREALTIME/[.,]/}
sleep 3
bytes=$(($(count head n1 out_bytes) - bytes))
took=$((${EPOCHREALTIME/[.,]/} - began))
# 99,000 on an idle computer; a busy one may not fill the link, but nothing may exceed it.
between "rate at 100 Mbit/s in kbit/s" 10000 $((bytes * 8000 / took)) 102000
L link head n1 --rate 0 --delay 0
L link head n1 --clear
wait $stream || fail "a connection over a link that went away"
grep -qx 'all of it' "/run/mrc-lab-$one/out" || fail "the end of the stream"

# What is wrong is told in words, and changes nothing.
refused() { if L link "$@" 2>"/run/mrc-lab-$one/out"; then fail "link $* was taken"; fi; }
refused n1 n3 --delay 5
grep -q "delay: '5' has no unit" "/run/mrc-lab-$one/out" || fail "words for a delay without unit"
if L run n1 -- ip link show to-n3 2>/dev/null; then fail "a refused link left an interface"; fi
refused n1 n4 --delay 5ms
refused n1 n1 --delay 5ms
refused n1
echo "lab-link: ok"
