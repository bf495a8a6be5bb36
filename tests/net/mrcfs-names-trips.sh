#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Names that are taken for made before they are (docs/leases.md): what unpacking, removing, building and copying trees costs in
# round trips that are waited for, on a local mount, where they are exact; and that the result is the same.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrcfs.sh"
own_mounts "$@"
set -u
. "$top_srcdir/tests/bench/workloads.sh"
. "$top_srcdir/tests/lib/trips.sh"
mkdir "$tmp/many" "$tmp/one"

# listed DIRECTORY: names, modes, sizes, times of files
listed()
{
    (cd "$1" && find . -type f -printf '%p %m %s %T@\n' && find . -type d -printf '%p %m\n') | sort
}

# Root's mount checks permissions in the kernel here, which asks for a directory's attributes after each change in it; the answer
# is known unless an event of the change itself comes between: a few more, depending on the time.
[ "$(id -u)" = 0 ] && limit=24 || limit=12

# 1,000 files in 20 directories, and in one. The archives are not on the mount: reading is not what is counted.
(cd "$tmp/many" && sources 1000 20 4600)
find "$tmp/many" -type f -exec cp {} "$tmp/one" \;
for kind in many one; do
    tar cf "$tmp/$kind.tar" -C "$tmp/$kind" .
    counted "mkdir $kind && tar xf $tmp/$kind.tar -C $kind"
    at_most $limit "unpack 1,000 files ($kind)"
    diff -r "$tmp/$kind" "$served/$kind" || fail "what was unpacked ($kind)"
    mkdir "$tmp/want"
    tar xf "$tmp/$kind.tar" -C "$tmp/want"
    listed "$tmp/want" > "$tmp/want.list"
    listed "$served/$kind" > "$tmp/got.list"
    diff "$tmp/want.list" "$tmp/got.list" || fail "modes and times of what was unpacked ($kind)"
    rm -r "$tmp/want"
    counted "rm -rf $kind"
    at_most $limit "rm -rf of 1,000 files ($kind)"
    same "what is left" "" "$(ls "$served")"
done

# Moved between directories: what is made in one and belongs in another, trees too. No move is waited for.
counted 'mkdir stage out && for i in $(seq 30); do mkdir stage/t$i stage/t$i/lib && echo $i > stage/t$i/lib/x && echo $i > stage/f && mv stage/f out/f$i &&
    mv stage/t$i out || exit; done'
at_most $limit "30 files and 30 trees moved to another directory"
same "moves that were waited for" 0 "$(count 'waited for rename')"
for i in $(seq 30); do
    same "file $i" "$i" "$(cat "$served/out/f$i")"
    same "file in tree $i" "$i" "$(cat "$served/out/t$i/lib/x")"
done
same "what is left of 30 moves" "" "$(ls "$served/stage")"
rm -r "$served/stage" "$served/out"

# Where the file system may refuse a move, it is waited for: programs then copy. Taken for done, it would fail the mount.
moved_where_refused()
{
    counted 'echo 1 > here/first && echo 2 > there/first && mkdir here/new there/new && for i in 1 2 3; do echo $i > here/f$i && mv here/f$i there || exit; done
        mkdir here/d && mv here/d there && mv there/new here && mv here/old here/renamed'
    same "moved to $1" "d f1 f2 f3 first" "$(find "$served/there" -mindepth 1 -printf '%f\n' | sort | paste -sd ' ')"
    same "moved from $1" "first new renamed" "$(find "$served/here" -mindepth 1 -printf '%f\n' | sort | paste -sd ' ')"
    same "a file that moved to $1" 2 "$(cat "$served/there/f2")"
}
if [ -n "${MRCFS_OWN_MOUNTS:-}" ]; then
    mkdir -p "$tmp/bound" "$served/here/old" "$served/there"
    mount --bind "$tmp/bound" "$served/there" || fail "bind a directory"
    moved_where_refused "another mount of the file system"
    umount "$served/there"
    rm -r "$served/here" "$served/there"
    mkdir -p "$tmp/lower/here/old" "$tmp/lower/there" "$tmp/memory"
    if mount -t tmpfs none "$tmp/memory" && mkdir "$tmp/memory/up" "$tmp/memory/work" && mount -t overlay -o \
        "lowerdir=$tmp/lower,upperdir=$tmp/memory/up,workdir=$tmp/memory/work" none "$served" 2> "$tmp/out"; then
        moved_where_refused "another directory of an overlay"
        umount "$served"
    else
        echo "no overlay here: $(cat "$tmp/out")"
    fi
    echo "ok: moves that the file system refuses"
fi

# The same as an ordinary user, whose server checks permissions itself.
if [ "$(id -u)" = 0 ] && command -v fusermount3 > /dev/null; then
    user=$(test_user)
    mkdir "$tmp/user"
    chown "$user:" "$tmp/user"
    as_user env TMPDIR="$tmp/user" "$0" || fail "as $user (see above)"
fi
