#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2154 # of the files that are read
# park.sh: on the way home pages are put where they belong before the job stands still: how much is left to be copied then is counted. What
# a return leaves behind that did not come to its end is given back, and the next one finds room again. Needs root.
set -u
export top_srcdir=${top_srcdir:-.} top_builddir=${top_builddir:-.}
. "$top_srcdir/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
mb=64 few_kib=8192
cluster_up
link() { "$lab" --name $name link head n1 --rate "$1" >/dev/null || fail "link"; }
cd "$tmp" || exit 99

mosrun "$top_builddir/tests/migrate/gap" $mb 5 random >out 2>err & pid=$!
at_exit 'kill -9 $pid 2>/dev/null'
wait_for 30 grep -q ready out
rss_kib() { awk '$1 == "VmRSS:" { print $2 }' "/proc/$pid/status"; }
has_more_than() { [ "$(rss_kib)" -gt "$1" ]; }
has_less_than() { [ "$(rss_kib)" -lt "$1" ]; }
said() { [ "$(wc -l <out)" -gt "$1" ]; }
# away: moves it to n1, where it is as soon as its stub has a park
has_park() { grep -q '^2b0000000000' "/proc/$pid/maps"; }
away()
{
    migrate $pid n1 || fail "migrate"
    wait_for 30 is_at $pid n1
    wait_for 10 has_park
}
# right: its memory is as it has left it
right()
{
    local lines us wrong
    lines=$(wc -l <out)
    kill -USR2 $pid
    wait_for 30 said "$lines"
    read -r us wrong <<<"$(tail -n 1 out)"
    same "pages that are wrong after $us us" 0 "$wrong"
}
# parked: the move home was one, nothing of the park is left, and little was copied while it stood still
parked()
{
    local kib
    is_at $pid home || fail "not at home: $(tail -n 3 "$log")"
    kib=$(sed -n 's/.*put in place.* with \([0-9]*\) KiB that were elsewhere/\1/p' "$log" | tail -n 1)
    [ "${kib:-$((mb * 1024))}" -lt $few_kib ] || fail "${kib:-unknown} KiB were copied while it stood still, not less than $few_kib"
    ! grep -q '^2[ab]' "/proc/$pid/maps" || fail "left over: $(grep '^2[ab]' "/proc/$pid/maps")"
    has_more_than $((mb * 1000)) || fail "it has $(rss_kib) KiB"
    right
}

# ---- home ----
away
: >"$log"
migrate $pid home || fail "migrate"
wait_for 30 is_at $pid home
parked

# ---- a return that is given up ----
away
link 20mbit # half a minute, of which only the first seconds are needed
migrate $pid home || fail "migrate"
collector() { inside $pid 'an image that comes home'; }
has_parked() { awk '/^[0-9a-f]+-/ { is_park = /^2b/ } is_park && $1 == "Rss:" { kib += $2 } END { exit kib < 1024 }' "/proc/$pid/smaps"; }
collects() { [ -n "$(collector)" ]; }
wait_for 20 collects
wait_for 20 has_less_than $((mb * 512)) # its old memory is given back
wait_for 20 has_parked                  # and what comes has its place
kill -9 "$(collector)" || fail "no collector"
link 1gbit
wait_for 20 has_less_than 8192
is_at $pid n1 || fail "not at n1"
right
: >"$log"
migrate $pid home || fail "migrate"
wait_for 30 is_at $pid home
parked
kill -TERM $pid
wait $pid
none_left() { none_inside $pid; }
wait_for 10 none_left
