#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-cache.sh: contents that a target has from an earlier job are not sent again; what has changed is; damage is seen; what
# must not be on the target's disk isn't; mrc cache.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"

lab_up 1
"$lab" --name "$name" link head n1 --rate 400mbit || fail "link"
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY
export MRC_HUB_IDLE=0 # a connection, and an agent, for each job
mega=1048576
total=$((64 * mega))
head -c $total /dev/urandom > "$dir/big"
chown -R "$user:" "$dir"
sum() { sha256sum < "$dir/big"; }

counted()
{
    local command=$1
    shift
    # A new agent looks through the store first, without anybody waiting for it.
    m --stats "$@" alice@n1 sh -c "sleep 0.4; $command" > "$tmp/out" 2> "$tmp/stats" || fail "$command: $(cat "$tmp/stats")"
}
sent() { sed -n 's/^mrc: link: \([0-9]*\) bytes sent, .*/\1/p' "$tmp/stats"; }
from_cache() { sed -n 's/^mrc: cache: \([0-9]*\) bytes were there already.*/\1/p' "$tmp/stats"; }
missed() { sed -n 's/^mrc: cache: .*; \([0-9]*\) were not).*/\1/p' "$tmp/stats"; }
between()
{
    echo "# $1: $4"
    if [ "$4" -lt "$2" ] || [ "$4" -gt "$3" ]; then
        fail "$1: $4, not $2 to $3: $(cat "$tmp/stats")"
    fi
}
# reads WHAT LEAST MOST [OPTION...]: a job reads the file as it is now, and so many bytes go to the target
reads()
{
    local what=$1 least=$2 most=$3
    shift 3
    counted 'sha256sum < big' "$@"
    same "$what" "$(sum)" "$(cat "$tmp/out")"
    between "$what" "$least" "$most" "$(sent)"
}
cache=/home/alice/.cache/mrc/chunks
chunks() { node sh -c "[ ! -e $cache ] || find $cache -path '*/??/*' -type f" | sort; }

reads "with --no-cache" $total $((total + 2 * mega)) --no-cache
grep -q '^mrc: cache: off' "$tmp/stats" || fail "--stats with --no-cache: $(cat "$tmp/stats")"
same "chunks after --no-cache" "" "$(chunks)"
echo "# $(m cache alice@n1)"
m cache alice@n1 | grep -q 'there is no cache$' || fail "mrc cache without one: $(m cache alice@n1)"

# ahead WHAT: most was read ahead, and nothing that was not needed, or twice
ahead()
{
    grep -Eq '^mrc: read ahead: 6[67][0-9]{6} bytes, 0 of them in vain, 0 once more; 0 reads were not foreseen$' "$tmp/stats" ||
        fail "$1: $(cat "$tmp/stats")"
}
ahead "read ahead with --no-cache"

reads "for the first time" $total $((total + 2 * mega))
ahead "read ahead for the first time"
# The kernel may read a page twice.
between "read from the cache then" 0 $((2 * mega)) "$(from_cache)"
between "chunks kept" 500 512 "$(chunks | wc -l)"
same "modes" 600 "$(node sh -c "stat -c %a $(chunks | head -1)")"
reads "again, by a new agent" 1000 $mega
between "bytes from the cache" $((total - mega)) $total "$(from_cache)"
same "missed" 0 "$(missed)"
ahead "read ahead from the cache"
reads "again, strictly" 1000 $mega --consistency strict
reads "again, with --no-cache" $total $((total + 2 * mega)) --no-cache

# Another file with the same contents: not sent either.
here cp big copy
counted 'sha256sum < copy'
same "a copy" "$(sum)" "$(cat "$tmp/out")"
between "a copy of the file" 1000 $mega "$(sent)"
rm "$dir/copy"

# A megabyte in the middle is changed.
dd if=/dev/urandom of="$dir/big" bs=$mega count=1 seek=20 conv=notrunc status=none
reads "a changed megabyte" $mega $((mega * 2))
reads "a changed megabyte again" 1000 $mega

