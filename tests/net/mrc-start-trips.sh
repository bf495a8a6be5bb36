#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-start-trips.sh: how many answers of the file server jobs on a fresh connection wait for, as counted by the client: the
# beginning itself, programs in a search path that leads through the head's trees, walks of trees, and a file read in order.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"

lab_up 1
export MRC_HUB_IDLE=0 # a connection, and an agent, for each job
mkdir -p "$home/one/bin" "$home/two/three/four/bin" "$dir/sub/deep"
for i in $(seq 20); do
    mkdir "$dir/d$i"
    for j in 1 2 3 4 5; do
        echo "needle $i $j" > "$dir/d$i/f$j"
    done
done
printf '#!/bin/sh\necho mine\n' > "$home/two/three/four/bin/mine"
chmod 755 "$home/two/three/four/bin/mine"
head -c 8388608 /dev/urandom > "$dir/big"
find "$home" -exec touch -h -d '1 hour ago' {} +
chown -R "$user:" "$home"
search=$home/one/bin:$home/none:$home/two/three/four/bin:/usr/bin:/bin

# Without launch profiles, but where "first" says so: one line's profile would be taken for the next one's, which is another command of the same program.
# waits COMMAND: runs it by sh as a job with that search path; its output is in $tmp/out, prints the round trips waited for
waits()
{
    here timeout $limit env PATH="$search" "$top_builddir/mrc/mrc" -q --stats --no-profile -F "$conf" alice@n1 sh -c "$1" > "$tmp/out" 2> "$tmp/stats" ||
        fail "$1: $(cat "$tmp/stats")"
    sed -n 's/^mrc: files: .* \([0-9]*\) round trips waited for.*/\1/p' "$tmp/stats"
}
# within COUNT WHAT: $got is COUNT, or between both numbers of LEAST-MOST
within()
{
    [ -n "$got" ] || fail "$2: nothing was counted: $(cat "$tmp/stats")"
    echo "# $2: $got" | tee -a "$tmp/counts"
    if [ "$got" -lt "${1%-*}" ] || [ "$got" -gt "${1#*-}" ]; then
        fail "$2: $got round trips waited for, not $1: $(cat "$tmp/stats")"
    fi
}
# costs COUNT COMMAND
costs()
{
    got=$(waits "$2")
    within "$1" "$2"
}

# first WITHOUT WITH COMMAND...: so many a command that was never run before waits for, without a profile and with what can be told of it
# before it starts: what its words name, and what its program needs; both as in "within"
first()
{
    local without=$1 with=$2 way
    shift 2
    for way in --no-profile -q; do
        rm -rf "$home/.cache/mrc/profiles"
        # shellcheck disable=SC2086 # two words, or none
        here timeout $limit env PATH="$search" "$top_builddir/mrc/mrc" -q --stats $way $view -F "$conf" alice@n1 "$@" > "$tmp/out" 2> "$tmp/stats" ||
            fail "$*: $(cat "$tmp/stats")"
        got=$(sed -n 's/^mrc: files: .* \([0-9]*\) round trips waited for.*/\1/p' "$tmp/stats")
        within "$([ $way = -q ] && echo "$with" || echo "$without")" "$*, for the first time ($way)"
    done
}

# The greeting; the trees' roots, and with them all of the search path.
costs 3 true
costs 3 'date > /dev/null; ls / > /dev/null; id > /dev/null'
costs 4 mine
same "a program of the head's" mine "$(cat "$tmp/out")"
dir=$dir/sub/deep costs 3 pwd
same "a directory below" "$dir/sub/deep" "$(cat "$tmp/out")"

costs 5 "find d* -type f | wc -l"
same "files found" 100 "$(cat "$tmp/out")"
costs 5 "ls -lR d* | grep -c '^-'"
same "files listed" 100 "$(cat "$tmp/out")"
# One more if a file is wanted just before it is opened ahead.
costs 9-10 "grep -r needle d* | wc -l"
same "lines found" 100 "$(cat "$tmp/out")"

# Words of a command, of a shell's command, a directory. 4 if the job opens the file before it has come.
view=
mkdir -p "$dir/w/x/y/z"
for i in 1 2 3; do echo "word $i" > "$dir/w/x/y/z/f$i"; done
find "$dir/w" -exec touch -d '1 hour ago' {} +
chown -R "$user:" "$dir/w"
first 9 3-4 cat w/x/y/z/f1 w/x/y/z/f2
same "two files" "word 1 word 2" "$(tr '\n' ' ' < "$tmp/out" | sed 's/ $//')"
first 8 3-4 sh -c 'cat < w/x/y/z/f3'
first 7 3-4 ls w/x/y/z
first 4 3-4 mine
same "a program of the head's, for the first time" mine "$(cat "$tmp/out")"

# A program of the head's with its libraries, which the target doesn't show: opening them, and links on the way, is not waited for. How
# many there are depends on this computer; 11 or more are saved where ls needs three libraries.
view='--view root'
first 20-999 1-999 ls -d /usr
with=$got
got=$(sed -n 's/^# ls -d .*--no-profile): //p' "$tmp/counts")
[ $((got - with)) -ge 6 ] || fail "a program of the head's: $with round trips with its libraries, $got without"
same "by the head's program" /usr "$(cat "$tmp/out")"

# How often the reader comes to what is still on its way depends on how fast it is.
costs 9-18 "sha256sum < big"
same "what was read" "$(sha256sum < "$dir/big")" "$(cat "$tmp/out")"
grep -Eq '^mrc: read ahead: 8[0-9]{6} bytes, 0 of them in vain, 0 once more; 0 reads were not foreseen$' "$tmp/stats" ||
    fail "reading ahead: $(cat "$tmp/stats")"
echo "all passed"
