#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# admit.sh: who is taken as a guest: block, limits by number, load and memory, partitions with their file wrong and right, a better
# guest that takes a worse one's place, expel, out, bring, shutdown; what mosctl, bestnode and the others are told of it.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires root python3
. "$top_srcdir/tests/cluster/lab.sh"
counter=$top_builddir/tests/migrate/counter
lab_up 2
wait_for 15 is_whole 3 head n1 n2
cluster run n2 sh -c 'cat >/tmp/counter && chmod +x /tmp/counter' <"$counter" || exit 99

# begin FROM [OPTION...]: its number is in $pid
begin()
{
    local program=/tmp/counter
    [ "$1" != head ] || program=$counter
    cluster run "$1" mosrun "${@:2}" "$program" 400 300 >"$tmp/out.$1" 2>&1 &
    at_exit "kill $! 2>/dev/null"
}
pids() { cluster run "$1" mosps -a | awk '$NF ~ /counter/ { print $1 }'; }
place() { cluster run "$1" mosps -a | awk -v p="$2" '$1 == p { print $2 }'; }
is_at() { [ "$(place "$1" "$2")" = "$3" ]; }
count_is() { [ "$(pids "$1" | wc -l)" = "$2" ]; }
# refused NODE WORDS: a process of the head's that would go there
refused()
{
    local words
    words=$(cluster run head mosrun "-r$1" true 2>&1) && fail "mosrun went to $1"
    [[ $words == *"$2"* ]] || fail "mosrun says '$words' and not '$2'"
}
node() { json "$1" status "[n[$3] for n in d['nodes'] if n['name'] == '$2'][0]"; }
node_is() { [ "$(node "$1" "$2" "$3")" = "$4" ]; }

echo '# nobody is taken'
ask n1 block || fail "block"
refused n1 'node n1: takes no guests now (blocked)'
wait_for 10 node_is head n1 "'is_blocked'" True
ask head status n1 | grep -q ' shut$' || fail "status: $(ask head status n1)"
same 'the best other node' n2 "$(cluster run head bestnode -r)"
cluster kill n1
cluster start n1 || fail "start n1"
wait_for 15 is_whole 3 head n1 n2
refused n1 blocked # it is kept
ask n1 noblock || fail "noblock"
cluster run head mosrun -rn1 true || fail "mosrun -rn1 after noblock"
words=$(cluster run n1 setpriv --reuid 65534 --clear-groups mosctl block 2>&1) && fail "anybody can block"
[[ $words == *'only root'* ]] || fail "mosctl says: $words"

echo '# as many as there may be'
ask n1 maxguests 1 || fail "maxguests"
same maxguests 1 "$(ask n1 maxguests)"
ask n1 maxguests 151 2>/dev/null && fail "maxguests 151"
begin head -rn1
wait_for 10 count_is head 1
job=$(pids head)
wait_for 10 is_at head "$job" n1
refused n1 'node n1: has as many guests as it takes'
wait_for 10 node_is head n1 "'guests_max'" 1
wait_for 10 node_is head n1 "'is_blocked'" True

echo '# one that is better'
conf() { cluster run "$1" sh -c "cat >/etc/mosix/partitions; mosctl localstatus >/dev/null; kill -HUP \$(cat /run/mosixd.pid)"; }
says() { [[ $(json "$1" localstatus "d['config']['error']") == *"$2"* ]]; }
printf '# whose\nblue 20 2-3\nred refuse ant\n' | conf n1
wait_for 5 says n1 "partitions, line 3: no node is called 'ant'"
printf '# whose\nblue 20 n1 n2\n' | conf n1
wait_for 5 says n1 None
wait_for 5 node_is n1 n2 "'partition'" blue
# The one that is here was taken with rank 1: one of the partition does not push it out.
words=$(cluster run n2 mosrun -rn1 true 2>&1) && fail "mosrun went to n1, which is full"
cluster run head migrate "$job" home && wait_for 10 is_at head "$job" home
# Its connection is kept for a moment.
# One that goes over the connection that was just let go fails, and is asked for anew.
is_there() { is_at head "$job" n1 || { cluster run head migrate "$job" n1 2>/dev/null; sleep 0.2; is_at head "$job" n1; }; }
again() { wait_for 10 is_there; }
guests_are() { [ "$(json "$1" localstatus "d['node']['guests']")" = "$2" ]; }
wait_for 10 guests_are n1 0
again
begin n2 -rn1
wait_for 10 count_is n2 1
better=$(pids n2)
wait_for 10 is_at n2 "$better" n1
wait_for 10 is_at head "$job" home
grep -q 'needs its place for somebody better' "$dir/log.head" || fail "the head's log does not say why"
refused n1 'as many guests'
printf 'blue refuse n1 n2\n' | conf n1
wait_for 5 says n1 None
is_at n2 "$better" n1 || fail "a guest was lost by a new file"
ask n1 maxguests 64
refused n1 'takes processes of its own partition, blue, only'
cluster run n1 rm /etc/mosix/partitions
printf '' | conf n1
wait_for 5 node_is n1 n2 "'partition'" None

