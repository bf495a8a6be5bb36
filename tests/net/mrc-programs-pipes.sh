#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc among other commands: big pipelines, loops, xargs, background jobs, signals; odd directories, big environments, many arguments.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
lab_up 1
limit=85

echo "# 1 GiB both ways"
start=$(date +%s)
yes 'sixteen bytes !' | head -c 1073741824 | tee >(sha256sum >"$tmp/sum.in") | job cat | sha256sum >"$tmp/sum.out"
wait_for 5 test -s "$tmp/sum.in"
same "checksum" "$(cat "$tmp/sum.in")" "$(cat "$tmp/sum.out")"
echo "# $(($(date +%s) - start)) s"
head -c 3000000 /dev/urandom >"$tmp/random"
same "bytes of any value" "$(sha256sum <"$tmp/random")" "$(job cat <"$tmp/random" | sha256sum)"
same "from a pipe" "$(sha256sum <"$tmp/random")" "$(cat "$tmp/random" | job dd bs=7777 status=none | sha256sum)"
same "to a file here" "$(sha256sum <"$tmp/random")" "$(job tee copy <"$tmp/random" | sha256sum >/dev/null; sha256sum <"$home/proj/copy")"
same "status in a pipeline" "3 0" "$(job sh -c 'seq 100000; exit 3' | job wc -l >/dev/null; echo "${PIPESTATUS[@]}")"
same "a slow reader" 400000 "$(job seq 400000 | { sleep 3; wc -l; })"
same "a slow writer" "a b " "$({ echo a; sleep 1; echo b; } | job sh -c 'while read x; do printf "%s " $x; done')"
same "order of both outputs" "1 2 3 4 " "$(job sh -c 'for i in 1 3; do echo $i; sleep 0.2; echo $((i+1)) >&2; sleep 0.2; done' 2>&1 | tr '\n' ' ')"

echo "# loops, xargs, background"
same "while read" "n1 a;n1 b;n1 c;" "$(printf '%s\n' a b c | while read -r x; do printf '%s %s;' "$(job uname -n)" "$x"; done)"
same "xargs -P4" "$(seq 1 12 | tr '\n' ' ')" \
    "$(seq 1 12 | here timeout $limit xargs -P4 -I{} mrc -q -F "$conf" alice@n1 sh -c 'echo {} > part.{}; cat part.{}' | sort -n | tr '\n' ' ')"
same "their files" 12 "$(find "$home/proj" -name 'part.*' | wc -l)"
pids=
for i in 1 2 3; do
    job sh -c "n=0; while [ \$n -lt 30 ]; do n=\$((n+1)); echo $i \$n >> log; mkdir d.\$n 2>/dev/null && echo $i > d.\$n/owner; mv -f own.$i own.$i.old 2>/dev/null; echo \$n > own.$i; done" &
    pids="$pids $!"
done
for p in $pids; do wait "$p" || fail "a job of several in one directory"; done
same "lines of all" "30 1;30 2;30 3;" "$(cut -d' ' -f1 "$home/proj/log" | sort | uniq -c | awk '{printf "%s %s;", $1, $2}')"
same "each directory made once" 30 "$(cat "$home"/proj/d.*/owner | wc -l)"
job sh -c 'sleep 2; echo late > late' &
same "meanwhile" n1 "$(job uname -n)"
wait $! || fail "background"
same "in the background" late "$(cat "$home/proj/late")"
m -f alice@n1 sh -c 'sleep 1; echo f > from-f' </dev/null || fail "-f"
wait_for 20 test -s "$home/proj/from-f"
here timeout $limit nohup mrc -q -F "$conf" alice@n1 sh -c 'kill -HUP $$; echo survived' >"$tmp/o" 2>/dev/null </dev/null
same "nohup" survived "$(cat "$tmp/o")"

echo "# signals"
same "timeout" "124 got" "$(here timeout 3 mrc -q -F "$conf" alice@n1 sh -c 'trap "echo got; exit 5" TERM; echo $$ > /dev/null; sleep 60 & wait' >"$tmp/o" 2>&1; echo "$? $(cat "$tmp/o")")"
same "timeout, no trap" "124 " "$(here timeout 2 mrc -q -F "$conf" alice@n1 sleep 60 >"$tmp/o" 2>&1; echo "$? $(cat "$tmp/o")")"
for s in USR1 USR2 ALRM HUP INT QUIT; do
    same "timeout -s $s" "124 $s" "$(here timeout -s $s 2 mrc -q -F "$conf" alice@n1 sh -c "trap 'echo $s; exit 5' $s; while :; do sleep 0.1; done" >"$tmp/o" 2>&1; echo "$? $(cat "$tmp/o")")"
