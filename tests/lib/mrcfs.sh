# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# mrcfs.sh: for tests of mrcfs mounts; source it after functions.sh.
# Root's tests run in a mount namespace of their own, with a /dev/fuse that ordinary users may open, so that neither
# mounts nor rights are left behind. Must not know: what is tested.

requires fuse mrcfs

# own_mounts "$@": starts the test again in a mount namespace, unless it is there already or nobody is root
own_mounts()
{
    if [ "$(id -u)" != 0 ] || [ -n "${MRCFS_OWN_MOUNTS:-}" ]; then
        return
    fi
    unshare -m true 2>/dev/null || skip "root may not make mount namespaces here"
    mrcfs_rc=0
    MRCFS_OWN_MOUNTS=1 unshare -m "$0" "$@" || mrcfs_rc=$?
    exit $mrcfs_rc
}

if [ -n "${MRCFS_OWN_MOUNTS:-}" ]; then
    # shellcheck disable=SC2154   # functions.sh makes tmp
    mknod -m 666 "$tmp/fuse" c 10 229 || skip "root may not make devices here"
    mount --bind "$tmp/fuse" /dev/fuse || fail "bind /dev/fuse"
    # A broker of leases of their own: who else runs as the same users may hold files whose numbers ours get.
    for mrcfs_id in 0 "$(id -u "$(test_user)")"; do
        [ -d "/tmp/mrc-$mrcfs_id" ] || install -d -m 700 -o "$mrcfs_id" "/tmp/mrc-$mrcfs_id" || fail "make /tmp/mrc-$mrcfs_id"
        install -d -m 700 -o "$mrcfs_id" "$tmp/meeting.$mrcfs_id"
        mount --bind "$tmp/meeting.$mrcfs_id" "/tmp/mrc-$mrcfs_id" || fail "bind /tmp/mrc-$mrcfs_id"
    done
fi

# mounted DIRECTORY: is a mrcfs there?
mounted()
{
    grep -q " $1 fuse.mrcfs " /proc/self/mounts
}

not_mounted()
{
    ! mounted "$1"
}

# mount_dir SERVED MOUNTPOINT [OPTION]...
mount_dir()
{
    mrcfs_served=$1
    mrcfs_point=$2
    shift 2
    mkdir -p "$mrcfs_served" "$mrcfs_point"
    mrcfs "local:$mrcfs_served" "$mrcfs_point" "$@" || fail "mount of $mrcfs_served"
    mounted "$mrcfs_point" || fail "$mrcfs_point is not mounted"
}
