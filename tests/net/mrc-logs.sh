#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-logs.sh: what hub, keepers, file servers and agents tell is found by mrc logs, here and of a target; nothing secret is
# in it, and a log that can't be written harms nothing.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"

lab_up 1
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY
# A hub of our own.
export XDG_RUNTIME_DIR=$tmp/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
chown "$user:" "$XDG_RUNTIME_DIR"
uid=$(id -u "$user")
there=/home/alice/.cache/mrc/log
logged() { m logs "$@" > "$tmp/log" || fail "mrc logs $*"; }
# says WHAT REGEX: a line of the log that was fetched matches
says() { grep -Eq -- "$2" "$tmp/log" || fail "$1: no line like '$2' in: $(tail -30 "$tmp/log")"; }

echo "secret contents" > "$dir/file"
MRC_HUB_IDLE=20 m alice@n1 sh -c 'cat file; : secret argument' > /dev/null || fail "a job"
MRC_HUB_IDLE=20 m alice@n1 cat file > /dev/null || fail "a second job"

logged
stamp='^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z'
says "a hub" "$stamp hub\\[[0-9]+\\]: starts$"
says "the connection" "$stamp hub\\[[0-9]+\\]: alice@n1: the connection of process [0-9]+ is kept$"
says "a job" "$stamp hub\\[[0-9]+\\]: alice@n1: job of process [0-9]+ runs there as [0-9]+$"
says "its end" "$stamp hub\\[[0-9]+\\]: alice@n1: job of process [0-9]+ has ended$"
says "a view" "$stamp keeper\\[[0-9]+\\]: alice@n1: starts a view$"
says "a file server" "$stamp files\\[[0-9]+\\]: starts, [0-9]+ trees$"
same "a command that can't be run" 255 "$(status m --via "false secret" alice@n1 true 2> /dev/null)"
logged
same "mode of the log here" 600 "$(stat -c %a "/tmp/mrc-$uid/log")"
if grep -q secret "$tmp/log"; then fail "a secret is in the log here"; fi

logged alice@n1
says "an agent" "$stamp agent\\[[0-9]+\\]: starts, of version "
says "its job" "$stamp agent\\[[0-9]+\\]: starts a job: (sh|cat)$"
says "the job's end" "$stamp agent\\[[0-9]+\\]: the job has ended$"
says "a view's agent" "$stamp view\\[[0-9]+\\]: the job runs|$stamp agent\\[[0-9]+\\]: the link ended"
same "mode of the log there" 600 "$(node stat -c %a $there)"
if grep -q secret "$tmp/log"; then fail "a secret is in the log there"; fi

MRC_HUB_IDLE=20 m stop > /dev/null || fail "mrc stop"
ended() { logged; tail -5 "$tmp/log" | grep -Eq 'the view ends$'; }
wait_for 10 ended
served() { logged; grep -Eq "$stamp files\\[[0-9]+\\]: ends" "$tmp/log"; }
wait_for 10 served
grep -Eq 'alice@n1: the connection ends: it is told to$' "$tmp/log" || fail "mrc stop isn't logged"

# A job that can't be started, and one that is killed with its mrc.
same "no such command" 127 "$(status m alice@n1 no-such-command 2> /dev/null)"
# shellcheck disable=SC2016
here sh -c 'echo $$ > pid; exec mrc -q -F "$0" alice@n1 sh -c "touch runs; exec sleep 300"' "$conf" &
wait_for 20 test -e "$dir/runs"
kill -KILL "$(cat "$dir/pid")" || fail "kill mrc"
abandoned() { logged alice@n1; tail -8 "$tmp/log" | grep -Eq 'the job has ended, abandoned by its head$'; }
wait_for 20 abandoned

# What a target says is no command for our terminal.
node sh -c "printf 'mrc-log 1 %020d \nred \033[31m, bell \007, \302\2331m.\n' 25 > $there" || fail "change the log"
m logs alice@n1 > "$tmp/log" || fail "a log that was changed"
same "what it says" "red ?[31m, bell ?, $(printf '\302')?1m." "$(head -1 "$tmp/log")"

# No log: a file that isn't ours alone, a link, a directory. Jobs go on.
for how in "chmod 644 $there" "rm -f $there; ln -s /etc/passwd $there" "rm -f $there; mkdir $there"; do
    node sh -c "$how" || fail "$how"
    same "a job after '$how'" "secret contents" "$(job cat file)"
    same "mrc logs after '$how'" 255 "$(status m logs alice@n1 2> "$tmp/words")"
    grep -q "n1: the log there: " "$tmp/words" || fail "words: $(cat "$tmp/words")"
done
node rmdir $there
# The disk is full: likewise.
node mount -t tmpfs -o size=4k,mode=755 none /mnt || fail "tmpfs"
node sh -c "head -c 4096 /dev/zero > /mnt/fill; ln /mnt/fill /mnt/x 2>/dev/null; : > /mnt/log; chown alice: /mnt/log; chmod 600 /mnt/log; : > $there; chown alice: $there; mount --bind /mnt/log $there" || fail "full"
same "a job with a full disk" "secret contents" "$(job cat file)"
logged alice@n1
same "a log on a full disk" "" "$(head -1 "$tmp/log")"

same "mrc logs with too much" 255 "$(status m logs alice@n1 more 2> /dev/null)"
same "mrc logs of nobody" 255 "$(status m logs alice@nowhere.invalid 2> /dev/null)"
