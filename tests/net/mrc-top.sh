#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-top.sh: mrc top and the JSON of mrc ps: jobs with and without a hub, what they transfer, those that were killed, a hub
# that is dead or silent, and the terminal.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
requires tmux python3
lab_up 1
"$lab" --name "$name" link head n1 --rate 8mbit --delay 5ms >/dev/null || fail "link"
. "$top_srcdir/tests/lib/tmux.sh"
export XDG_RUNTIME_DIR=$tmp/run
mkdir -m 700 "$tmp/run"
head -c 60000000 /dev/urandom >"$dir/big"
chown -R "$user:" "$dir" "$tmp/run"
# once REGEX: is in the list; waits for it
once() { m top --once > "$tmp/list" 2> "$tmp/words" && grep -Eq -- "$1" "$tmp/list"; }
# rows EXPRESSION: of Python, about top, a dict, and rows, its list; printed
rows()
{
    m "${verb:-top}" --json > "$tmp/json" || fail "mrc ${verb:-top} --json"
    python3 -c 'import json, sys
top = json.load(open(sys.argv[1])); rows = top.get("rows", top.get("entries"))
print(eval(sys.argv[2]))' "$tmp/json" "$1" || fail "in: $(cat "$tmp/json")"
}
# begin FILE COMMAND...: a job in the background; its mrc'\''s process number is in FILE
begin()
{
    local file=$1
    shift
    # shellcheck disable=SC2016
    here sh -c 'echo $$ > "$0"; exec mrc -q -F "$@"' "$dir/$file" "$conf" "$@" > /dev/null 2>&1 < /dev/null &
    wait_for 10 test -s "$dir/$file"
}
pid_in() { cat "$dir/$1"; }

echo "# nothing"
m top --once > "$tmp/list" || fail "mrc top"
same "nothing" "mrc: 0 jobs, 0 kept views; no hub runs" "$(head -1 "$tmp/list")"
same "nothing in JSON" "1 none []" "$(rows 'str(top["version"]) + " " + top["hub"]["state"] + " " + str(rows)')"
same "no entries" "1 False []" "$(verb='ps' rows 'str(top["version"]) + " " + str(top["has_hub"]) + " " + str(rows)')"

echo "# without a hub: what it transfers"
begin one --no-cache alice@n1 sha256sum big
wait_for 20 once "^alice@n1 +$(pid_in one) +[0-9]+ running +0:00:[0-9]{2} .* MB .* sha256sum big\$"
moving() { once "^ +$dir/big\$"; }
wait_for 20 moving
sed 's/^/# /' "$tmp/list"
same "its row" "job alice@n1 sha256sum big running $(pid_in one) $dir/big" \
    "$(rows '" ".join(str(rows[0][k]) for k in ("kind", "host", "command", "state", "pid", "file"))')"
same "rates" True "$(rows '200000 < rows[0]["sent_rate"] < 2000000 and rows[0]["sent_bytes"] > 100000 and rows[0]["requests"] > 3')"

waited() { [ "$(rows 'rows[0]["waited"] > 2')" = True ]; }
wait_for 10 waited

echo "# on a terminal"
printf 'cd %q; exec env HOME=%q XDG_RUNTIME_DIR=%q mrc top' "$dir" "$home" "$tmp/run" > "$tmp/command"
t new-session -d -x 140 -y 20 "echo before; $lab --name $name head -u $user -- sh $tmp/command; echo \"ended with \$?.\"; sleep 1000" || fail "tmux"
on_screen '^mrc: 1 job, 0 kept views; no hub runs$'
on_screen "^alice@n1 +$(pid_in one) .* sha256sum big\$"
on_screen "$dir/big\$"
first=$(screen | grep sha256sum)
changed() { [ "$(screen | grep sha256sum)" != "$first" ]; }
wait_for 5 changed
t resize-window -x 60 -y 10
on_screen '^mrc: 1 job'
narrow() { ! shows 'sha256sum' && shows "^alice@n1 +$(pid_in one)"; }
wait_for 5 narrow
t resize-window -x 140 -y 20
on_screen 'sha256sum big$'

echo "# who is killed is told to be"
kill -KILL "$(pid_in one)"
on_screen "^alice@n1 +$(pid_in one) .* killed .* sha256sum big\$"
once "^alice@n1 +$(pid_in one) .* killed " || fail "killed: $(cat "$tmp/list")"
# Others' files that make no sense, or will not be read, are left out.
active=/tmp/mrc-$(id -u "$user")/active
head -c 300 /dev/urandom > "$active/1-x"
mkfifo "$active/2-x"
once "^alice@n1 +$(pid_in one) .* killed " || fail "with garbage: $(cat "$tmp/list")"
touch -d '2 minutes ago' "$active"/*-*
once '^HOST' || fail "after two minutes"
same "after two minutes" 3 "$(wc -l < "$tmp/list")"
same "what is left" "2-x" "$(ls "$active")"
t send-keys -t 0 q
on_screen '^ended with 0\.'
on_screen '^before$'

echo "# with a hub: a kept view, and what ps knows"
export MRC_HUB_IDLE=60
m alice@n1 true || fail "a job"
begin two alice@n1 sh -c 'sleep 1; sha256sum big; sleep 100'
viewed() { once "^alice@n1 +[0-9]+ +- view .* files of " && once "^alice@n1 +$(pid_in two) .* running " ; }
wait_for 20 viewed
same "first line" "mrc: 1 job, 1 kept view; hub: 1 connection kept" "$(head -1 "$tmp/list")"
wait_for 20 moving
same "the same view" True "$(rows 'rows[0]["view"] == rows[1]["view"] != "" and rows[0]["kind"] == "view" and rows[0]["sent_rate"] > 100000')"
same "waited for, in the view" True "$(rows 'rows[0]["waited"] > 2 and rows[1]["waited"] == 0')"
same "ps" "True [('connection', 1), ('running', 0), ('view', 1)]" \
    "$(verb='ps' rows 'str(top["has_hub"]) + " " + str(sorted((r["state"], r.get("jobs", 0)) for r in rows))')"

echo "# a silent hub, a dead hub"
hub=$(pgrep -u "$user" -f 'mrc --hub-process' | while read -r p; do grep -qz "XDG_RUNTIME_DIR=$tmp/run" "/proc/$p/environ" && echo "$p"; done)
[ -n "$hub" ] || fail "no hub"
kill -STOP "$hub"
once 'running' || fail "with a silent hub"
same "a silent hub" "mrc: 1 job, 1 kept view; the hub does not answer (jobs go on, new ones connect by themselves)" "$(head -1 "$tmp/list")"
same "in JSON" silent "$(rows 'top["hub"]["state"]')"
kill -KILL "$hub"
# The view ends with its last job.
dead() { once 'sha256sum big; sleep' && [ "$(head -1 "$tmp/list")" = "mrc: 1 job, 1 kept view; no hub runs" ]; }
wait_for 10 dead
kill "$(pid_in two)"
ended() { m top --once > "$tmp/list"; [ "$(head -1 "$tmp/list")" = "mrc: 0 jobs, 0 kept views; no hub runs" ]; }
wait_for 20 ended
same "what is left" "2-x" "$(ls "$active")"
same "mrc top with too much" 255 "$(status m top alice@n1 2> /dev/null)"

echo "# no place to tell"
rm "$active/2-x"
rmdir "$active"
ln -s /etc "$active"
MRC_HUB_IDLE=0 job true || fail "a job that can't tell"
same "mrc top then" 255 "$(status m top --once 2> /dev/null)"
