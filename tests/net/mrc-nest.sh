#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-nest.sh: jobs that jobs start (docs/nesting.md): three targets deep, with the head's files at their paths, streams,
# statuses, signals, a terminal; what a job may not ask for.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
limit=60
lab_up 3
nest() { m --nest 'n[123]' "$@"; }
says() { grep -Eq -- "$2" "$3" || fail "$1: it says $(cat "$3")"; }
echo contents >"$home/proj/f"
mkdir "$home/proj/sub"
chown -R "$user:" "$home/proj"

echo "# A, B, C"
# shellcheck disable=SC2016
nest alice@n1 sh -c 'cd sub && FROM_B=yes mrc -q alice@n2 sh -c "uname -n; pwd; cat ../f; echo \$FROM_B; echo made at n2 >new; echo words >&2; exit 7"; echo "rc $?"; cat new' >"$tmp/o" 2>"$tmp/e"
same "status" 0 $?
same "output" "n2 $home/proj/sub contents yes rc 7 made at n2" "$(paste -sd' ' "$tmp/o")"
same "standard error" words "$(cat "$tmp/e")"
same "here too" "made at n2" "$(cat "$home/proj/sub/new")"

echo "# A, B, C, D, and back: each appends and reads what the others wrote"
# shellcheck disable=SC2016
nest alice@n1 sh -c 'uname -n >trail; mrc -q alice@n2 sh -c "uname -n >>trail; mrc -q alice@n3 sh -c \"uname -n >>trail; cat trail\"; cat trail | wc -l"; uname -n >>trail' >"$tmp/o" 2>"$tmp/e"
rc=$?
same "status: $(cat "$tmp/e")" 0 $rc
same "seen at the end and on the way back" "n1 n2 n3 3" "$(paste -sd' ' "$tmp/o")"
same "here" "n1 n2 n3 n1" "$(paste -sd' ' "$home/proj/trail")"

echo "# A, B, C and D take turns in changing one file; each goes on only when it has seen what the one before it wrote"
cat >"$home/proj/play.sh" <<'P'
tries=0
while [ "$tries" -lt 900 ]; do
    n=$(cat turn)
    [ "${n:-0}" -lt 24 ] || exit 0
    if [ -n "$n" ] && [ $((n % 4)) = "$1" ]; then
        echo "$1 saw $n" >>turns
        echo $((n + 1)) >turn
    else
        tries=$((tries + 1))
        sleep 0.02
    fi
done
exit 1
P
echo 0 >"$home/proj/turn"
chown "$user:" "$home/proj/turn"
# shellcheck disable=SC2016
nest alice@n1 sh -c 'sh play.sh 1 & mrc -q alice@n2 sh -c "sh play.sh 2 & mrc -q alice@n3 sh play.sh 3 && wait \$!" && wait $!' >"$tmp/o" 2>"$tmp/e" & job=$!
here sh play.sh 0 || fail "A's turn did not come: $(cat "$home/proj/turns")"
wait $job
same "turns there: $(cat "$tmp/o" "$tmp/e")" 0 $?
same "turns" "$(for i in $(seq 0 23); do echo "$((i % 4)) saw $i"; done)" "$(cat "$home/proj/turns")"

echo "# a loop: B, C, B"
nest alice@n1 mrc -q alice@n2 mrc -q alice@n1 uname -n >"$tmp/o" 2>"$tmp/e"
same "loop: $(cat "$tmp/e")" "n1" "$(cat "$tmp/o")"

echo "# streams"
same "3 MB both ways" 3000000 "$(head -c 3000000 /dev/zero | nest alice@n1 mrc -q alice@n2 cat | wc -c)"
# shellcheck disable=SC2016
same "a pipeline there" "$(seq 200000 | cksum)" "$(nest alice@n1 sh -c 'seq 200000 | mrc -q alice@n2 cat | mrc -q alice@n3 cat' | cksum)"
nest alice@n1 sh -c 'mrc -q alice@n2 yes | head -2' >"$tmp/o" 2>"$tmp/e"
same "a reader that goes: $(cat "$tmp/e")" "y y" "$(paste -sd' ' "$tmp/o")"

echo "# two at a time append to one file, one after the other by a lock"
# shellcheck disable=SC2016
nest alice@n1 sh -c ': >log; for n in n2 n3; do mrc -q alice@$n sh -c "i=0; while [ \$i -lt 25 ]; do flock lock sh -c \"echo \\\$(uname -n) >>log\"; i=\$((i+1)); done" & done; wait' >"$tmp/o" 2>"$tmp/e"
same "all are there: $(cat "$tmp/o" "$tmp/e")" "25 n2 25 n3" "$(sort "$home/proj/log" | uniq -c | awk '{ print $1, $2 }' | paste -sd' ')"

