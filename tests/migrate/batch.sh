#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# batch.sh: mosrun -E and -M: programs whose home is another node: as ordinary processes, and as ones that move on from there; in which
# directory, with which environment, input, status and signals; and where it can't be.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
lab_up 2
on_node() { local n=$1; shift; "$lab" --name "$name" run "$n" -- "$@"; }
mkdir "$tmp/etc" "$tmp/bin"
printf 'head 10.77.0.254\nn1 10.77.0.1\nn2 10.77.0.2\n' >"$tmp/etc/nodes"
od -An -tx1 -N32 /dev/urandom | tr -d ' \n' >"$tmp/etc/key"
chmod 600 "$tmp/etc/key"
# shellcheck disable=SC2016 # for the shell there
printf '#!/bin/sh\nexec %s -F %s -l alice "$@"\n' "$top_builddir/mrc/mrc" "$conf" >"$tmp/bin/mrc" && chmod +x "$tmp/bin/mrc" || exit 99
export MOSIX_RUN=$tmp/mosix.$$
ln -s "$top_builddir"/mosix-core/cmd/{mosrun,mosps,migrate} "$tmp/bin" && chmod 755 "$tmp" || exit 99
PATH=$tmp/bin:/usr/local/bin:/usr/bin:/bin # no directory of it is closed to alice there
at_exit 'rmdir "$(awk '\''$3 == "cgroup2" { print $2; exit }'\'' /proc/self/mounts)/mosix.$$"/u* "$(awk '\''$3 == "cgroup2" { print $2; exit }'\'' /proc/self/mounts)/mosix.$$" 2>/dev/null'
"$lab" --name "$name" head -- "$top_builddir/mosix-core/mosixd/mosixd" -v -c "$tmp/etc" -r "$MOSIX_RUN" -n head >"$tmp/log.head" 2>&1 </dev/null & head=$!
at_exit "kill -9 $head"
disown $head
for n in n1 n2; do
    tar -C "$tmp/etc" -c . | on_node $n sh -c 'mkdir -p /etc/mosix && tar -C /etc/mosix -x --no-same-owner' || fail "files on $n"
    on_node $n sh -c 'cat >/usr/local/sbin/mosixd && chmod +x /usr/local/sbin/mosixd' <"$top_builddir/mosix-core/mosixd/mosixd" || fail "mosixd on $n"
    for program in mosrun migrate mosps; do
        on_node $n sh -c "cat >/usr/local/bin/$program && chmod +x /usr/local/bin/$program" <"$top_builddir/mosix-core/cmd/$program" || fail "$program on $n"
    done
    : >"$tmp/log.$n"
    on_node $n /usr/local/sbin/mosixd -v >>"$tmp/log.$n" 2>&1 </dev/null &
    disown $!
    wait_for 10 grep -q listens "$tmp/log.$n"
done
wait_for 10 grep -q listens "$tmp/log.head"

at() { here timeout $limit env PATH="$PATH" MOSIX_RUN="$MOSIX_RUN" "$@" </dev/null 2>"$tmp/said"; }
says() { grep -q -- "$1" "$tmp/said" || fail "should say '$1': $(cat "$tmp/said")"; }

on_node n1 sh -c 'mkdir -m 777 -p /data/sub' || fail "a directory on n1"
at mosrun -E/data -rn1 sh -c 'hostname; pwd; exit 7' >"$tmp/out"
got=$?
same "status of a native one ($(cat "$tmp/said"))" 7 $got
same "where it is" "n1 /data" "$(paste -sd ' ' <"$tmp/out")"
at env A_NAME='two  words' HOME="$home" mosrun -E/ -3 sh -c 'hostname; echo "$A_NAME"; id -un; echo "$HOME"' >"$tmp/out" || fail "by number: $(cat "$tmp/said")"
same "its environment is ours, but for what is the login's" "n2 two  words alice /home/alice" "$(paste -sd ' ' <"$tmp/out")"
(cd / && "$lab" --name "$name" head -u "$user" -- env HOME="$home" PATH="$PATH" MOSIX_RUN="$MOSIX_RUN" mosrun -E -rn1 sh -c 'pwd; cat' <"$top_srcdir/LICENSE" >"$tmp/out" 2>"$tmp/said") || fail "in the same directory: $(cat "$tmp/said")"
same "the same directory, and its input" "/ $(cksum <"$top_srcdir/LICENSE")" "$(head -1 "$tmp/out") $(tail -n +2 "$tmp/out" | cksum)"
at mosrun -E -rn1 true
got=$?
same "a directory that isn't there" 126 $got
says 'no directory to begin in there'
at mosrun -E/ -rn1 no-such-program
got=$?
same "a program that isn't there" 127 $got
at mosrun -E/tmp -h sh -c 'pwd; exit 3' >"$tmp/out"
got=$?
same "at home" "3 /tmp" "$got $(cat "$tmp/out")"
at mosrun -E -rn9 true
got=$?
same "a node that isn't there" 1 $got
says "no node is called n9"
at mosrun -E/tmp -rn9 -F sh -c 'pwd' >"$tmp/out" || fail "with -F: $(cat "$tmp/said")"
same "then at home" /tmp "$(cat "$tmp/out")"
at mosrun -E -z -rn1 true x
got=$?
same "another name" 2 $got
echo "ok: -E"

there() { on_node n1 mosps -a | awk '$NF == "sleep" { print $1; exit }'; }
is_there() { [ -n "$(there)" ]; }
is_gone() { ! is_there; }
at mosrun -M/data -rn1 -J5 -L -m9 -D1:00:30 mosps -t >"$tmp/out" || fail "-M: $(cat "$tmp/said")"
same "a job there has mosrun's options" "home 5 L 9 1:00:30 left 1:00:30 or 29" "$(awk '$NF == "mosps" { print $2, $5, $6, $7, $8, "left", $9 ~ /^1:00:(30|29)$/ ? "1:00:30 or 29" : $9 }' "$tmp/out")"
at mosrun -M/data -rn1 -z sh other -c 'echo "$0"; pwd' >"$tmp/out" || fail "-M -z: $(cat "$tmp/said")"
same "where, and its name" "other /data" "$(paste -sd ' ' <"$tmp/out")"
here timeout $limit env PATH="$PATH" mosrun -M/ -rn1 sleep 100 >"$tmp/out" 2>"$tmp/err" </dev/null & pid=$!
wait_for 20 is_there
job=$(there)
same "what runs it there is no job here" "" "$(mosps -a | awk '$NF == "mrc" || $NF == "mosrun"')"
on_node n1 migrate "$job" n2 || fail "migrate: $(cat "$tmp/log.n1")"
is_at() { [ "$(on_node n1 mosps -a | awk -v pid="$1" '$1 == pid { print $2 }')" = "$2" ]; }
wait_for 20 is_at "$job" n2
kill -TERM "$(pgrep -P $pid | head -1)" || fail "no mrc to end"
got=0
wait $pid || got=$?
same "status of what got a signal ($(cat "$tmp/err"))" 143 $got
wait_for 10 is_gone
at mosrun -M -R/nowhere
got=$?
same "recovery elsewhere" 2 $got
at mosrun -Mx true
got=$?
same "a directory without a slash" 2 $got
echo "ok: -M"
kill_n1() { on_node n1 sh -c 'kill -9 $(pidof mosixd)'; }
kill_n1
at mosrun -M -rn1 true
got=$?
same "a node whose daemon is dead" 1 $got
echo "ok: without a daemon there"
