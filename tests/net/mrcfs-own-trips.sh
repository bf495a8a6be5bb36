#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Files that one client is alone with (docs/leases.md): what it costs in round trips that are waited for to build a program, on a
# local mount, where they are exact; that the result is the same; and that what is said of a file before the server has said
# it stays so.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrcfs.sh"
own_mounts "$@"
requires make cc
set -u
. "$top_srcdir/tests/bench/workloads.sh"
. "$top_srcdir/tests/lib/trips.sh"

# Root's mount checks permissions in the kernel here, which asks for a directory's attributes after each change in it; the answer
# is known unless an event of the change itself comes between: a few more, depending on the time.
[ "$(id -u)" = 0 ] && limit=24 || limit=12

# settled: the server is sure that no event of what was made here before is still on the way
settled()
{
    [ $(($(date +%s) - $(stat -c %Z "$served"))) -gt 3 ]
}

# make -j2 of 30 C files: the assembler and the linker read what they write, make looks at each object when it is there.
(cd "$served" && make_prepare)
wait_for 10 settled
counted "$(make_command)"
at_most $limit "make of 30 files"
(cd "$served" && make_check) || fail "the program that was made"
(cd "$served" && make -q) || fail "make would make something again"
rm -rf "${served:?}"/*

# cp -r of 300 files: the head copies them, and nobody waits for each.
mkdir "$served/a"
(cd "$served/a" && sources 300 10 4600)
wait_for 10 settled
counted 'cp -r a b'
# How far ahead the sources are opened is another matter.
at_most $((limit + $(count 'waited for open'))) "cp -r of 300 files"
same "copied by the head" 300 "$(awk '$2 == "copy_file_range" { print $1 }' "$tmp/stats")"
[ "$(awk '/ bytes out$/ { print $1; exit }' "$tmp/stats")" -lt 300000 ] || fail "contents travelled: $(cat "$tmp/stats")"
diff -r "$served/a" "$served/b" || fail "what was copied"
wait_for 10 settled
counted 'cp -a a c'
at_most $((limit + $(count 'waited for open') + 10)) "cp -a of 300 files"
diff -r "$served/a" "$served/c" || fail "what was copied with its modes and times"
for tree in a c; do
    (cd "$served/$tree" && find . -printf '%p %m %s %T@\n' | sort) > "$tmp/$tree.list"
done
diff "$tmp/a.list" "$tmp/c.list" || fail "modes and times of what was copied"
rm -rf "${served:?}"/*

# git: what is waited for are its locks, the first change in each directory, and files that are read in no order.
if command -v git > /dev/null; then
    (cd "$served" && sources 100 5 1000 && git init -q . && git add -A &&
        git -c user.name=b -c user.email=b@example.org commit -q -m one && date > d01/f0001.c) || fail "a repository"
    wait_for 10 settled
    counted 'g() { git -c safe.directory="$PWD" -c user.name=b -c user.email=b@example.org "$@"; }
        g update-index -q --refresh; g add -A && g commit -q -m two'
    at_most $((50 + $(count 'waited for open'))) "git add and commit"
    (cd "$served" && git -c safe.directory="$PWD" fsck --no-progress 2>&1 &&
        git -c safe.directory="$PWD" status --porcelain) > "$tmp/out"
    same "what git finds there" "" "$(cat "$tmp/out")"
    rm -rf "${served:?}"/* "${served:?}"/.git
fi

# Files that are looked at before anybody has heard of them at the server, then read.
counted 'mkdir d && for i in $(seq 100); do echo $i > d/f$i; stat -c "%n %s %Y %y" d/f$i; done'
at_most $limit "stat of 100 new files"
mv "$tmp/out" "$tmp/said"
(cd "$served" && for i in $(seq 100); do stat -c '%n %s %Y %y' "d/f$i"; done) > "$tmp/is"
diff "$tmp/said" "$tmp/is" || fail "sizes and times that were said"
rm -r "$served/d"

# An inode number that was shown stays, whatever the server's answer says and is written after that: sqlite compares them.
cat > "$tmp/numbers.py" << 'END'
import os
for i in range(100):
    f = os.open("n%d" % i, os.O_RDWR | os.O_CREAT)
    numbers = {os.fstat(f).st_ino}
    for k in range(2):
        os.fsync(f)
        os.write(f, b"more")
        numbers.add(os.fstat(f).st_ino)
        numbers.add(os.stat("n%d" % i).st_ino)
    os.close(f)
    print(len(numbers))
END
if command -v python3 > /dev/null; then
    counted "python3 $tmp/numbers.py"
    same "one inode number for each file" "100 1" "$(uniq -c "$tmp/out" | awk '{ print $1, $2 }')"
    rm "${served:?}"/n*
    cat > "$tmp/lists.py" << 'END'
import ctypes, os
class Entry(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("len", ctypes.c_ushort), ("type", ctypes.c_ubyte),
                ("name", ctypes.c_char * 256)]
c = ctypes.CDLL(None)
c.opendir.restype, c.readdir64.argtypes, c.readdir64.restype = ctypes.c_void_p, [ctypes.c_void_p], ctypes.POINTER(Entry)
os.makedirs("a/b/d")
os.chdir("a/b")
os.mkdir("d/e")
open("d/e/f", "w").close()
said = {b".": os.stat("d/e").st_ino, b"..": os.stat("d").st_ino, b"f": os.stat("d/e/f").st_ino}
d = c.opendir(b"d/e")
listed = {}
while True:
    e = c.readdir64(d)
    if not e:
        break
    listed[e.contents.name] = e.contents.ino
print("alike" if listed == said else "listed %s, said %s" % (listed, said))
END
    counted "python3 $tmp/lists.py"
    same "inode numbers of a list" alike "$(cat "$tmp/out")"
    rm -r "$served/a"
fi

# A file that is read here and there is had whole: what is written meanwhile is in it, and what a program here writes later is seen.
cat > "$tmp/whole.py" << 'END'
import os, random, sys
random.seed(5)
size = 400000
model = bytearray(open(sys.argv[1], "rb").read())
def look(f):
    for i in range(100):
        at = random.randrange(size)
        assert os.pread(f, 50, at) == model[at:at + 50], at
f = os.open("whole", os.O_RDWR)
look(f)
for i in range(200):
    at = random.randrange(size - 100)
    model[at:at + 20] = b"%020d" % i
    assert os.pwrite(f, b"%020d" % i, at) == 20
    look(f)
os.pwrite(f, b"end", size + 4990)
model += bytes(4990) + b"end"
look(f)
if len(sys.argv) == 2:
    sys.exit()
os.ftruncate(f, size)
del model[size:]
look(f)
os.close(f)
f = os.open("whole", os.O_RDONLY)
look(f)
with open(sys.argv[2] + "/whole", "r+b") as other:
    for i in range(100):
        at = random.randrange(size - 100)
        other.seek(at)
        other.write(b"other")
        model[at:at + 5] = b"other"
look(f)
os.close(f)
f = os.open("whole", os.O_RDONLY)
look(f)
assert os.pread(f, 1 << 20, 0) == model
END
if command -v python3 > /dev/null; then
    seq 100000 | head -c 400000 > "$served/whole"
    cp "$served/whole" "$tmp/model"
    touch -d '1 hour ago' "$served/whole"
    wait_for 10 settled
    counted "python3 $tmp/whole.py $tmp/model"
    at_most 14 "a file that is read here and there, and written"
    cp "$tmp/model" "$served/whole"
    counted "python3 $tmp/whole.py $tmp/model $served"
    rm "$served/whole"
fi

# What a job reads while it writes it: neither costs anything, nor that it changes the directory while its list is on the way.
(cd "$served" && sources 200 10 1000)
wait_for 10 settled
counted 'for i in 1 2; do grep -rc needle . | wc -l > found; done; cat found'
at_most 18 "grep -r beside its own output, twice"
same "files that grep found" 201 "$(cat "$tmp/out")"
rm -rf "${served:?}"/*

# Read, cut, written in between, read by another descriptor, appended to: as it is on the file system itself.
cat > "$tmp/mix" << 'END'
exec 5<> f 6< f
printf 'hello world' >&5
head -c 5 <&6
echo " $(cat f)"
printf 'more' >> f
cat f
truncate -s 3 f
cat f
printf '0123456789' | dd of=f bs=1 seek=5 conv=notrunc status=none
od -c f
mv f g
cat g | wc -c
cp g h
cat h g | cksum
cp h i && printf more >> h && rm g && cmp -n 10 h i && wc -c i h
END
mkdir "$tmp/plain"
(cd "$tmp/plain" && sh "$tmp/mix") > "$tmp/want"
counted "sh $tmp/mix"
diff "$tmp/want" "$tmp/out" || fail "reads of what was written"
diff -r "$tmp/plain" "$served" || fail "what was written"
rm "${served:?}"/*
echo "ok: what is shown and read stays so"

# The same as an ordinary user, whose server checks permissions itself.
if [ "$(id -u)" = 0 ] && command -v fusermount3 > /dev/null; then
    user=$(test_user)
    mkdir "$tmp/user"
    chown "$user:" "$tmp/user"
    as_user env TMPDIR="$tmp/user" "$0" || fail "as $user (see above)"
fi
