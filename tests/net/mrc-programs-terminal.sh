#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs that own the terminal: vim, less, top, gdb, tmux, a shell with job control; size changes.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
requires tmux vim less top gdb gcc python3
lab_up 1
. "$top_srcdir/tests/lib/tmux.sh"
# begin COMMAND...: COMMAND on the head in a terminal of 100 by 30
begin()
{
    new_terminal
    printf 'cd %q; exec env HOME=%q PS1="head\\$ " %s' "$dir" "$home" "$*" >"$tmp/command"
    t new-session -d -x 100 -y 30 "$lab --name $name head -u $user -- sh $tmp/command; echo \"ended with \$?.\"; sleep 1000" || fail "tmux"
    t set-option -g remain-on-exit on >/dev/null
}
mrc="mrc -q -F $conf"
seq -f 'line %.0f of the file' 1 500 >"$home/proj/lines"
chown "$user:" "$home/proj/lines"

echo "# vim"
begin $mrc -t alice@n1 vim -u NONE -N new.txt
on_screen 'new.txt.*\[New\]'
keys i 'first line' Enter 'zweite: Grüße' Escape
on_screen 'zweite: Grüße'
keys ':w' Enter
on_screen 'written'
same "written by vim" "first line/zweite: Grüße/" "$(tr '\n' / <"$home/proj/new.txt")"
[ -e "$home/proj/.new.txt.swp" ] || fail "no swap file here"
keys ggdG ':r lines' Enter G
on_screen 'line 500 of the file'
keys ':!uname -n' Enter
on_screen '^n1$'
keys Enter ':wq' Enter
on_screen 'ended with 0\.'
same "lines" "$(sha256sum <"$home/proj/lines")" "$(sed 1d "$home/proj/new.txt" | sha256sum)"
same "nothing but the file" "lines new.txt" "$(ls -A "$home/proj" | tr '\n' ' ' | sed 's/ $//')"

echo "# the terminal's size, in pixels too: a later size that differs in them only would be told by a signal"
cat >"$home/proj/size.py" <<'P'
import fcntl, struct, termios
print("size", *struct.unpack("4H", fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))))
P
begin python3 size.py
on_screen '^size 30 100 '
size=$(screen | grep '^size')
begin $mrc -t alice@n1 python3 size.py
on_screen '^size 30 100 '
same "size" "$size" "$(screen | grep '^size')"
rm "$home/proj/size.py"

echo "# less"
begin $mrc -t alice@n1 less lines
on_screen 'line 29 of the file'
keys G
on_screen 'line 500 of the file'
keys '/line 77 ' Enter
keys '?line 77 ' Enter
on_screen 'line 77 of the file'
t resize-window -x 80 -y 15
sleep 0.5
keys g
on_screen 'line 14 of the file'
not_on_screen 'line 16 of the file'
keys q
on_screen 'ended with 0\.'
begin "sh -c 'seq 1000 | $mrc -t alice@n1 less'"
on_screen '^29$'
keys G
on_screen '^1000$'
keys q
on_screen 'ended with 0\.'

echo "# top"
begin $mrc -t alice@n1 top -d 1
on_screen 'PID USER'
on_screen '[0-9] alice .* top'
keys q
on_screen 'ended with 0\.'

echo "# sizes"
begin $mrc -t alice@n1 sh -c "'trap \"stty size\" WINCH; stty size; while :; do sleep 0.2; done'"
on_screen '^30 100$'
t resize-window -x 90 -y 20
on_screen '^20 90$'
keys C-c
on_screen 'ended with 130\.'

echo "# a shell with job control"
begin $mrc -t alice@n1 bash --norc --noprofile
keys "PS1='there\\$ '" Enter
on_screen '^there\$'
keys 'sleep 1000' Enter
sleep 0.5
keys C-z
on_screen 'Stopped +sleep 1000'
keys 'bg; jobs' Enter
on_screen 'Running +sleep 1000'
keys fg Enter
sleep 0.5
keys C-c
sleep 1
keys 'echo status $?' Enter
on_screen 'status 130'
keys 'sleep 1001' Enter
sleep 0.5
keys 'C-\'
on_screen 'Quit'
keys 'cat' Enter
sleep 0.7
keys 'to be echoed' Enter
on_screen '^to be echoed'
keys C-d
sleep 0.3
keys 'stty -a | grep -c "erase = ^?"; tty; ls -l /dev/tty' Enter
on_screen '^/dev/pts/0'
keys 'exit 5' Enter
on_screen 'ended with 5\.'

