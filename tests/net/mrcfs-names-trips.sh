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

# The same as an ordinary user, whose server checks permissions itself.
if [ "$(id -u)" = 0 ] && command -v fusermount3 > /dev/null; then
    user=$(test_user)
    mkdir "$tmp/user"
    chown "$user:" "$tmp/user"
    as_user env TMPDIR="$tmp/user" "$0" || fail "as $user (see above)"
fi
