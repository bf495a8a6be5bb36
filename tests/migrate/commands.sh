#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# commands.sh: what mosrun's options, moskillall and mosimg do: where programs begin, what inner ones inherit, who may signal whom,
# checkpoints by time and of processes that are away, and recovery with other files.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
cluster_up
counter=$top_builddir/tests/migrate/counter
cd "$tmp" || exit 99
user=$(test_user)
as_u=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups --inh-caps=-all)
says() { grep -q -- "$1" said || fail "should say '$1': $(cat said)"; }
has_line() { [ -s out ]; }
ends() { local got=0; wait "$pid" || got=$?; same "$1" "$2" $got; }
go() { migrate $pid "$1" || fail "migrate $1"; wait_for 10 is_at $pid "$1"; }
turns=100
begin() # OPTIONS...: the counter
{
    : >out
    mosrun "$@" "$counter" $turns 20 >out 2>err </dev/null & pid=$!
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 10 has_line
}
"$counter" 100 20 >native

echo "# where programs begin"
for at in "-rn1 n1" "-3 n2" "-10.77.0.1 n1" "-F -rn2 n2" "-j2-2,2 n1"; do
    begin ${at% *}
    wait_for 10 is_at $pid "${at##* }"
    [ "${at##* }" = n1 ] || kill -9 $pid
    [ "${at##* }" = n1 ] || continue
    ends "status of mosrun $at" 7
    cmp native out || fail "output of mosrun $at"
done
kill_daemon n2
for at in -rn9 -9 -10.1.2.3 -rn2; do
    same "begin at a node that isn't there ($at)" 1 "$(status mosrun $at true 2>said)"
    says "^mosrun: "
    same "with -F" 5 "$(status mosrun $at -F sh -c 'exit 5' 2>said)"
done
echo "# a node with a lesser processor than its programs may have found at home"
sed 's/^flags.*/flags\t\t: fpu lm cmov cx8 fxsr mmx sse sse2/' /proc/cpuinfo | on_node n2 sh -c 'cat >/tmp/cpuinfo && mount --bind /tmp/cpuinfo /proc/cpuinfo' || fail "cpuinfo"
daemon n2
same "begin there" 1 "$(status mosrun -rn2 true 2>said)"
says "n2.* has a lesser processor than its home: it lacks cx16, lahf_lm and [0-9]* more"
same "or at home" 5 "$(status mosrun -rn2 -F sh -c 'exit 5' 2>said)"
begin -rn1
wait_for 10 is_at $pid n1
migrate $pid n2 2>said
wait_for 10 eval 'mosps -w | grep -q "lesser processor"'
is_at $pid n1 || fail "it was at n1, and is at $(place $pid)"
ends "status of what stayed at n1" 7
cmp native out || fail "output of what stayed at n1"
kill_daemon n2
on_node n2 umount /proc/cpuinfo || fail "cpuinfo"
daemon n2
same "the best node of a static map" 1 "$(status mosrun -b true 2>said)"
says "their map is static"
same "or at home" 5 "$(status mosrun -b -F sh -c 'exit 5')"

echo "# a job that is being debugged"
begin
strace -o trace -p $pid 2>/dev/null & strace=$!
at_exit "kill -9 $strace 2>/dev/null"
wait_for 10 test -s trace
migrate $pid n1 2>said
wait_for 10 eval "mosps -w | grep -q 'is traced by process $strace'"
is_at $pid home || fail "a job that is being debugged is at $(place $pid)"
kill $strace
wait $strace
go n1
ends "status of what was debugged" 7
cmp native out || fail "output of what was debugged"

for option in -r -jx -j0 -j5-2 -O1 -m -mx -N0 -A -A0 -Ax -D -D0 -Dx -D1:2:3:4 -D:5 -D1: -d -d10001 -dx -Mx -Ex -T -X/tmp -q -Q5 -P4 -S2; do
    same "status of $option" 2 "$(status mosrun $option true 2>said)"
done

echo "# what is noted, and inherited"
list='mosps | awk '\''$NF == "mosps" { print $5, $6, $7 }'\'
same "as it is" "0 - 0" "$(mosrun sh -c "$list")"
same "noted" "7 LC 500" "$(mosrun -J7 -L -m500 -c sh -c "$list")"
same "inherited" "7 LC 500" "$(mosrun -J7 -L -m500 -c mosrun sh -c "$list")"
same "changed inside" "8 - 9" "$(mosrun -J7 -L -m500 -c mosrun -J8 -l -n -m9 sh -c "$list")"
same "native" "" "$(mosrun -J7 -L native sh -c "$list")"

same "what means nothing here" 5 "$(status mosrun -i -e -w -u -t sh -c "exit 5")"
same "statistics that decay" 7 "$(status mosrun -d 500 -d7 sh -c "exit 7")"
same "how long it will run" "-,1:02:30,0:01" "$(mosrun mosps -t | awk '$NF == "mosps" { print $8 }'),$(mosrun -D1:2:30 mosps -t | awk '$NF == "mosps" { print $8 }'),$(mosrun -D1 mosps -t | awk '$NF == "mosps" { print $8 }')"