# Parts here and there, in small pieces.
dd if=/dev/urandom of="$dir/big" bs=4k count=1 seek=5000 conv=notrunc status=none
counted 'dd if=big bs=4k skip=4990 count=200 status=none | sha256sum'
same "a part" "$(dd if="$dir/big" bs=4k skip=4990 count=200 status=none | sha256sum)" "$(cat "$tmp/out")"

# Only what the file consists of now is there.
m cache clear alice@n1 > /dev/null
reads "read anew" $total $((total + 2 * mega))

# A chunk is damaged, one is cut, one is gone: seen, and sent.
damaged=$(chunks | sed -n '100p;200p;300p')
# shellcheck disable=SC2086
set -- $damaged
node sh -c "echo wrong | dd of=$1 bs=1 seek=5000 conv=notrunc status=none; truncate -s 1000 $2; rm $3" || fail "damage"
reads "with damaged chunks" $((3 * 131072)) $((6 * mega))
between "missed chunks" 2 30 "$(missed)"
reads "after that" 1000 $mega

# Nobody may read it, and what others may change is not used.
same "mode of the cache" 700 "$(node stat -c %a "$cache")"
node chmod 770 "$cache"
reads "from a cache that others may change" $total $((total + 2 * mega))
grep -q "^mrc: cache: off: .*can be used by others" "$tmp/stats" || fail "--stats does not say why: $(cat "$tmp/stats")"
node chmod 700 "$cache"

# Two jobs read at once what neither had.
head -c $((16 * mega)) /dev/urandom > "$dir/both"
chown "$user:" "$dir/both"
job sha256sum both > "$tmp/one" &
one=$!
job sha256sum both > "$tmp/two" || fail "the second of two jobs"
wait $one || fail "the first of two jobs"
same "two jobs at once" "$(sha256sum < "$dir/both" | cut -d' ' -f1) $(sha256sum < "$dir/both" | cut -d' ' -f1)" \
    "$(cat "$tmp/one" "$tmp/two" | cut -d' ' -f1 | tr '\n' ' ' | sed 's/ $//')"

# It is written while it is read: what is read is what is there now.
for i in 1 2 3; do
    printf 'mark %s' "$i" | dd of="$dir/big" bs=1 seek=$((10 * mega)) conv=notrunc status=none
    same "a change of a cached file" "mark $i" "$(job sh -c "cat big > /dev/null; dd if=big bs=6 count=1 skip=$((10 * mega)) iflag=skip_bytes status=none")"
done

echo "# $(m cache show alice@n1)"
m cache show alice@n1 | grep -Eq '/mrc/chunks: [0-9]+ bytes in [0-9]+ chunks; at most [0-9]+ bytes$' || fail "mrc cache show: $(m cache show alice@n1)"
m cache clear alice@n1 | grep -Eq 'chunks: [0-9]{8} bytes removed$' || fail "mrc cache clear"
same "chunks after clear" "" "$(chunks)"
m cache show alice@n1 | grep -q ': 0 bytes in 0 chunks' || fail "mrc cache show after clear"
reads "after clear" $total $((total + 2 * mega))
same "mrc cache without a host" 255 "$(status m cache show 2>/dev/null)"
same "mrc cache with too much" 255 "$(status m cache show alice@n1 more 2>/dev/null)"

# The disk is full: nothing is cached, and nothing else happens.
m cache clear alice@n1 > /dev/null
node mount -t tmpfs -o size=2m,mode=700,uid="$(node stat -c %u /home/alice)" none "$cache" || fail "tmpfs"
reads "with a full disk" $total $((total + 2 * mega))
grep -Eq "^mrc: cache: .*, [0-9]+ chunks added, [1-9][0-9]* left out" "$tmp/stats" || fail "--stats with a full disk: $(cat "$tmp/stats")"
node umount "$cache"

