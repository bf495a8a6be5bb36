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
# at_most NUMBER COMMAND
at_most()
{
    local got
    got=$(waits "$2")
    echo "# $2: $got"
    [ "$got" -le "$1" ] || fail "$2: $got round trips waited for, not $1: $(cat "$tmp/stats")"
}

# first WITHOUT WITH COMMAND...: a command that was never run before waits for so many round trips at most, and without a profile for at
# least so many: what its words name, and what its program needs, is known before it starts
first()
{
    local without=$1 with=$2 got
    shift 2
    for way in --no-profile -q; do
        rm -rf "$home/.cache/mrc/profiles"
        here timeout $limit env PATH="$search" "$top_builddir/mrc/mrc" -q --stats $way $view -F "$conf" alice@n1 "$@" > "$tmp/out" 2> "$tmp/stats" ||
            fail "$*: $(cat "$tmp/stats")"
        got=$(sed -n 's/^mrc: files: .* \([0-9]*\) round trips waited for.*/\1/p' "$tmp/stats")
        echo "# $*, for the first time ($way): $got"
        if [ $way = -q ]; then
            [ "$got" -le "$with" ] || fail "$*: $got round trips waited for, not $with: $(cat "$tmp/stats")"
        else
            [ "$got" -ge "$without" ] || fail "$*: $got round trips are few: what is tested?"
            [ "$with" -gt 0 ] || with=$((got + with))
        fi
    done
}

# The greeting; the trees' roots, and with them all of the search path.
at_most 3 true
at_most 3 'date > /dev/null; ls / > /dev/null; id > /dev/null'
at_most 6 mine
same "a program of the head's" mine "$(cat "$tmp/out")"
dir=$dir/sub/deep at_most 4 pwd
same "a directory below" "$dir/sub/deep" "$(cat "$tmp/out")"

at_most 9 "find d* -type f | wc -l"
same "files found" 100 "$(cat "$tmp/out")"
at_most 9 "ls -lR d* | grep -c '^-'"
same "files listed" 100 "$(cat "$tmp/out")"
at_most 15 "grep -r needle d* | wc -l"
same "lines found" 100 "$(cat "$tmp/out")"

# Words of a command, of a shell's command, a directory; 3 if the file has come before it is opened.
view=
mkdir -p "$dir/w/x/y/z"
for i in 1 2 3; do echo "word $i" > "$dir/w/x/y/z/f$i"; done
find "$dir/w" -exec touch -d '1 hour ago' {} +
chown -R "$user:" "$dir/w"
first 8 4 cat w/x/y/z/f1 w/x/y/z/f2
same "two files" "word 1 word 2" "$(tr '\n' ' ' < "$tmp/out" | sed 's/ $//')"
first 8 4 sh -c 'cat < w/x/y/z/f3'
first 7 4 ls w/x/y/z
first 4 4 mine
same "a program of the head's, for the first time" mine "$(cat "$tmp/out")"

# A program of the head's with its libraries, which the target doesn't show: opening them, and links on the way, is not waited for. How
# many there are depends on this computer.
view='--view root'
first 50 -6 ls -d /usr
same "by the head's program" /usr "$(cat "$tmp/out")"

at_most 20 "sha256sum < big"
same "what was read" "$(sha256sum < "$dir/big")" "$(cat "$tmp/out")"
grep -Eq '^mrc: read ahead: 8[0-9]{6} bytes, 0 of them in vain, 0 once more; 0 reads were not foreseen$' "$tmp/stats" ||
    fail "reading ahead: $(cat "$tmp/stats")"
echo "all passed"
