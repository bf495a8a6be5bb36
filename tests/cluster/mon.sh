#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mon.sh: mon on a terminal and as text, with a daemon that answers, is not there, comes, hangs, dies and talks nonsense;
# sizes; keys; what the terminal is like afterwards, also after signals.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires tmux python3
in_parts 2
name=mon$$
. "$top_srcdir/tests/lib/tmux.sh"
mon=$top_builddir/gossip/monitor/mon
run=$tmp/run
standin=
at_exit 'kill $standin 2>/dev/null'
# daemon ARGUMENT...: is there from now on, in the place of the one before
daemon()
{
    no_daemon
    : >"$tmp/says"
    "$top_builddir/tests/cluster/standin" "$run" "$@" >"$tmp/says" 2>&1 &
    standin=$!
    wait_for 5 grep -q ready "$tmp/says"
}
no_daemon()
{
    [ -z "$standin" ] || { kill "$standin" && wait "$standin" 2>/dev/null; }
    standin=
}
# terminal COLS ROWS: a shell on one of this size
terminal()
{
    new_terminal
    t new-session -d -x "$1" -y "$2" "cd $tmp && exec env -u MOSIX_RUN HISTFILE= PS1='READY> ' bash --norc --noprofile -i"
    on_screen 'READY>'
}
at() { screen | sed -n "$1p" | grep -Eq -- "$2" || fail "line $1 has no '$2': $(screen)"; }

if is_ours 0; then
# Text, without a terminal.
"$mon" --once --run "$run" >"$tmp/out" 2>"$tmp/words" </dev/null && fail "it has an answer without a daemon"
same "words without a daemon" "mon: no mosixd runs on this node ($run/control)" "$(cat "$tmp/words")"
daemon nodes=12 seed=3
MOSIX_RUN=$run COLUMNS=80 "$mon" </dev/null | cat >"$tmp/out"
grep -Eq '^ 1 ant +alive +.*0\.0s$' "$tmp/out" || fail "no line of ant: $(cat "$tmp/out")"
same "lines: title, heads, 12 nodes, totals" 15 "$(wc -l <"$tmp/out")"
[ "$(wc -L <"$tmp/out")" -le 80 ] || fail "wider than COLUMNS"
"$mon" -1 --run "$run" --order load -A | LC_ALL=C grep -q '[^ -~]' && fail "not ASCII"
"$mon" --json --run "$run" | python3 -c 'import json, sys; s = json.load(sys.stdin); assert s["schema"] == "mosix/1" and len(s["nodes"]) == 12' || fail "JSON"
same "an unknown cluster" "mon: no cluster is called x" "$("$mon" -1 -c x --run "$run" 2>&1)"
same "status of a wrong option" 2 "$(status "$mon" --nonsense 2>/dev/null)"
daemon nodes=8 bad=hostile
"$mon" -1 --run "$run" | LC_ALL=C tr -d '\n' | LC_ALL=C grep -q '[[:cntrl:]]' && fail "control characters of a node's name are printed"
"$mon" -1 --run "$run" | grep -q '<script>alert' || fail "a name is not as it was given"
daemon bad=garbage
same "nonsense" "mon: mosixd's answer makes no sense" "$("$mon" -1 --run "$run" 2>&1)"
daemon bad=cut nodes=500
same "half an answer" "mon: mosixd's answer makes no sense" "$("$mon" -1 --run "$run" 2>&1)"
daemon bad=error
same "an error" "mon: mosixd says: this node has no map" "$("$mon" -1 --run "$run" 2>&1)"
daemon bad=flood nodes=4000
same "without an end" "mon: mosixd's answer has no end" "$("$mon" -1 --run "$run" 2>&1)"

# Before mosixd is started, then it comes, hangs, dies, and comes back.
no_daemon
terminal 80 24
keys "$mon --run $run" Enter
on_screen "no mosixd runs on this node"
daemon nodes=40 clusters=2
on_screen "mosixd's answer of 0"
at 1 '^ mon  2 clusters  load by speed +40 nodes: '
at 2 '^NO NODE STATE +0 +[0-9.]+ +USED/MEM +SWAP +GUESTS +FROZ +AGE'
at 3 '^ 1 n1 +alive +[^ ]+ +[0-9.]+ .* 0\.0s'
at 24 "1-20 of 40 +h help  q quit"
daemon bad=hang
on_screen "mosixd has not answered for 5 s; this is [0-9.]+s old"
at 3 '^ 1 n1 +alive'
no_daemon
on_screen 'no mosixd runs'
daemon nodes=40 clusters=2
on_screen "mosixd's answer of"

fi

if is_ours 1; then
# Keys and sizes.
daemon nodes=40 clusters=2
terminal 80 24
keys "$mon --run $run" Enter
on_screen "mosixd's answer of"
keys m
on_screen 'memory used %'
keys 2
on_screen '100%'
keys 1 c
on_screen 'main \(1 of 2\)'
at 1 ' 20 nodes: '
keys End
on_screen '^20 n20 '
keys c + 3 0 Enter
on_screen 'physics \(2 of 2\)'
keys c + 3 Enter h
on_screen 'this help'
keys h 3
on_screen '0 to 9: memory used'
t resize-window -x 200 -y 60
keys 1
on_screen 'CLUSTER +ADDRESS +KERNEL'
t resize-window -x 20 -y 5
wait_for 10 eval '[ "$(screen | grep -c .)" = 5 ]'
at 3 '^ *[0-9]+ . n[0-9]+'
t resize-window -x 80 -y 24
on_screen 'h help  q quit'
keys q
on_screen 'READY> *$'

# Thousands, and each way out. The terminal is as it was: it echoes, and a line is edited.
daemon nodes=10000 clusters=18
for way in q TERM INT HUP SEGV; do
    stty=$tmp/stty.$way
    keys "clear; stty -g >$stty; $mon --run $run" Enter
    on_screen '10000 nodes'
    case $way in
    q) keys q ;;
    *)
        pid=$(pgrep -P "$(t display-message -p -t 0 '#{pane_pid}')") || fail "mon is not there"
        kill -s "$way" "$pid"
        ;;
    esac
    on_screen 'READY> *$'
    keys "clear; stty -g | cmp - $stty && echo same $way" Enter
    on_screen "^same $way"
done
fi