# Back: what the head has is not sent there again, whether it was read just now or is in the store; what has changed is. The
# job is alone with what it makes, so its writes are put off.
m cache clear alice@n1 > /dev/null
received() { sed -n 's/^mrc: link: .* bytes sent, \([0-9]*\) bytes received.*/\1/p' "$tmp/stats"; }
by_name() { sed -n 's/^mrc: cache: \([0-9]*\) bytes were written by name.*/\1/p' "$tmp/stats"; }
wanted() { sed -n 's/^mrc: cache: .* by name; \([0-9]*\) of these.*/\1/p' "$tmp/stats"; }
# copies WHAT LEAST MOST COMMAND: makes new of big; so many bytes come here
copies()
{
    rm -f "$dir/new"
    counted "$4"
    same "$1" "$(sum)" "$(sha256sum < "$dir/new")"
    between "$1" "$2" "$3" "$(received)"
}
copies "a copy, in larger pieces, with nothing in the store" 1000 $mega 'dd if=big of=new bs=1M status=none'
between "by name" $((total - mega)) $total "$(by_name)"
same "asked for" 0 "$(wanted)"
copies "a copy, of what is in the store" 1000 $mega 'dd if=big of=new bs=128k status=none'
# What the job made itself is not remembered.
copies "a copy of which a megabyte is changed, and changed back" $mega $((2 * mega)) \
    'dd if=big of=new bs=1M status=none; dd if=/dev/urandom of=new bs=1M count=1 seek=7 conv=notrunc status=none; dd if=big of=new bs=1M skip=7 seek=7 count=1 conv=notrunc status=none'
# Small pieces, and such that lie across, become chunks on their way, those that come late aside (a computer under load): 1 to 2 MB
# usually. What moves by a byte is new.
copies "a copy in small pieces" 1000 $((16 * mega)) 'dd if=big of=new bs=4k status=none'
copies "in pieces that no chunk is in" 1000 $((16 * mega)) 'dd if=big of=new bs=100k status=none'
rm "$dir/new"
counted 'LC_ALL=C sed "1s/^/X/" big > new'
same "a byte inserted" "$(printf X | cat - "$dir/big" | sha256sum)" "$(sha256sum < "$dir/new")"
between "a byte inserted" $total $((total + 4 * mega)) "$(received)"
# changes WHAT LEAST MOST COMMAND CHECKED: changes a byte of big, which is then as COMMAND, run here, makes it
changes()
{
    cp "$dir/big" "$tmp/want"
    (cd "$tmp" && sh -c "$5") || fail "$5"
    counted "$4"
    cmp "$tmp/want" "$dir/big" || fail "$1"
    between "$1" "$2" "$3" "$(received)"
    between "$1: sent to the target" 1000 $mega "$(sent)"
}
changes "another first byte, the file written anew by sed" 131072 $((16 * mega)) 'LC_ALL=C sed -i "1s/^./X/" big' 'LC_ALL=C sed -i "1s/^./X/" want'
changes "a byte in the middle, in its place" 500 65536 "printf Y | dd of=big bs=1 seek=$((32 * mega)) conv=notrunc status=none" \
    "printf Y | dd of=want bs=1 seek=$((32 * mega)) conv=notrunc status=none"
# Here to there: one byte costs its chunk.
for at in 0 $((32 * mega)); do
    printf Z | dd of="$dir/big" bs=1 seek="$at" conv=notrunc status=none
    reads "a byte changed here at $at" 131072 $((mega / 2))
done

rm -f "$dir/new"
counted 'dd if=big of=new bs=1M status=none' --no-cache
between "with --no-cache all is sent" $total $((total + 4 * mega)) "$(received)"
# An edited file is written anew beside the old one and takes its place.
cat > "$dir/edit.py" <<'END'
import os
f = open("big", "rb", buffering=0)
all = bytearray(f.read())
all[5000000:5000007] = b"changed"
fd = os.open("new", os.O_WRONLY | os.O_CREAT, 0o644)
at = 0
while at < len(all):
    at += os.write(fd, memoryview(all)[at:at + (1 << 20)])
