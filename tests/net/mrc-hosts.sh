#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-hosts.sh: one command on several hosts at once: what it prints, its status, signals, hosts that can't be reached.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
limit=60
lab_up 3
echo contents >"$home/proj/f"

says() { grep -Fq -- "$2" "$3" || fail "$1: it says $(cat "$3")"; }
m --hosts 'alice@n[1-3]' sh -c 'read -r x <f; echo "$x $(uname -n)"; echo words >&2' >"$tmp/o" 2>"$tmp/e"
same "status" 0 $?
same "each line has its host" "alice@n1: contents n1 alice@n2: contents n2 alice@n3: contents n3" "$(sort "$tmp/o" | paste -sd' ')"
same "standard error too" 3 "$(grep -c '^alice@n[123]: words$' "$tmp/e")"

# All at once, and no more at once than are wanted: each waits until it has seen so many.
# shellcheck disable=SC2016
together='touch "here-$(uname -n)"; i=0; while [ $i -lt 200 ] && [ "$(ls here-* | wc -l)" -lt 3 ]; do sleep 0.1; i=$((i+1)); done; ls here-* | wc -l'
m --hosts 'alice@n[1-3]' --output order -- sh -c "$together" >"$tmp/o" 2>"$tmp/e"
same "at once: $(cat "$tmp/e")" "3 3 3" "$(paste -sd' ' "$tmp/o")"
rm "$home"/proj/here-*
m --hosts 'alice@n[1-3]' -P 1 --output order -- sh -c 'touch "here-$(uname -n)"; ls here-* | wc -l' >"$tmp/o" 2>"$tmp/e"
same "one after the other" "1 2 3" "$(paste -sd' ' "$tmp/o")"

# In the order of the list, each whole, whoever ends first.
printf '%s\n' 'alice@n2 # the second first' '' alice@n1 >"$home/proj/list"
# shellcheck disable=SC2016
m --hosts-file list --output order -- sh -c '[ "$(uname -n)" = n1 ] || sleep 1; seq 20000; uname -n' >"$tmp/o"
same "order" "$( (seq 20000; echo n2; seq 20000; echo n1) | cksum)" "$(cksum <"$tmp/o")"

# All count in one file, each under a lock: one truth for all.
echo 0 >"$home/proj/number"
chown "$user:" "$home/proj/number"
# shellcheck disable=SC2016
m --hosts 'alice@n[1-3]' sh -c 'i=0; while [ $i -lt 20 ]; do flock lock sh -c "echo \$((\$(cat number) + 1)) >number"; i=$((i+1)); done' 2>"$tmp/e"
rc=$?
same "status of those that count: $(cat "$tmp/e")" 0 $rc
same "none is lost" 60 "$(cat "$home/proj/number")"

# The worst status, and who failed.
# shellcheck disable=SC2016
m --hosts 'alice@n[1-3]' sh -c 'case $(uname -n) in n1) exit 0;; n2) exit 7;; *) kill -9 $$;; esac' 2>"$tmp/e"
same "the worst status" 137 $?
says "who failed" '2 of 3 hosts failed: alice@n2 (status 7), alice@n3 (signal 9)' "$tmp/e"
m --hosts 'alice@n1,alice@nowhere' echo hi >"$tmp/o" 2>"$tmp/e"
same "a host that is not there" 255 $?
same "the others ran" "alice@n1: hi" "$(cat "$tmp/o")"
says "which" '1 of 2 hosts failed: alice@nowhere (status 255)' "$tmp/e"

# Who reads no more ends it all.
m --hosts 'alice@n[1-3]' yes 2>"$tmp/e" | head -2 >"$tmp/o"
same "a reader that goes" 2 "$(wc -l <"$tmp/o")"

# A signal reaches every job, nothing is left.
# shellcheck disable=SC2016
here sh -c 'echo $$ >pid; exec mrc -q -F "$0" --hosts "alice@n[1-3]" sh -c "echo up; sleep 300"' "$conf" >"$tmp/o" 2>"$tmp/e" & job=$!
no_job() { ! "$lab" --name "$name" run "$1" -- pgrep -f 'sleep 300' >/dev/null; }
is_up() { [ "$(grep -c 'up$' "$tmp/o")" = 3 ]; }
wait_for 30 is_up
kill -TERM "$(cat "$home/proj/pid")"
wait $job
same "ends by the signal" 143 $?
for n in 1 2 3; do
    wait_for 10 no_job n$n
done

bad "no command" 255 'hosts needs a command' m --hosts n1
bad "bad list" 255 'in brackets' m --hosts 'n[3-1]' true
bad "no terminal" 255 't is for one host' m -t --hosts n1,n2 true
bad "no file" 255 'nothere.*No such file' m --hosts-file nothere true
bad "no host" 255 'there is no host' m --hosts ',' true
bad "only with --hosts" 255 'go with --hosts' m -P 3 alice@n1 true
bad_end