echo '# out, expel, bring'
again
wait_for 5 guests_are n1 2
pid=$(cluster run n1 python3 -c '
import json, socket
s = socket.socket(socket.AF_UNIX)
s.connect("/run/mosix/control")
s.sendall(b"processes\n")
s.shutdown(socket.SHUT_WR)
print([g["pid"] for g in json.loads(s.makefile().read())["guests"] if g["home_name"] == "head"][0])')
cluster run n1 migrate 1 out 2>/dev/null && fail "migrate 1 out"
cluster run n1 migrate "$pid" out || fail "migrate $pid out"
wait_for 5 is_at head "$job" home
wait_for 10 guests_are n1 1
again
ask n1 expel || fail "expel"
guests_are n1 0 || fail "guests after expel"
wait_for 5 is_at n2 "$better" home
wait_for 5 is_at head "$job" home
again
ask head bring || fail "bring"
is_at head "$job" home || fail "bring has ended, and it is at $(place head "$job")"

echo '# a node by its name, number and address'
for what in n1 1 10.77.0.1; do
    cluster run head mosrun "-r$what" true || fail "mosrun -r$what"
    [ $what = n1 ] || cluster run head mosrun "-$what" true || fail "mosrun -$what"
    cluster run head migrate "$job" $what || fail "migrate to $what"
    wait_for 5 is_at head "$job" n1
    same "whois $what" '1 n1 10.77.0.1 main' "$(ask head whois $what)"
    ask head status $what | grep -q ' n1 .*alive' || fail "status $what"
    cluster run head migrate "$job" home || fail "migrate home"
    wait_for 5 is_at head "$job" home
done

echo '# one that is frozen is counted'
cluster run head migrate "$job" freeze || fail "freeze"
wait_for 10 node_is head head "'frozen'" 1
wait_for 10 node_is n1 head "'frozen'" 1
cluster run head migrate "$job" continue || fail "continue"
wait_for 10 node_is head head "'frozen'" 0

echo '# load and memory'
yes >/dev/null &
busy=$!
at_exit 'kill $busy 2>/dev/null'
ask n1 maxload 1
has_load() { [ "$(json n1 localstatus "d['load']['own_centi']")" -ge 1 ]; }
wait_for 10 has_load
refused n1 'node n1: has too much load to take guests'
ask n1 maxload 0
kill $busy
cluster run head mosrun -rn1 -m16000000 true 2>"$tmp/words" && fail "mosrun -m16000000"
grep -q 'node n1: has too little free memory for it' "$tmp/words" || fail "mosrun -m says: $(cat "$tmp/words")"

echo '# shutdown'
again
guest_line() { ask n1 localstatus | grep -Eqx "guest +[0-9]+ counter of head, there $job, priority 1"; }
wait_for 5 guest_line
words=$(cluster run n1 setpriv --reuid 65534 --clear-groups mosctl shutdown 2>&1) && fail "anybody can shut it down"
[[ $words == *'only root'* ]] || fail "mosctl says: $words"
ask n1 shutdown || fail "shutdown"
is_at head "$job" home || fail "after shutdown the head's job is at $(place head "$job")"
all_say left n1 head n2 || fail "the others take n1 for $(state head n1), $(state n2 n1)"
ask n1 localstatus 2>/dev/null && fail "mosixd runs after shutdown"
cluster start n1 || fail "start n1"
wait_for 15 is_whole 3 head n1 n2
cluster run head mosrun -rn1 true || fail "n1 takes no guests after a shutdown"
