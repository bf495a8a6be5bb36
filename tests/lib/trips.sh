# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# trips.sh: what commands on a local mount cost in round trips that are waited for; they are exact there. Source it after mrcfs.sh;
# $tmp is there. Afterwards $served is a directory, $mnt where it will be mounted.
# Must not know: what is counted.

# shellcheck disable=SC2154   # functions.sh makes tmp
served=$tmp/served
mnt=$tmp/mnt
mkdir "$served" "$mnt"

# counted COMMAND: runs it with sh in a fresh mount; what it prints is in $tmp/out, the counts are in $tmp/stats
counted()
{
    mrcfs -f --stats "local:$served" "$mnt" 2> "$tmp/stats" &
    pid=$!
    wait_for 10 mounted "$mnt"
    (cd "$mnt" && timeout 100 sh -c "$1") > "$tmp/out" 2>&1 || fail "$1: $(tail -n 3 "$tmp/out")"
    mrcfs -u "$mnt" || fail "unmount after $1"
    wait $pid || fail "end after $1: $(cat "$tmp/stats")"
}
# count WORDS: of the line that ends so
count()
{
    awk -v words="$1" 'index($0, words) && substr($0, length($0) - length(words) + 1) == words { print $1; is = 1 }
        END { if (!is) print 0 }' "$tmp/stats"
}
# at_most NUMBER WHAT
at_most()
{
    [ "$(count 'round trips waited for')" -le "$1" ] ||
        fail "$2: $(count 'round trips waited for') round trips, not $1: $(cat "$tmp/stats")"
    echo "ok: $2: $(count 'round trips waited for') round trips"
}