echo "# the shell here and a job: Ctrl-Z, fg, bg, Ctrl-C, Ctrl-\\"
begin bash --norc --noprofile -i
on_screen '^head\$'
keys "$mrc -t alice@n1 sh -c 'echo begun; sleep 3; echo slept; cat'" Enter
on_screen '^begun'
keys C-z
on_screen 'Stopped'
on_screen '^head\$$'
keys 'echo here; sleep 1; fg' Enter
# The echo of Ctrl-Z may come only now.
on_screen '^(\^Z)?slept'
keys 'given' Enter
on_screen '^given'
keys C-d
sleep 0.7
keys "clear; $mrc -t alice@n1 sleep 1002" Enter
sleep 2
keys C-c
on_screen '^head\$$'
keys 'echo status $?' Enter
on_screen 'status 130'
keys "clear; $mrc -t alice@n1 sleep 1003" Enter
sleep 2
keys 'C-\'
on_screen '^head\$$'
keys 'echo status $?' Enter
on_screen 'status 131'
keys "clear; $mrc alice@n1 sh -c 'sleep 4; echo background' &" Enter
sleep 1
keys 'echo foreground' Enter
on_screen '^foreground'
on_screen 'background$'
# without a terminal of its own: Ctrl-Z stops it all the same, and fg goes on
keys "clear; $mrc -T alice@n1 sh -c 'echo begun; sleep 2; echo slept'" Enter
on_screen '^begun'
keys C-z
on_screen 'Stopped'
keys 'fg' Enter
on_screen '^(\^Z)?slept'
keys "clear; $mrc -T alice@n1 sleep 1004" Enter
sleep 2
keys C-c
on_screen '^head\$$'
keys 'echo status $?' Enter
on_screen 'status 130'
keys "clear; $mrc alice@n1" Enter
sleep 2
keys 'pwd; uname -n' Enter
on_screen '^n1$'
shows "^$dir\$" || fail "the login shell is elsewhere: $(screen)"
keys 'exit' Enter
on_screen '^head\$$'
# What was typed ahead of the job's end belongs to the job: type only when the shell here asks.
keys 'echo it is $?; stty -a | grep -o " echo "' Enter
on_screen 'it is 0'
on_screen '^ echo'
keys exit Enter
on_screen 'ended with 0\.'
wait_for 15 eval '! node pgrep -f "sleep 100[0-9]" >/dev/null'

echo "# gdb"
printf 'int inner(int x) { return x * 2; }\nint main(void) { int n = 0; for (;;) n = inner(n + 1); }\n' >"$home/proj/loop.c"
chown "$user:" "$home/proj/loop.c"
job gcc -g -O0 -o loop loop.c || fail "gcc"
begin $mrc -t alice@n1 gdb -nx -q loop
on_screen '^\(gdb\)'
keys 'set pagination off' Enter 'break inner if x == 3' Enter 'run' Enter
on_screen 'Breakpoint 1, inner'
keys 'bt' Enter
on_screen '#1 .* main \(\) at loop.c:2'
keys 'delete' Enter 'continue' Enter
on_screen 'Continuing'
sleep 1
keys C-c
on_screen 'received signal SIGINT'
keys 'kill' Enter
keys 'y' Enter 'quit' Enter
on_screen 'ended with 0\.'

echo "# tmux in a job"
begin $mrc -t alice@n1 tmux -f /dev/null new-session bash --norc --noprofile
on_screen '\[0\] 0:bash'
keys 'echo $((6*7)) in tmux' Enter
on_screen '^42 in tmux'
keys C-b '%'
sleep 0.5
keys 'uname -n' Enter
on_screen '│.*n1'
keys C-b c
on_screen '1:bash\*|1:[a-z]*\*'
keys C-b d
on_screen 'ended with 0\.'
echo "all passed"