echo "# moskillall"
sleepers=()
nap() { "$@" sleep 300 & sleepers+=($!); at_exit "kill -9 $! 2>/dev/null"; }
nap mosrun -J21
nap mosrun -J21
nap mosrun -J22
nap "${as_u[@]}" mosrun -J21
are_jobs() { [ "$(mosps -a | grep -c 'sleep$')" = 4 ]; }
wait_for 10 are_jobs
same "an ordinary user's" 0 "$("${as_u[@]}" bash -c 'moskillall -0 -j21; echo $?')"
same "somebody else's" 1 "$("${as_u[@]}" bash -c 'moskillall -0 -a -j22; echo $?' 2>said)"
says "Operation not permitted"
same "none of that job" 1 "$(status moskillall -j23)"
same "no such signal" 2 "$(status moskillall -NOSUCH 2>said)"
same "all of one job" 0 "$(status moskillall -USR1 -j21)"
for i in 0 1; do
    s=0; wait "${sleepers[i]}" || s=$?
    same "status of the one job" 138 $s
done
kill -0 "${sleepers[2]}" && kill -0 "${sleepers[3]}" || fail "others than those of the job are gone"
migrate "${sleepers[2]}" n1
wait_for 10 is_at "${sleepers[2]}" n1
moskillall || fail "moskillall of root's"
s=0; wait "${sleepers[2]}" || s=$?
same "one that was away" 143 $s
kill -0 "${sleepers[3]}" || fail "a user's is gone"
moskillall -s KILL -a || fail "everybody's"

echo "# checkpoints by time, two of which are kept, while it is here and there"
close_inherited # pipes of whoever runs the tests
counts() { grep -c "a checkpoint of job $pid:" "$log"; }
turns=220
"$counter" $turns 20 >native220 &
begin -Ck -A0.02 -N2
go n1
is_third() { [ "$(counts)" -ge 3 ]; }
wait_for 20 is_third
wait_for 10 is_at $pid n1 # it has come home for them, and gone back
timer=$(ps -eo pid=,args= | awk -v title="mosixd: checkpoints of $pid" '{ p = $1; $1 = ""; sub(/^ /, "") } $0 == title { print p }')
kill -9 "$timer" || fail "nobody makes checkpoints of $pid"
lines=$(wc -l <out)
goes_on() { [ "$(wc -l <out)" -gt "$lines" ]; }
wait_for 10 goes_on
kill -9 $pid
wait $pid
same "their names" "k.1 k.2" "$(echo k.*)"
mosimg -q k.1 k.2 || fail "they are not whole"
mosimg k.1 k.2 >said || fail "mosimg"
says "^k.2:$"
same "whole" 2 "$(grep -c '^whole$' said)"
newest=k.1
[ k.1 -nt k.2 ] || newest=k.2
cp "$newest" spoilt && printf changed | dd of=spoilt bs=1 seek=5000 conv=notrunc status=none
same "a spoilt one" 1 "$(status mosimg -q k.1 spoilt 2>said)"
says "mosimg: spoilt: .*changed"
mv out moved
got=0
mosrun -R"$newest" -O1=moved -F -rn2 || got=$?
same "status of the recovered" 7 $got
wait
cmp native220 moved || fail "output of the recovered"
same "-O without -R" 2 "$(status mosrun -O1=x true 2>said)"
wait_for 10 sh -c "! ps -eo args= | grep -q '^mosixd: checkpoints of $pid\$'"

echo "# a checkpoint of a process that is away"
rm -f k.*
turns=100
begin -Ck
go n1
same "its name" "$PWD/k.1" "$(migrate $pid checkpoint)"
wait_for 10 is_at $pid n1
same "chkexit" "$PWD/k.2" "$(migrate $pid chkexit)"
ends "chkexit of a process that was away" 137
got=0
mosrun -Rk.2 || got=$?
same "status of the recovered" 7 $got
cmp native out || fail "output of the recovered"

echo "# the best node, as gossip tells"
for n in head n1 n2; do kill_daemon $n; done
mkdir -m 700 owner
printf '1 head 10.77.0.254\n2 n1 10.77.0.1\n3 n2 10.77.0.2\n' >owner/mosix.map
mosctl keygen -d owner >/dev/null || fail "keygen"
for n in head n1 n2; do mosctl certify -d owner $n >/dev/null || fail "certify $n"; done
cp -p owner/head/* "$tmp/etc" || exit 99
for n in n1 n2; do
    tar -C owner/$n -c . | on_node $n tar -C /etc/mosix -x --no-same-owner || fail "files on $n"
done
for n in head n1 n2; do daemon $n; done
same "more memory than there is" 1 "$(status mosrun -b -m16777216 true 2>said)"
says "no node has 16777216 MiB free"
# What was chosen counts, so that some go elsewhere as soon as others are known.
places() { mosps | awk '$5 == 31 { print $2 }' | sort -u; }
spreads()
{
    mosrun -b -J31 sleep 60 & at_exit "kill $! 2>/dev/null"
    sleep 0.2
    [ "$(places | wc -l)" -ge 2 ]
}
wait_for 20 spreads
echo "# chosen: $(places | xargs)"
