#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What visits of whole trees cost under lease: requests, and round trips that are waited for, on a local mount, where both are
# exact; and that who waits for a list, or for an open, can be killed.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrcfs.sh"
own_mounts "$@"
set -u
served=$tmp/served
mnt=$tmp/mnt
mkdir "$served" "$mnt"
for d in 0 1 2 3 4 5 6 7 8 9; do
    for e in a b c; do
        mkdir -p "$served/d$d/$e"
        for f in 0 1 2 3 4 5 6 7; do
            echo "needle $d $e $f" > "$served/d$d/$e/f$f"
        done
    done
done
find "$served" -exec touch -d '1 hour ago' {} +

# counted COMMAND: runs it with sh in a fresh mount; its output is in $tmp/out, the counts in $tmp/stats.
counted()
{
    mrcfs -f --stats "local:$served" "$mnt" 2> "$tmp/stats" &
    pid=$!
    wait_for 10 mounted "$mnt"
    sh -c "$1" > "$tmp/out" || fail "$1"
    mrcfs -u "$mnt" || fail "unmount after $1"
    wait $pid || fail "end after $1"
    grep -q ' renew$' "$tmp/stats" || fail "the file server grants no leases"
}
# count WORDS: of the line that has these words after its number
count()
{
    awk -v words="${1# }" '{ n = $1; sub(/^ *[0-9]+ /, "") } $0 == words { print n; is = 1 } END { if (!is) print 0 }' "$tmp/stats"
}
# at_most NUMBER WORDS
at_most()
{
    [ "$(count "$2")" -le "$1" ] || fail "$(count "$2") $2, not $1: $(cat "$tmp/stats")"
}

# waited COUNT: round trips were waited for, so many, or between both numbers of LEAST-MOST
waited()
{
    got=$(count 'round trips waited for')
    echo "# $got round trips"
    if [ "$got" -lt "${1%-*}" ] || [ "$got" -gt "${1#*-}" ]; then
        fail "$got round trips waited for, not $1: $(cat "$tmp/stats")"
    fi
}

# One round trip is the greeting's, one the root's attributes.
counted "ls -lR '$mnt'"
same "files listed" 240 "$(grep -c '^-' "$tmp/out")"
same "lists asked for" 41 "$(count list)"
for op in lookup opendir readdir; do
    same "$op requests of ls -lR" 0 "$(count $op)"
done
# Five levels of lists, of which the last may be here before it is wanted.
waited 6-7

counted "grep -r needle '$mnt'"
same "lines found" 240 "$(wc -l < "$tmp/out")"
same "opens of grep -r" 240 "$(count open)"
for op in lookup opendir readdir read; do
    same "$op requests of grep -r" 0 "$(count $op)"
done
# How many depends on which of the files that are opened ahead have come when they are wanted: 7 to 10 beside builds.
waited 7-12

# Each place that find is given asks for the file system's room: it is known for a moment.
counted "cd '$mnt' && find d* -type f -size -1k && find d* -type f && stat -f d*/*"
same "lines of find" 240 "$(grep -c '^d./' "$tmp/out")"
waited 6-7 # as for ls
at_most 1 'waited for statfs'
for op in lookup opendir readdir; do
    same "$op requests of find" 0 "$(count $op)"
done

# What the job itself changes is not answered from before.
touch "$served/new"
counted "stat -f '$mnt' && stat -f '$mnt' && rm '$mnt/new' && stat -f '$mnt'"
[ "$(count statfs)" -ge 2 ] || fail "the room was not asked for after a file was removed"

# Names that are absent: one list answers them all.
counted "for i in 1 2 3 4 5 6 7 8 9; do test ! -e '$mnt/d0/a/absent'\$i || exit 1; done"
at_most 3 ' lookup'
at_most 3 ' list'
waited 5

# A file that is read in order is asked for ahead: each byte once, and never so late that nothing is on the way; one that is read
# here and there is not.
head -c 33554432 /dev/urandom > "$served/big"
cksum < "$served/big" > "$tmp/want"
touch -d '1 hour ago' "$served/big"
counted "cksum < '$mnt/big'"
cmp -s "$tmp/want" "$tmp/out" || fail "the file is another one"
for words in 'bytes read ahead and again' 'bytes read ahead in vain' 'reads that were not foreseen'; do
    same "$words" 0 "$(count "$words")"
done
[ "$(count 'bytes read ahead')" -ge 33000000 ] || fail "only $(count 'bytes read ahead') bytes were read ahead"
[ "$(count read)" -le 200 ] || fail "$(count read) requests to read 32 MiB"
# The window is 1 MiB at least, after the beginning; how often the reader comes to what is still on its way depends on how fast it is.
waited 20-42
counted "for i in 7 2 9 4 1 8 3 6; do dd if='$mnt/big' bs=4k skip=\$((i * 777)) count=1 2>/dev/null | wc -c; done"
same "bytes read ahead of who reads here and there" 0 "$(count 'bytes read ahead')"
rm "$served/big"

# Who waits for a list, or for one that was asked for by somebody else, can be killed.
mrcfs -f "local:$served" "$mnt" &
pid=$!
wait_for 10 mounted "$mnt"
ls "$mnt" > /dev/null
server=$(cat /proc/$pid/task/$pid/children)
# shellcheck disable=SC2086
kill -STOP $server
ls "$mnt/d0" > /dev/null &
first=$!
ls "$mnt/d0" > /dev/null &
second=$!
sleep 0.2
for one in $second $first; do
    kill -KILL $one
    wait_for 10 is_gone $one
    wait $one 2>/dev/null
done
# shellcheck disable=SC2086
kill -CONT $server
same "names after the server went on" "a b c" "$(ls "$mnt/d0" | tr '\n' ' ' | sed 's/ $//')"
# So can who opens a file for writing: who waits for that, to read it, goes on.
stat "$mnt/d0/a/f0" > /dev/null
# shellcheck disable=SC2086
kill -STOP $server
bash -c "exec 3>> '$mnt/d0/a/f0'" &
first=$!
sleep 0.2
timeout 20 cat "$mnt/d0/a/f0" > "$tmp/read" &
second=$!
sleep 0.2
kill -KILL $first
wait_for 10 is_gone $first
wait $first 2>/dev/null
# shellcheck disable=SC2086
kill -CONT $server
wait $second || fail "a reader that waited for a writer that was killed"
same "what it read" "needle 0 a 0" "$(cat "$tmp/read")"
mrcfs -u "$mnt" || fail "unmount"
wait $pid || fail "end"
