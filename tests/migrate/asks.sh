#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# asks.sh: what a program can ask and wish about itself: by the functions of mosix(3), linked statically or not, and by open() of
# /proc/self/NAME; a checkpoint of itself, which it recognises when it is made again.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
requires cc
cluster_up
cd "$tmp" || exit 99
asker=$top_builddir/tests/migrate/asker
lib=$top_builddir/mosix-core/lib
export MOSIX_OPEN_LIBRARY=$lib/libmosix-open.so
user=$(test_user)
as_u=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups --inh-caps=-all)
close_inherited # pipes of whoever runs the tests

echo "# functions"
cat >want <<'EOF2'
at home, 0, 0
short: ENAMETOOLONG
job: 12
sigmig: 0
no signal: ERANGE
out: 0
at n1, 2, 10.77.0.1
on: 0
at n2, 3, 10.77.0.2
nowhere: ENOENT
nonsense: ENOENT
moves: 2
locked: 0
lock: 0
locked: 1
unlock: 0
memory: 0
computes: 0
home: 0
at home, 0, 0
told: 3
EOF2
ln -s "$lib/libmosix.so.0" libmosix.so
ln -s "$lib/libmosix.so.0" .
cc -o shared -I"$top_srcdir" "$top_srcdir/tests/migrate/asker.c" -D_GNU_SOURCE -L. -lmosix || fail "link with libmosix.so"
for who in "" "${as_u[*]}"; do
    # shellcheck disable=SC2086
    $who mosrun -J12 "$asker" calls >got 2>&1 || fail "asker: $(cat got)"
    cmp want got || fail "${who:-root}: $(diff want got)"
done
LD_LIBRARY_PATH=. mosrun -J12 ./shared calls >got || fail "asker with libmosix.so"
cmp want got || fail "with libmosix.so: $(diff want got)"
same "what is no job" "where: EINVAL" "$("$asker" calls | head -n 1)"
same "without a daemon" "where: ENOTCONN" "$(MOSIX_RUN=$tmp/none "$asker" calls | head -n 1)"

echo "# open()"
cat >want <<'EOF2'
at 0
whereami: 0
migrate: 0
at 10.77.0.1
whereami: 2
nmigs: 1
lock: 0
lock: 1
cpujob: 0
cpujob: EACCES
migrate: 0
at 0
another: ENOENT
a real one: 1
EOF2
mosrun --proc-files "$asker" open >got || fail "asker by open()"
cmp want got || fail "by open(): $(diff want got)"
mosrun "$asker" open >got || fail "asker by open(), without the library"
same "without the library" "where: ENOENT" "$(head -n 1 got)"
same "without a library there" 1 "$(MOSIX_OPEN_LIBRARY=$tmp/none status mosrun --proc-files true 2>said)"
grep -q "which --proc-files needs" said || fail "words: $(cat said)"

echo "# a checkpoint of itself"
mosrun -Ck "$asker" checkpoint >out 2>err </dev/null && fail "asker's status"
printf '%s\n' 'keep: 0' '0: written to k.1' '1: written to k.2' 'out: 0' '2: written to k.1' >want
cmp want out || fail "checkpoints: $(cat out err)"
got=0
mosrun -Rk.2 -O1=again || got=$?
same "status of what was made again" 9 $got
same "what it says" "made again: 1" "$(cat again)"
