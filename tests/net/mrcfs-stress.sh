#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Strangers' tests on a mrcfs mount: stress-ng's file system stressors with --verify, fio with verification, sqlite3 with two
# writers on two mounts of one directory. Seconds of each third of the stressors: STRESS_SECONDS (default 4).
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrcfs.sh"
own_mounts "$@"
requires sqlite3 fio stress-ng
set -u
seconds=${STRESS_SECONDS:-4}

mount_dir "$tmp/served" "$tmp/a"
mount_dir "$tmp/served" "$tmp/b"

# Two writers, each on a mount of its own; every insert waits for the other's locks.
sqlite3 "$tmp/a/db" 'create table t(who text, n integer, unique(who, n));' || fail "create a database"
writer()
{
    for n in $(seq 1 "$3"); do
        echo ".timeout 20000"
        echo "begin immediate; insert into t values('$2', $n); insert into t values('$2', -$n); commit;"
    done | sqlite3 "$1/db" || return 1
}
writer "$tmp/a" a 40 &
first=$!
writer "$tmp/b" b 40 || fail "the second writer"
wait $first || fail "the first writer"
for at in a b served; do
    same "rows seen in $at" 160 "$(sqlite3 "$tmp/$at/db" 'select count(*) from t')"
    same "integrity in $at" ok "$(sqlite3 "$tmp/$at/db" 'pragma integrity_check')"
done
echo "ok: sqlite3"

for engine in psync mmap; do
    fio --name=v --directory="$tmp/a" --ioengine=$engine --rw=randrw --bs=4k-64k --bsrange=4k-64k --size=8m --verify=crc32c \
        --verify_fatal=1 --do_verify=1 --numjobs=2 --fallocate=none --end_fsync=1 --verify_state_save=0 --minimal > "$tmp/fio.out" 2>&1 \
        || fail "fio with $engine: $(tail -n 5 "$tmp/fio.out")"
done
fio --name=d --directory="$tmp/a" --ioengine=psync --direct=1 --rw=randwrite --bs=4k --size=2m --verify=md5 --verify_fatal=1 \
    --do_verify=1 --verify_state_save=0 --minimal > "$tmp/fio.out" 2>&1 || fail "fio with direct I/O: $(tail -n 5 "$tmp/fio.out")"
rm -f "$tmp"/a/[vd].*
echo "ok: fio"

# Those that work on files in --temp-path and check what they get. Left out: those that need what no FUSE has (fiemap,
# chattr, verity, FICLONE, quota), and those that only measure.
stressors='access aio chdir chmod chown copy-file dentry dir dirdeep dirmany dnotify dup fallocate fcntl file-ioctl filename
    flock fpunch fsize fstat getdent handle hdd inotify iomix io lease link locka lockf lockofd metamix mknod mmap open rename
    revio seek sendfile symlink sync-file touch unlink utime xattr'
known=$(stress-ng --stressors)
mkdir "$tmp/a/stress"
for group in 0 1 2; do
    set -- --timeout "${seconds}s" --verify --temp-path "$tmp/a/stress"
    n=0
    for one in $stressors; do
        n=$((n + 1))
        [ $((n % 3)) = $group ] || continue
        case " $known " in *" $one "*) set -- "$@" "--$one" 1 ;; esac
        case $one in hdd | iomix | revio | fallocate) set -- "$@" "--$one-bytes" 8m ;; esac
    done
    timeout $((seconds * 10 + 60)) stress-ng "$@" > "$tmp/stress.out" 2>&1
    rc=$?
    [ $rc = 0 ] || fail "stress-ng: exit status $rc: $(grep -iE 'fail|error' "$tmp/stress.out" | head -n 9)"
    grep -q "successful run" "$tmp/stress.out" || fail "stress-ng: $(tail -n 5 "$tmp/stress.out")"
done
echo "ok: stress-ng"

for at in a b; do
    mrcfs -u "$tmp/$at" || fail "unmount $at"
done
