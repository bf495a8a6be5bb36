#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# examples.sh: the examples of jobs that move do what they say, on a cluster of three nodes.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
requires bc awk make gcc
cluster_up
unset MAKEFLAGS
cd "$tmp" || exit 99
close_inherited # pipes of whoever runs the tests can't be in a checkpoint
says() { grep -q -- "$1" said || fail "should say '$1': $(cat said)"; }
moved() { grep -c "is at $1" "$log"; }

echo "# a long computation"
digits=2000
"$top_srcdir/examples/long-computation/run" n1 $digits >said || fail "long-computation: $(cat said)"
cat said
says " n1 .* bc$"
says " home .* bc$"
same "pi" "pi to $digits digits ends with $(echo "scale=$digits; 4*a(1)" | BC_LINE_LENGTH=0 bc -lq | tail -c 12)" "$(tail -n 1 said)"

echo "# a checkpoint"
"$top_srcdir/examples/checkpoint/run" 20 >said || fail "checkpoint: $(cat said)"
cat said
says "^killed$"
says "^whole$"
same "what it ends with" "step $(awk 'BEGIN { for (step = 1; step <= 20; step++) for (i = 0; i < 300000; i++) s += sin(i * step); print 20, s }')" "$(tail -n 1 said)"

echo "# compilers elsewhere"
cp -r "$top_srcdir/examples/make-elsewhere" . && cd make-elsewhere || exit 99
before=$(($(moved n1) + $(moved n2)))
make -j2 >../said 2>&1 || fail "make: $(cat ../said)"
same "what was made" 3682913 "$(./sum)"
after=$(($(moved n1) + $(moved n2)))
echo "# $((after - before)) tools ran elsewhere"
[ $((after - before)) -ge 2 ] || fail "of three compilers only $((after - before)) tools ran elsewhere: $(tail -n 20 "$log")"
rm -f sum.o
make NODES=9 >../said 2>&1 || fail "make with no such node: $(cat ../said)"
same "what was made here" 3682913 "$(./sum)"
