# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2034,SC2154 # for the test, and of cluster.sh
# bad_job.sh: the job of bad_days.sh, and what is asked of it; after cluster.sh. "case" is what is tried, $pid the job, in the files
# out and err what it says.
couple=$top_builddir/tests/migrate/couple

# start PROGRAM...: a job that has printed something
start()
{
    : >out
    mosrun "$@" >out 2>err </dev/null & pid=$!
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 20 [ -s out ]
}
settled() { mosps -aw | awk -v pid="$pid" '$1 == pid && / settled / { print $2 }'; }
is_settled() { [ "$(settled)" = "$1" ]; }
go()
{
    migrate $pid "$1" || fail "$case: migrate $1"
    (wait_for 20 is_settled "$1") 2>/dev/null || { tail -n 3 "$log"; fail "$case: the job is not at $1: $(mosps -aw | grep "^ *$pid ")"; }
}
# refused NODE WORDS PLACE: a move there ends with these words, and the job is where it was
refused()
{
    if migrate $pid "$1" 2>said; then
        is_told() { mosps -aw | grep "^ *$pid .*settled" >said && grep -q -- "$2" said; }
        (wait_for 20 is_told "$@") 2>/dev/null || { tail -n 3 "$log" "$tmp/log.$1"; fail "$case: there should be words '$2': $(mosps -aw | grep "^ *$pid ")"; }
    else
        grep -q -- "$2" said || fail "$case: should say '$2': $(cat said)"
    fi
    [ -z "${BAD_DAYS:-}" ] || echo "# $case: $(cat said)"
    is_settled "$3" || fail "$case: the job is at $(place $pid), not at $3"
}
# ends STATUS: and nothing of it is left
ends()
{
    local got=0
    (wait_for 30 is_gone $pid) || { mosps -aw; fail "$case: the job does not end"; }
    wait $pid || got=$?
    same "$case: status ($(cat err))" "$1" $got
    wait_for 20 none_inside $pid
}
# begins_right HOW TURNS: "out" is how a native run begins
begins_right() { "$couple" "$@" 0 2>/dev/null | head -n "$(wc -l <out)" | cmp - out || fail "$case: output"; }
endless=(alone 1000000)
# It runs on where it is, as it should.
runs_on()
{
    local had
    had=$(wc -l <out)
    has_more() { [ "$(wc -l <out)" -gt "$had" ]; }
    wait_for 20 has_more
    kill $pid
    ends 143
    begins_right "${endless[@]}"
}
says() { grep -q -- "$1" "$2" || fail "$case: $2 should say '$1': $(cat "$2")"; }
# again NODE [OPTION...]: its daemon is another from now on
again() { kill_daemon $1; wait_for 10 is_silent $1; daemon "$@"; }
is_silent() { [ "$1" = head ] || ! on_node "$1" sh -c 'kill -0 $(cat /run/mosixd.pid)' 2>/dev/null; }

# Another has so much memory, and knows whether it is as it was.
gap=$top_builddir/tests/migrate/gap
gap_is_right()
{
    kill -USR2 $pid
    wait_for 10 eval '[ "$(wc -l <out)" -gt 1 ]'
    same "$case: its memory" 0 "$(tail -n 1 out | cut -d' ' -f2)"
    kill $pid
    ends 0
}
