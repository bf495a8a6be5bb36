#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-progress.sh: the line that tells which file a job waits for, on a terminal: it is there over a slow link, tears nothing
# of the job's, leaves nothing behind, and is not there where it would disturb.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
requires tmux
lab_up 1
"$lab" --name "$name" link head n1 --rate 8mbit --delay 20ms >/dev/null || fail "link"
. "$top_srcdir/tests/lib/tmux.sh"
begin()
{
    new_terminal
    printf 'cd %q; export HOME=%q MRC_HUB_IDLE=%q XDG_RUNTIME_DIR=%q; %s' "$dir" "$home" "${idle-0}" "$tmp/run" "$*" >"$tmp/command"
    t new-session -d -x "${columns-100}" -y 30 "$lab --name $name head -u $user -- sh $tmp/command; echo \"ended with \$?.\"; sleep 1000" || fail "tmux"
}
mrc="mrc --no-cache -F $conf" # what was there would not be sent
mkdir -m 700 "$tmp/run"
for i in 1 2 3 4 5 6; do head -c 5000000 /dev/urandom >"$dir/f$i"; done
chown -R "$user:" "$dir" "$tmp/run"
line() { printf 'mrc: n1 waits for %s/%s: [0-9.]+ MB, [0-9.]+ [kM]B/s$' "$home/proj" "$1"; }
sum() { sha256sum <"$dir/$1"; }
# the whole screen, without empty lines
same_screen() { same "the screen" "$1" "$(screen | grep -v '^$' | sed 's/ *$//')"; }

echo "# the job has the terminal: before it writes there"
begin "$mrc alice@n1 sh -c 'sha256sum < f1; sha256sum < f2; echo ready'"
on_screen "$(line f1)"
on_screen '^[0-9a-f]{64}  -$' 
on_screen '^ready$' 'waits for .*/f2'
on_screen '^ended with 0.'
same_screen "$(sum f1)
$(sum f2)
ready
ended with 0."

echo "# it has none: between lines, not within one"
begin "$mrc -T alice@n1 sh -c 'echo one; sha256sum < f1; printf half; sha256sum < f2 > /dev/null; echo; sha256sum < f3' < /dev/null"
on_screen "$(line f1)"
on_screen '^half' 
on_screen "$(line f3)" 'waits for .*/f2'
on_screen '^ended with 0.'
same_screen "one
$(sum f1)
half
$(sum f3)
ended with 0."

echo "# a narrow terminal: the end of the name"
columns=52 begin "$mrc -T alice@n1 sh -c 'sha256sum < f1; echo ready' < /dev/null"
on_screen 'mrc: n1 waits for \.\.\..*/f1: [0-9.]+ MB, [0-9.]+ [kM]B/s$'
on_screen '^ended with 0.'
unset columns

echo "# output goes elsewhere, the line to the terminal; and it makes room for words of mrc's own"
begin "$mrc alice@n1 sh -c 'sha256sum < f1; kill -9 \$\$' > out < /dev/null"
on_screen "$(line f1)"
on_screen 'ended with'
same "output" "$(sum f1)" "$(cat "$dir/out")"
if shows 'waits for'; then fail "left behind: $(screen)"; fi

echo "# not with -q, not in the background, not to a file"
begin "$mrc -q -T alice@n1 sh -c 'sha256sum < f1' < /dev/null"
on_screen 'ended with 0.' 'waits for'
begin "$mrc -T alice@n1 sh -c 'sha256sum < f1' < /dev/null 2> err"
on_screen 'ended with 0.' 'waits for'
same "standard error" "" "$(cat "$dir/err")"
begin "bash -m -c '$mrc -T alice@n1 sh -c \"sha256sum < f1\" < /dev/null > out & sleep 9; wait'"
on_screen 'ended with 0.' 'waits for'
same "output" "$(sum f1)" "$(cat "$dir/out")"

echo "# in a kept view; of two jobs in one it can't be known who waits"
idle=30
begin "$mrc -T alice@n1 true < /dev/null; $mrc -T alice@n1 sh -c 'sha256sum < f4' < /dev/null"
on_screen "$(line f4)"
on_screen 'ended with 0.'
begin "$mrc -q -T alice@n1 sh -c 'touch first; sha256sum < f5' < /dev/null > out & while ! [ -e first ]; do sleep 0.1; done; $mrc -T alice@n1 sh -c 'touch second; until [ -e go ]; do sleep 0.2; done; echo went' < /dev/null; wait"
wait_for 20 test -e "$dir/second"
wait_for 30 test -s "$dir/out"
if shows 'waits for'; then fail "of two jobs: $(screen)"; fi
touch "$dir/go"
on_screen 'went' 'waits for'
on_screen 'ended with 0.'
here env MRC_HUB_IDLE=30 XDG_RUNTIME_DIR="$tmp/run" mrc stop >/dev/null || fail "mrc stop"
