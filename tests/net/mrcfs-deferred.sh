#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Files that stay open at the server for a while after they were closed (docs/leases.md, "Deferred close"), and directories that are
# listed by what was made in them: what it costs in round trips, and that programs at the server notice nothing.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrcfs.sh"
own_mounts "$@"
set -u
. "$top_srcdir/tests/lib/trips.sh"

# A log that each program opens anew; what is made in a directory is listed and removed by other programs.
counted 'for i in $(seq 100); do echo $i >> log; done; cat log > copy'
at_most 12 "a log of 100 programs"
same "the log" "$(seq 100)" "$(cat "$served/log")"
same "its copy" "$(seq 100)" "$(cat "$served/copy")"
counted 'mkdir d && for i in $(seq 30); do mkdir d/$i; echo x > d/$i/f; ls d/$i; rm -r d/$i; done; rmdir d'
same "what was listed" "$(yes f | head -n 30)" "$(cat "$tmp/out")"
at_most 15 "30 directories that are made, listed and removed"

mrcfs -f "local:$served" "$mnt" 2> "$tmp/words" &
pid=$!
wait_for 10 mounted "$mnt"
server=$(cat /proc/$pid/task/$pid/children)
server=${server%% *}
# Files that the server has open for writing.
open_files()
{
    find "/proc/$server/fd" -lname "$served/*" -printf '%f\n' | while read -r fd; do
        grep -s '^flags:.*[12]$' "/proc/$server/fdinfo/$fd"
    done | wc -l
}

# What a job has closed is what programs at the server find, at once: whole, writable, executable.
for i in $(seq 20); do
    echo one > "$mnt/f"
    echo two >> "$mnt/f"
    same "read at the server" "one two" "$(tr '\n' ' ' < "$served/f" | sed 's/ $//')"
    echo three >> "$served/f"
    echo four >> "$mnt/f"
    same "written in turns" "one two three four" "$(tr '\n' ' ' < "$mnt/f" | sed 's/ $//')"
    printf '#!/bin/sh\necho %s\n' "$i" > "$mnt/p$i"
    chmod 755 "$mnt/p$i"
    wait_for 5 test -x "$served/p$i"
    same "executed at the server" "$i" "$("$served/p$i" 2>&1)"
    printf 'exit 3\n' >> "$mnt/p$i"
    rc=0
    "$mnt/p$i" > /dev/null || rc=$?
    same "executed in the mount" 3 $rc
done
echo "ok: programs at the server"

# What is known of a file that is open there only is right: truncated, moved, linked, without rights.
echo gone > "$mnt/g"
: > "$mnt/g"
echo new >> "$mnt/g"
mv "$mnt/g" "$mnt/h"
echo more >> "$mnt/h"
ln "$mnt/h" "$mnt/i"
echo last >> "$mnt/i"
same "by another name" "new more last" "$(tr '\n' ' ' < "$served/h" | sed 's/ $//')"
same "by another name, in the mount" "new more last" "$(tr '\n' ' ' < "$mnt/h" | sed 's/ $//')"
if [ "$(id -u)" != 0 ]; then
    chmod 400 "$mnt/h"
    (echo no >> "$mnt/h") 2> /dev/null && fail "a file without rights was opened for writing"
fi
python3 - "$mnt/s" << 'END' || fail "writing, reading and changing what is open and what was closed"
import os, random, sys
path, is_there, random = sys.argv[1], b"", random.Random(7)
for _ in range(300):
    what = random.randrange(5)
    if what == 0:
        with open(path, "ab") as f: f.write(b"%d\n" % random.randrange(1000)); is_there = None
    elif what == 1 and os.path.exists(path):
        with open(path, "r+b") as f: f.seek(random.randrange(20)); f.write(b"X"); is_there = None
    elif what == 2:
        with open(path, "wb") as f: f.write(b"begin\n"); is_there = b"begin\n"
    elif what == 3 and os.path.exists(path):
        os.truncate(path, random.randrange(40)); is_there = None
    with open(path, "ab+") as f: f.seek(0); now = f.read()
    if is_there is not None and now != is_there and what == 2: sys.exit("%r, not %r" % (now, is_there))
    with open(path, "rb") as f: again = f.read()
    if again != now or os.stat(path).st_size != len(now): sys.exit("%r, then %r" % (now, again))
END
cmp "$mnt/s" "$served/s" || fail "what the server has"
echo "ok: changes of what was closed"

# They are few, and for a while; what was removed frees its room.
for i in $(seq 400); do echo "$i" > "$mnt/m$i"; done
for i in $(seq 400); do echo "$i" >> "$mnt/m$i"; done
[ "$(open_files)" -ge 100 ] || fail "$(open_files) files are open for writing at the server"
[ "$(open_files)" -le 300 ] || fail "$(open_files) files are open for writing at the server"
rm "$mnt"/m*
none_is_open() { [ "$(open_files)" = 0 ]; }
wait_for 15 none_is_open
mrcfs -u "$mnt" && wait $pid || fail "end: $(cat "$tmp/words")"
echo "ok: closed at the end"
