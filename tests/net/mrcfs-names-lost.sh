#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Names that are taken for made before they are (docs/leases.md), on bad days: a program at the server is first, the server or
# the client is killed, the disk is full. What is on the server is then a beginning of what was done, in its order, and the end
# of the mount says what is missing.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrcfs.sh"
own_mounts "$@"
set -u
served=$tmp/served
mnt=$tmp/mnt
mkdir "$served" "$mnt"

begin()
{
    rm -rf "${served:?}"/*
    (ulimit -f "${file_limit:-unlimited}" && exec mrcfs -f "local:$served" "$mnt") 2> "$tmp/words" &
    pid=$!
    wait_for 10 mounted "$mnt"
    server=$(cat /proc/$pid/task/$pid/children)
    server=${server%% *}
    # The first change in a directory is waited for; with it nobody else knows anything of it.
    mkdir "$mnt/d"
    echo first > "$mnt/d/first"
    wait_for 5 test -s "$served/d/first"
}

# ends_badly WORDS: the mount's end says them
ends_badly()
{
    mrcfs -u "$mnt" 2>/dev/null
    rc=0
    wait $pid || rc=$?
    [ $rc != 0 ] || fail "$1: the end of the mount was a good one"
    grep -q "$1" "$tmp/words" || fail "words: $(cat "$tmp/words")"
}

# fill: numbered files with 1,000 times their number, moved from another directory when they are written, until it can't
fill()
{
    mkdir "$mnt/d/sub" "$mnt/d/new" || return
    for ((i = 1; i <= ${1:-100000}; i++)); do
        printf "$i%.0s " {1..200} > "$mnt/d/new/f$i" || return
        mv "$mnt/d/new/f$i" "$mnt/d/sub/g$i" || return
    done 2>/dev/null
}

# is_beginning: what fill made on the server is a beginning of it
is_beginning()
{
    last=0
    for ((i = 1; ; i++)); do
        [ -e "$served/d/sub/g$i" ] || break
        [ "$(cat "$served/d/sub/g$i")" = "$(printf "$i%.0s " {1..200})" ] || fail "g$i is not what was written before it was named so"
        last=$i
    done
    left=$(find "$served/d/sub" "$served/d/new" -type f 2>/dev/null | wc -l)
    [ "$left" -le $((last + 1)) ] || fail "$left files, the first $last in order: $(ls "$served/d/sub" | head -n 5)"
    [ "$left" -eq "$last" ] || [ -e "$served/d/new/f$((last + 1))" ] || fail "a file out of order"
    echo "ok: $1: $last files in order"
}

# A program at the server is first: the job's file is not made, nor anything that it did after that.
begin
kill -STOP "$server"
timeout 5 sh -c "echo mine > '$mnt/d/before' && (set -C; echo mine > '$mnt/d/here') && echo mine > '$mnt/d/after' && mv '$mnt/d/first' '$mnt/d/moved' &&
    mkdir '$mnt/d/dir' && echo mine > '$mnt/d/dir/inner'" || fail "making names waits for the server"
echo theirs > "$served/d/here"
kill -CONT "$server"
wait_for 10 sh -c "! echo more > '$mnt/d/more'" 2>/dev/null
same "what was done before it" mine "$(cat "$served/d/before")"
same "their file" theirs "$(cat "$served/d/here")"
same "names at the server" "before first here" "$(find "$served/d" -mindepth 1 -printf "%f\n" | sort | paste -sd " ")"
same "their file as the job sees it then" theirs "$(cat "$mnt/d/here")"
rm "$mnt/d/here" 2>/dev/null && fail "the job could remove their file"
ends_badly 'create of "here".*File exists'
echo "ok: a program at the server was first"

# A name that programs keep each other out by is waited for.
begin
kill -STOP "$server"
(set -C; echo mine > "$mnt/d/index.lock") 2>/dev/null &
job=$!
sleep 0.3
is_gone $job && fail "a lock was taken before the server was asked"
echo theirs > "$served/d/index.lock"
kill -CONT "$server"
wait $job && fail "both have the lock"
echo on > "$mnt/d/on" || fail "writing after a lock was lost"
mrcfs -u "$mnt" && wait $pid || fail "end after a lock was lost: $(cat "$tmp/words")"
same "what was done after it" on "$(cat "$served/d/on")"
echo "ok: locks are waited for"

# Somebody else changes names there: then those that are made are waited for, too.
begin
touch "$served/d/others"
wait_for 5 test -e "$mnt/d/others"
kill -STOP "$server"
(set -C; echo mine > "$mnt/d/mine") &
job=$!
sleep 0.3
is_gone $job && fail "a name was made without asking where others make names"
kill -CONT "$server"
wait $job || fail "making a name where others do"
mrcfs -u "$mnt" && wait $pid || fail "end"
echo "ok: where others make names"

# What is shown of a file that the server has not heard of, is shown again when it has; and so it is there, but for the number and the time of its last
# change.
begin
kill -STOP "$server"
timeout 5 sh -c "echo one > '$mnt/d/a'" || fail "making a file waits for the server"
timeout 5 stat -c '%i %s %Z %z %Y %y' "$mnt/d/a" > "$tmp/first" || fail "stat of a new file waits for the server"
kill -CONT "$server"
sync "$mnt/d/a"
wait_for 5 test -s "$served/d/a"
stat -c '%i %s %Z %z %Y %y' "$mnt/d/a" > "$tmp/second"
diff "$tmp/first" "$tmp/second" || fail "what was shown of a file has changed"
same "inode number in a list" "$(cut -d' ' -f1 "$tmp/first")" "$(ls -i "$mnt/d" | awk '$2 == "a" { print $1 }')"
mrcfs -u "$mnt" && wait $pid || fail "end: $(cat "$tmp/words")"
same "size and time at the server" "$(cut -d' ' -f2,7- "$tmp/first")" "$(stat -c '%s %Y %y' "$served/d/a")"
echo "ok: what is shown stays so"

# A copy that is on the way is of what was there when it was answered, whoever wants to write that since.
begin
seq 20000 > "$mnt/d/from"
cat "$mnt/d/from" > /dev/null
cp "$mnt/d/from" "$mnt/d/once"
cat "$mnt/d/from" > /dev/null # what is written is there by now, so it is held from here on
kill -STOP "$server"
timeout 5 cp "$mnt/d/from" "$mnt/d/to" || fail "a copy waits for the server"
(echo others > "$served/d/from") &
job=$!
kill -CONT "$server"
wait $job || fail "a program here can't write what was copied"
cmp "$mnt/d/to" "$mnt/d/once" || fail "the copy is not of what was there"
same "what a program here wrote" others "$(cat "$mnt/d/from")"
mrcfs -u "$mnt" && wait $pid || fail "end after copies: $(cat "$tmp/words")"
seq 20000 | cmp - "$served/d/to" || fail "the copy at the server"
echo "ok: a copy is of what was there"

# What can't be copied after all is said.
file_limit=100 begin
head -c 500000 /dev/zero > "$served/d/big"
wait_for 5 test -e "$mnt/d/big"
cat "$mnt/d/big" > /dev/null
if cp "$mnt/d/big" "$mnt/d/copy"; then
    ends_badly 'copy" is lost.*File too large'
else
    mrcfs -u "$mnt" && wait $pid || fail "end after a copy that has failed: $(cat "$tmp/words")"
fi
echo "ok: a copy that has failed"

for round in 1 2 3; do
    # The server is killed.
    begin
    fill &
    job=$!
    sleep 0.$((round * 2))
    kill -KILL "$server"
    wait $job
    rc=0
    wait $pid || rc=$?
    [ $rc != 0 ] || fail "the end of a mount whose server was killed was a good one"
    [ -s "$tmp/words" ] || fail "nothing was said of the server's end"
    is_beginning "server killed"
    umount -l "$mnt" 2>/dev/null || fusermount3 -uz "$mnt" 2>/dev/null

    # The client is killed: the server does what it has heard.
    begin
    fill &
    job=$!
    sleep 0.$((round * 2))
    kill -KILL $pid
    wait $job
    wait $pid
    wait_for 10 is_gone "$server"
    is_beginning "client killed"
    umount -l "$mnt" 2>/dev/null || fusermount3 -uz "$mnt" 2>/dev/null
done

# All of it arrives when nobody is killed.
begin
fill 300
mrcfs -u "$mnt" && wait $pid || fail "end of a good day: $(cat "$tmp/words")"
is_beginning "a good day"
same "files" 300 "$last"

# The last of what was put off fails. Near a full disk nothing is put off: there the job hears at once.
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=600k none "$served"; then
    begin
    fill 2000
    [ $i -lt 2000 ] || fail "a full disk was not noticed"
    mrcfs -u "$mnt" && wait $pid || fail "end, though the job was told of each failure: $(cat "$tmp/words")"
    is_beginning "disk full"
    umount -l "$served"
fi
file_limit=100 # KiB
begin
kill -STOP "$server"
printf '%0200000d' 0 > "$mnt/d/big" || fail "a write that is put off"
rm -f "$mnt/d/first" || fail "a name that is put off"
kill -CONT "$server"
wait_for 5 test -e "$mnt/d/first"
same "the file that was to go after that" first "$(cat "$served/d/first")"
echo more > "$mnt/d/more" || fail "what is asked for is done after that"
ends_badly '"big" is lost: File too large'
same "what was done after that" more "$(cat "$served/d/more")"
echo "ok: a write fails, and what came after it is not done"

# The same, told to who asks for it: then names are taken for done before they are, as before, and a further failure is told as well.
# put_off N: makes d/wN, which is waited for, and then d/xN while the server is stopped
put_off()
{
    put_off_rc=0
    mkdir -p "$mnt/d/w$1" || fail "d/w$1"
    wait_for 5 test -d "$served/d/w$1"
    kill -STOP "$server"
    timeout 1 sh -c "mkdir '$mnt/d/x$1' && echo on > '$mnt/d/x$1/f' && mv '$mnt/d/x$1/f' '$mnt/d/x$1/g'" || put_off_rc=1
    [ ! -e "$served/d/x$1" ] || fail "the server was to be stopped"
    kill -CONT "$server"
    if [ $put_off_rc = 0 ]; then
        wait_for 5 test -s "$served/d/x$1/g"
    else
        wait_for 5 rm -rf "$mnt/d/x$1"
    fi
    return $put_off_rc
}
at_exit 'kill -CONT "$server" 2>/dev/null'
begin
for round in 1 2; do
    dd if=/dev/zero of="$mnt/d/big" bs=200000 count=1 conv=fsync,notrunc 2> "$tmp/dd" && fail "round $round: fsync of what is lost"
    grep -q 'File too large' "$tmp/dd" || fail "round $round: $(cat "$tmp/dd")"
    wait_for 15 put_off $round # the next renewal is some seconds away
    same "round $round" on "$(cat "$served/d/x$round/g")"
done
mrcfs -u "$mnt" && wait $pid || fail "end, though each failure was told: $(cat "$tmp/words")"
same "all of it" "big first w1 w2 x1 x2" "$(find "$served/d" -mindepth 1 -maxdepth 1 -printf "%f\n" | sort | paste -sd " ")"
echo "ok: a failure that was told is over"