done
here sh -c 'mrc -q -F "$1" alice@n1 sh -c "trap \"echo usr1; exit 9\" USR1; echo ready; while :; do sleep 0.1; done" > "$2" & p=$!
    until grep -q ready "$2"; do sleep 0.1; done; kill -USR1 $p; wait $p; echo $? >> "$2"' sh "$conf" "$home/proj/sig"
same "kill -USR1" "ready usr1 9 " "$(tr '\n' ' ' <"$home/proj/sig")"

echo "# root to root"
mkdir -p "$tmp/rw" && chmod 700 "$tmp/rw" && echo secret >"$tmp/rw/f"
rootconf=$("$lab" --name "$name" conf)
same "root" "0 secret n1" "$(cd "$tmp/rw" && "$lab" --name "$name" head -- timeout $limit mrc -q -F "$rootconf" root@n1 sh -c 'echo $(id -u) $(cat f) $(uname -n); echo 1 > made; chown 1002:1002 made; mknod dev c 1 3')"
same "owner" "1002" "$(stat -c %u "$tmp/rw/made")"
same "device" "character special file" "$(stat -c %F "$tmp/rw/dev")"

echo "# odd directories"
odd=$(printf 'with space/Grüße/new\nline/ "quotes" $HOME `x` *\x01')
mkdir -p "$home/$odd" && chown -R "$user:" "$home"
dir=$home/$odd
same "its name" "$(here pwd | sha256sum)" "$(job pwd | sha256sum)"
job sh -c 'echo 1 > file; ls' >/dev/null || fail "odd directory"
same "file there" 1 "$(cat "$home/$odd/file")"
deep=$home/proj
for i in $(seq 1 18); do deep=$deep/$(printf 'd%.0s' $(seq 200)); done
dir=$deep
mkdir -p "$deep" && chown -R "$user:" "$home"
same "a deep directory" "$deep" "$(job pwd)"
job sh -c 'echo deep > f' || fail "deep"
same "file there" deep "$(cat "$deep/f")"
dir=$tmp/outside
mkdir "$dir" && chown "$user:" "$dir"
same "in /tmp" "$dir" "$(job pwd)"
job sh -c 'echo x > f' || fail "outside"
same "file there" x "$(cat "$dir/f")"
ln -s proj "$home/link" && chown -h "$user:" "$home/link"
dir=$home/link
same "through a link" "$(here sh -c pwd)" "$(job sh -c pwd)"
job touch through-link && [ -e "$home/proj/through-link" ] || fail "through a link"
ln -s home "$tmp/home.link"
real=$home
home=$tmp/home.link
dir=$home/proj
same "HOME is a link" "$home" "$(job sh -c 'echo $HOME')"
same "work below it" "linked" "$(job sh -c 'cd ~ && echo linked > by-home && cat by-home')"
same "file there" linked "$(cat "$real/by-home")"
home=$real
dir=$home/proj

echo "# sizes"
big=$(head -c 102400 /dev/zero | tr '\0' v)
same "100 KiB in one variable" 102400 "$(BIG=$big job sh -c 'printf %s "$BIG" | wc -c')"
same "1000 variables" 1000 "$(for i in $(seq 1000); do export "MANY_$i=$i"; done; job env | grep -c '^MANY_')"
# shellcheck disable=SC2046
same "10,000 arguments" "$(seq 10000 | sha256sum)" "$(job printf '%s\n' $(seq 10000) | sha256sum)"
same "arguments as they are" "$(printf '%s|' '' ' ' "a'b" '"' '\' '$x' '*' "$(printf 'n\nl')" -n --)" "$(job printf '%s|' '' ' ' "a'b" '"' '\' '$x' '*' "$(printf 'n\nl')" -n --)"

echo "# --view root: a program that the target lacks"
node sh -c 'rm -f /usr/bin/sqlite3 /usr/bin/rsync /usr/bin/bc'
same "not there" 127 "$(status job rsync --version 2>/dev/null)"
same "from here" "$(here rsync --version | head -1)" "$(m --view root alice@n1 rsync --version | head -1)"
same "on the target" n1 "$(m --view root alice@n1 uname -n)"
m --view root alice@n1 rsync -a "$home/proj/log" "$home/proj/log.copy" || fail "rsync in a root view"
cmp "$home/proj/log" "$home/proj/log.copy" || fail "copy"
echo "all passed"