echo "# signals, and the end of those in between"
nest alice@n1 sh -c 'mrc -q alice@n2 sh -c "kill -9 \$\$"' >"$tmp/o" 2>"$tmp/e"
same "killed there is killed here" 137 $?
# shellcheck disable=SC2016
here sh -c 'echo $$ >pid; exec mrc -q -F "$0" --nest "n*" alice@n1 mrc -q alice@n2 sh -c "echo up; sleep 300"' "$conf" >"$tmp/o" 2>"$tmp/e" & job=$!
wait_for 30 grep -q up "$tmp/o"
no_job() { ! "$lab" --name "$name" run "$1" -- pgrep -f 'sleep 300' >/dev/null; }
kill -TERM "$(cat "$home/proj/pid")"
wait $job
same "ends by the signal" 143 $?
wait_for 10 no_job n2
# shellcheck disable=SC2016
here sh -c 'echo $$ >pid; exec mrc -q -F "$0" --nest "n*" alice@n1 mrc -q alice@n2 sh -c "echo up; sleep 300"' "$conf" >"$tmp/o" 2>"$tmp/e" & job=$!
wait_for 30 grep -q up "$tmp/o"
kill -KILL "$(cat "$home/proj/pid")"
wait $job
wait_for 20 no_job n2
wait_for 20 no_job n1

echo "# a terminal"
: >"$tmp/o"
stty_size="stty rows 31 cols 77; exec mrc -q -F $conf --nest 'n*' alice@n1 mrc -q alice@n2 sh -c 'tty; stty size; test -t 0 && test -t 1 && echo both; read x; echo got \$x'"
(for _ in $(seq 300); do grep -q both "$tmp/o" && break; sleep 0.1; done; echo typed) | here timeout 50 script -qec "$stty_size" /dev/null >"$tmp/o" 2>"$tmp/e"
says "its size" '31 77' "$tmp/o"
says "what is typed" 'got typed' "$tmp/o"
says "a terminal there" /dev/pts "$tmp/o"
says "its standard streams" both "$tmp/o"

echo "# what is refused"
refused()
{
    local what=$1 regex=$2
    shift 2
    nest alice@n1 mrc "$@" >"$tmp/o" 2>"$tmp/e"
    rc=$?
    same "$what: status ($(cat "$tmp/e"))" 255 $rc
    same "$what: nothing is run" "" "$(cat "$tmp/o")"
    says "$what" "$regex" "$tmp/e"
    same "$what: one sentence" 1 "$(wc -l <"$tmp/e")"
}
refused "another host" 'head.*--nest other|other.*may not start' alice@other echo run
refused "a command here" 'does not take --via' --via 'sh -c' x echo run
cat >"$home/proj/baits.sh" <<'B'
for bait in '$(touch${IFS}pwned)' 'a;touch${IFS}pwned' '`touch pwned`' "a'b" 'a|b' 'a b'; do
    mrc "$bait" echo run; echo "name $?"
    mrc -l "$bait" n2 echo run; echo "user $?"
    mrc -p "$bait" n2 echo run; echo "port $?"
done
B
m --nest '*' alice@n1 sh baits.sh >"$tmp/o" 2>"$tmp/e"
same "names, users and ports that are commands" "6 name 255 6 port 255 6 user 255" "$(sort "$tmp/o" | uniq -c | awk '{ print $1, $2, $3 }' | paste -sd' ')"
same "names that are commands: $(cat "$tmp/e")" 18 "$(grep -c 'names of letters' "$tmp/e")"
[ ! -e "$home/proj/pwned" ] || fail "a name was run as a command"
refused "this computer" 'does not take local:' local: echo run
refused "options of ssh" 'does not take -o' -o ProxyCommand=true alice@n2 echo run
refused "files of here" 'does not take --head' --head /etc alice@n2 echo run
refused "hidden files of here" 'does not take --hide, --show' --show "$home/.ssh" alice@n2 echo run
refused "more rights" 'does not take --nest' --nest '*' alice@n2 echo run
m --nest 'n[23]' alice@n1 sh -c 'cp /.mrc/mrc ~/mrc'
m alice@n1 sh -c 'command -v mrc; ls -d /.mrc; ~/mrc n2 echo run' >"$tmp/o" 2>"$tmp/e"
same "without it, nothing is there" "" "$(cat "$tmp/o")"
says "not allowed" 'mrc --nest at its head allows it' "$tmp/e"
# What was hidden from the first is hidden from the second.
mkdir "$home/.ssh"
echo secret >"$home/.ssh/id"
chown -R "$user:" "$home/.ssh"
same "hidden" "" "$(nest alice@n1 mrc -q alice@n2 sh -c "cat $home/.ssh/id 2>/dev/null")"

echo "# on connections and views that are kept"
kept() { here env MRC_HUB_IDLE=20 timeout $limit mrc -q -F "$conf" --nest 'n*' "$@"; }
for i in 1 2 3; do
    same "job $i" "n2 contents" "$(kept alice@n1 mrc -q alice@n2 sh -c 'uname -n; cat f' | paste -sd' ')"
done
here env MRC_HUB_IDLE=20 mrc stop >"$tmp/o" 2>&1 || fail "mrc stop: $(cat "$tmp/o")"