os.close(fd)
os.rename("new", "big")
END
counted 'python3 edit.py'
same "the edit" changed "$(dd if="$dir/big" bs=1 skip=5000000 count=7 status=none)"
same "size after the edit" $total "$(stat -c %s "$dir/big")"
between "an edited file" 131072 $((2 * mega)) "$(received)"
# What the job has read is not there any more: the head asks for it, and what the job wrote last is what stays.
cat > "$dir/old.py" <<'END'
import os, time
f = open("big", "rb", buffering=0)
all = f.read()
open("ready", "w").close()
while not os.path.exists("go"):
    time.sleep(0.1)
fd = os.open("new", os.O_WRONLY | os.O_CREAT, 0o644)
for at in range(0, len(all), 1 << 20):
    os.write(fd, all[at:at + (1 << 20)])
    os.pwrite(fd, b"later", at + 100)
os.close(fd)
END
chown "$user:" "$dir"/*.py
cp "$dir/big" "$tmp/old"
rm -f "$dir/new" "$dir/ready"
m --stats alice@n1 python3 old.py > "$tmp/out" 2> "$tmp/stats" &
job=$!
wait_for 60 [ -e "$dir/ready" ]
dd if=/dev/urandom of="$dir/big" bs=$mega count=4 seek=30 conv=notrunc status=none
touch "$dir/go"
wait $job || fail "a job whose source has changed: $(cat "$tmp/stats")"
python3 - "$tmp/old" "$dir/new" <<'END' || fail "what was written of a source that has changed"
import sys
old, new = bytearray(open(sys.argv[1], "rb").read()), open(sys.argv[2], "rb").read()
for at in range(0, len(old), 1 << 20):
    old[at + 100:at + 105] = b"later"
sys.exit(bytes(old) != new)
END
between "writes that were asked for" 4 8 "$(wanted)"
between "a source that has changed" $((4 * mega)) $((8 * mega)) "$(received)"
rm -f "$dir/new" "$dir/go" "$dir/ready" "$dir"/*.py

# mrcfs: the store is here, for what the other computer has. Both mounts read all of it; the second one is sent names.
mnt=$tmp/mnt
mkdir "$mnt"
chown "$user:" "$mnt"
at_exit 'umount -l "$mnt" 2>/dev/null'
node sh -c "head -c $((16 * mega)) /dev/urandom > /home/alice/far; chown alice: /home/alice/far" || fail "far"
far=$(node sha256sum /home/alice/far | cut -d' ' -f1)
# mounts WHAT LEAST MOST [OPTION...]: so many bytes come when all of it is read on a new mount
mounts()
{
    local what=$1 least=$2 most=$3 rc=0
    shift 3
    here mrcfs --stats -F "$conf" "$@" alice@n1: "$mnt" 2> "$tmp/stats" &
    wait_for 20 grep -q " $mnt " /proc/self/mounts
    same "$what" "$far" "$(here sha256sum "$mnt/far" | cut -d' ' -f1)"
    here mrcfs -u "$mnt" || fail "unmount"
    wait $! || rc=$?
    same "$what: status" 0 $rc
    between "$what" "$least" "$most" "$(sed -n 's/^ *\([0-9]*\) bytes in$/\1/p' "$tmp/stats")"
}
stored() { [ ! -e "$home/.cache/mrc/chunks" ] || find "$home/.cache/mrc/chunks" -path '*/??/*' -type f | wc -l; }
mounts "mrcfs with no_cache" $((16 * mega)) $((17 * mega)) -o no_cache
same "chunks after it" "" "$(stored)"
mounts "mrcfs, first mount" $((16 * mega)) $((17 * mega))
between "chunks kept here" 120 128 "$(stored)"
mounts "mrcfs, second mount" 100 $((mega / 4))
node sh -c "dd if=/dev/urandom of=/home/alice/far bs=128k count=2 seek=20 conv=notrunc status=none" || fail "far"
far=$(node sha256sum /home/alice/far | cut -d' ' -f1)
mounts "mrcfs, two chunks changed" $((mega / 4)) $((mega / 2))
