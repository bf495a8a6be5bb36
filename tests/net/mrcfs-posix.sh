#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Files on a mrcfs mount behave as on the file system that is served: a long list of calls gives the same results and errors
# in both, as root and as an ordinary user; two mounts of one directory see each other's changes and locks.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrcfs.sh"
own_mounts "$@"
requires fusermount3
set -u
posix=$top_builddir/tests/posix

# As an ordinary user the same script runs again, in a directory that root made for it.
if [ -n "${MRCFS_PART:-}" ]; then
    tmp_root=$MRCFS_DIR
else
    tmp_root=$tmp
fi

# compare SERVED-IN WORDS [OPTION]...: the calls on a directory of its own there, and on a mount of another
compare()
{
    mkdir -p "$1/plain" "$1/served" "$1/mnt"
    mount_dir "$1/served" "$1/mnt" "${@:3}"
    "$posix/fsops" "$1/plain" > "$1/plain.out" 2>&1 || fail "$2: fsops on the plain directory"
    timeout 100 "$posix/fsops" "$1/mnt" > "$1/mount.out" 2>&1 || fail "$2: fsops on the mount: $(tail -n 3 "$1/mount.out")"
    diff "$1/plain.out" "$1/mount.out" > "$1/diff" || fail "$2: < plain, > mount:
$(cat "$1/diff")"
    same "$2: calls" 0 "$([ "$(wc -l < "$1/plain.out")" -gt 900 ] || echo too few)0"
    mrcfs -u "$1/mnt" || fail "$2: unmount"
    echo "ok: $2: $(wc -l < "$1/plain.out") results alike"
}

# two_mounts DIRECTORY WORDS LATE [OPTION]...
two_mounts()
{
    rm -rf "$1/two"
    mount_dir "$1/two" "$1/a" "${@:4}"
    mount_dir "$1/two" "$1/b" "${@:4}"
    timeout 150 "$posix/fstwo" "$1/two" "$1/a" "$1/b" $3 || fail "two mounts ($2)"
    for seed in $seeds; do
        timeout 60 "$posix/fsmodel" "$1/a/alone" "$seed" 1000 || fail "one mount ($2), seed $seed"
        timeout 60 "$posix/fsmodel" "$1/a/other" "$seed" 500 "$1/b/other" || fail "a file through two mounts ($2), seed $seed"
        timeout 60 "$posix/fsmodel" "$1/a/there" "$seed" 500 "$1/two/there" || fail "a file here and there ($2), seed $seed"
    done
    mrcfs -u "$1/a" || fail "unmount the first of two mounts ($2)"
    mrcfs -u "$1/b" || fail "unmount the second of two mounts ($2)"
}

# Of fsmodel; set MODEL_SEEDS to try others.
seeds=${MODEL_SEEDS:-1 2}

as_who=$(id -un 2>/dev/null || id -u)
# Root's programs become others too.
others=
[ "$(id -u)" != 0 ] || others=allow_other
compare "$tmp_root/disk" "$as_who, $(stat -f -c %T "$tmp_root")" ${others:+-o "$others"}
# An ordinary user's own chmod that takes the right to search away is seen late there; see mrcfs(1), loose.
[ "$(id -u)" != 0 ] || compare "$tmp_root/loose" "$as_who, loose" -o loose,allow_other
two_mounts "$tmp_root" "$as_who" late
compare "$tmp_root/strict" "$as_who, strict" -o strict${others:+,$others}
two_mounts "$tmp_root" "$as_who, strict" '' -o strict
[ -z "${MRCFS_PART:-}" ] || exit 0

mkdir "$tmp/memory"
if [ "$(id -u)" = 0 ] && mount -t tmpfs none "$tmp/memory"; then
    compare "$tmp/memory/t" "root, tmpfs" -o allow_other
fi

# Many entries, many open files.
mkdir "$tmp/entries"
"$posix/fsmany" make "$tmp/entries" 100000 || fail "100,000 entries on the plain directory"
mount_dir "$tmp/entries" "$tmp/e"
timeout 100 "$posix/fsmany" list "$tmp/e" 100000 || fail "100,000 entries"
mrcfs -u "$tmp/e" || fail "unmount after 100,000 entries"
limit=$(ulimit -Hn)
if [ "$limit" = unlimited ] || [ "$limit" -ge 10100 ]; then
    mount_dir "$tmp/many" "$tmp/m"
    timeout 200 "$posix/fsmany" open "$tmp/m" 10000 || fail "10,000 open files"
    mrcfs -u "$tmp/m" || fail "unmount after 10,000 files"
    echo "ok: 100,000 entries, 10,000 open files"
else
    echo "ok: 100,000 entries; the limit of $limit descriptors forbids 10,000 open files"
fi

# The same as an ordinary user.
if [ "$(id -u)" = 0 ]; then
    user=$(test_user)
    mkdir "$tmp/user"
    chown "$user:" "$tmp/user"
    as_user env MRCFS_PART=user MRCFS_DIR="$tmp/user" TMPDIR="$tmp/user" "$0" || fail "as $user (see above)"
fi
