#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Views of a job: what it sees, what it can't do, what is left. As root also once more as an
# ordinary user, in a mount namespace where /dev/fuse can be opened.
# shellcheck disable=SC2015,SC2016     # scripts for the shell in the view; fail ends the test
set -eu

driver=${VIEW_DRIVER:-${top_builddir:-.}/tests/net/view_driver}
skip() { echo "skip: $*"; exit 77; }
fail() { echo "FAIL ($who): $*" >&2; exit 1; }
same() { [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"; }
has() { case $3 in *"$2"*) ;; *) fail "$1: no '$2' in '$3'" ;; esac; }

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for()
{
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.02
    done
}

# Others mount too while this runs: the count of mounts is to be our own.
if [ "$(id -u)" = 0 ] && [ -z "${VIEW_OWN_MOUNTS:-}" ] && unshare -m true; then
    VIEW_OWN_MOUNTS=1 exec unshare -m bash "$0"
fi

# Outside: makes a place to work in, then runs itself as root and as a user.
if [ -z "${VIEW_WORK:-}" ]; then
    who=outer
    [ -x "$driver" ] || skip "no $driver"
    [ -c /dev/fuse ] || skip "no /dev/fuse"
    work=$(mktemp -d /tmp/view-test.XXXXXX)
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    cp "$driver" "$work/driver"
    mounts_before=$(wc -l </proc/self/mountinfo)
    if [ "$(id -u)" != 0 ]; then
        [ -w /dev/fuse ] || skip "/dev/fuse can't be opened by this user"
        VIEW_WORK=$work VIEW_DRIVER=$driver bash "$0"
    else
        mkdir "$work/r" "$work/u"
        VIEW_WORK=$work/r VIEW_DRIVER=$work/driver bash "$0"
        mknod -m 666 "$work/fuse" c 10 229 || skip "root may not make devices here"
        chown daemon: "$work/u"
        cp "$0" "$work/script"
        VIEW_WORK=$work/u VIEW_DRIVER=$work/driver unshare -m sh -c \
            'mount --bind "$1/fuse" /dev/fuse &&
             exec setpriv --reuid daemon --regid daemon --clear-groups bash "$1/script"' \
            sh "$work"
        who=root
        # /proc with something hidden in it, as in containers: no pid namespace, all else works.
        masked=$(VIEW_NOTES=1 unshare -m sh -c \
            'mount --bind "$1/fuse" /dev/fuse && mount -t tmpfs none /proc/sys/kernel &&
             exec setpriv --reuid daemon --regid daemon --clear-groups "$1/driver" -d "$1/u" \
             -H "/home/view-test-$$=$1/u/head" -C "/home/view-test-$$" cat inside' \
            sh "$work" 2>&1) || fail "masked /proc: $masked"
        has "masked /proc" "pid_ns 0" "$masked"
        has "masked /proc" "head's" "$masked"
        # No right to /dev/fuse, no user namespaces: the remedy in words.
        who=refused
        chmod 600 "$work/fuse"
        text=$(unshare -m sh -c \
            'mount --bind "$1/fuse" /dev/fuse &&
             exec setpriv --reuid daemon --regid daemon --clear-groups "$1/driver" -P' sh "$work")
        has "/dev/fuse" "means none" "$text"
        has "/dev/fuse" "chmod 666 /dev/fuse" "$text"
        text=$(unshare -Ur sh -c \
            'echo 0 >/proc/sys/user/max_user_namespaces &&
             exec setpriv --bounding-set -all "$1/driver" -P' sh "$work")
        has "sysctl" "user.max_user_namespaces=10000" "$text"
    fi
    same "mounts left" "$mounts_before" "$(wc -l </proc/self/mountinfo)"
    exit 0
fi

who=$(id -un)
uid=$(id -u)
cd "$VIEW_WORK"
w=$PWD
tag=view-test-$$
mkdir -p head/sub head/carve head/ro cache t/real/in t/plain
echo "head's" >head/inside
echo "below" >head/sub/file

job=
trap 'for job in $(jobs -p); do kill -9 "$job" || :; done; rm -rf /tmp/$tag-*' EXIT
V() { timeout 30 "$VIEW_DRIVER" -d "$w/cache" "$@"; }
# The same without the place to work in.
H() { V -H "/home/$tag=$w/head" -C "/home/$tag" "$@"; }

# --- what the job sees ---
same "working directory" "/home/$tag" "$(H pwd -P)"
same "read" "head's" "$(H cat inside)"
H sh -c 'echo written >new; mkdir made; rm sub/file'
same "write" written "$(cat head/new)"
[ -d head/made ] && [ ! -e head/sub/file ] || fail "changes did not reach the head"
same "target's files" "$(cksum /etc/passwd)" "$(H cksum /etc/passwd)"
same "names in /" "$(find / -mindepth 1 -maxdepth 1 ! -name home | sort)" \
    "$(H find / -mindepth 1 -maxdepth 1 ! -name home | sort)"
same "links in /" "$(readlink /bin || :)" "$(H readlink /bin || :)"
same "names in /home" "$( (ls -A /home; echo "$tag") | sort)" "$(H ls -A /home | sort)"
same "exit status" 7 "$(H sh -c 'exit 7' || echo $?)"
has "create in /" "Read-only file system" "$(H touch /x 2>&1 || :)"
has "create in /home" "Read-only file system" "$(H touch /home/x 2>&1 || :)"
[ ! -e "/home/$tag" ] || fail "/home/$tag was made on the target"
same "two trees" "head's below" \
    "$(echo below >head/sub/file; H -H "/$tag/a/b=$w/head/sub" sh -c "echo \$(cat inside /$tag/a/b/file)")"
same "tree in a tree" "below" "$(H -H "/home/$tag/carve=$w/head/sub" cat carve/file)"
has "no working directory" "working directory /home/$tag/none" \
    "$(V -H "/home/$tag=$w/head" -C "/home/$tag/none" true 2>&1 || :)"
has "overlay" "clean absolute path" "$(V -H "home=$w/head" true 2>&1 || :)"

# --- symbolic links and files on the target in the way ---
ln -s real t/link
ln -s "$w/t/real" t/abs
echo f >t/plain/file
same "behind a link" "$w/t/link/in head's" \
    "$(V -H "$w/t/link/in=$w/head" -C "$w/t/link/in" sh -c 'echo $(pwd -P) $(cat inside)')"
same "behind an absolute link" "head's f" \
    "$(V -H "$w/t/abs/new=$w/head" -C "$w/t/abs/new" sh -c "echo \$(cat inside $w/t/plain/file)")"
same "over a file" "head's" "$(V -H "$w/t/plain/file=$w/head" cat "$w/t/plain/file/inside")"
same "target after that" "f" "$(cat t/plain/file)"

# --- very many names beside the mount point ---
mkdir t/many
(cd t/many && seq 1500 | xargs mkdir && echo x >7/x)
same "1500 names" "1501 x head's" \
    "$(V -H "$w/t/many/new=$w/head" sh -c "cd $w/t/many; echo \$(ls | wc -l) \$(cat 7/x new/inside)")"
mkdir t/most
(cd t/most && seq 50100 | xargs touch)
has "50100 names" "more than 50000 entries" "$(V -H "$w/t/most/new=$w/head" true 2>&1 || :)"
rm -rf t/many t/most

# --- processes ---
same "first processes" "1 2" "$(H sh -c 'echo 1 $$')"
[ "$(H sh -c 'ls -d /proc/[0-9]* | wc -l')" -lt 8 ] || fail "other processes are seen"
[ "$(H -N sh -c 'echo $$')" != 2 ] || fail "-N uses a pid namespace"
[ "$uid" = 0 ] || ! H cat /proc/1/environ >/dev/null 2>&1 || fail "the job can look into its init"

# --- read-only, carved out, scratch ---
has "read-only" "Read-only file system" \
    "$(V -O "/home/$tag=$w/head" -C "/home/$tag" touch x 2>&1 || :)"
mkdir t/own
echo mine >t/own/file
mkdir -p carved/own
same "carved out" "mine" "$(V -H "$w/t=$w/carved" -T "$w/t/own" cat "$w/t/own/file")"
V -H "$w/t=$w/carved" -T "$w/t/own" sh -c "echo new >$w/t/own/made; echo new >$w/t/made"
[ -e t/own/made ] && [ ! -e carved/own/made ] && [ -e carved/made ] && [ ! -e t/made ] ||
    fail "writes beside a carved-out tree went astray"
has "carve-out missing on the target" "target has no $w/t/none" \
    "$(V -H "$w/t=$w/carved" -T "$w/t/none" true 2>&1 || :)"
has "carve-out missing on the head" "head's tree has no $w/t/real" \
    "$(V -H "$w/t=$w/carved" -T "$w/t/real" true 2>&1 || :)"
if V -P | grep -q '^overlay 1'; then
    same "scratch" "changed 1 file" "$(H -S "/home/$tag/sub" sh -c \
        'cd sub; echo changed >file; echo more >more; mkdir d; rm more; echo $(cat file) $(ls -d f* | wc -l) $(ls -d f*)')"
    same "head after scratch" "below" "$(cat head/sub/file)"
    [ ! -e head/sub/d ] || fail "scratch reached the head"
    same "scratch removed" "" "$(ls cache/views)"
else
    echo "note: no overlay here: --scratch not tested"
fi

# --- both: the head's first, writes to the head, the target unchanged ---
mkdir -p both.h/sub both.t/sub/deep both.t/only
echo head >both.h/name
echo target >both.t/name
echo old >both.t/file
echo deep >both.t/sub/deep/file
find both.t -printf '%P %s %m %Ts\n' | sort >both.before
O() { V -M "$w/both.t=$w/both.h" -C "$w/both.t" "$@"; }
same "overlay reads" "head old deep" "$(O cat name file sub/deep/file | paste -sd' ')"
same "overlay lists" "file name only sub" "$(O ls | paste -sd' ')"
O sh -c 'echo new >>file; echo x >only/x; mkdir made; mv sub/deep/file sub/moved; ln file link; ln -s file soft'
same "overlay's writes" "old new x deep old new" "$(cat both.h/file both.h/only/x both.h/sub/moved both.h/link | paste -sd' ')"
same "overlay's removals" "gone empty" "$(O sh -c \
    'rm name; [ -e name ] || echo gone; rm -r only; mkdir only; [ -z "$(ls only)" ] && echo empty' | paste -sd' ')"
same "overlay's next job" "target" "$(O cat name)"
same "overlay on new directories" "new" "$(V -M "/home/$tag-o=$w/both.h" sh -c "tail -n1 /home/$tag-o/file")"
find both.t -printf '%P %s %m %Ts\n' | sort | cmp - both.before || fail "overlay changed the target"

# --- everything from the head ---
same "root view" "fuse.mrcfs" \
    "$(V -R -H "/=/" sed -n 's/^[0-9]* [0-9]* [^ ]* [^ ]* \/ .* - \([^ ]*\) .*/\1/p' /proc/self/mountinfo)"
same "root view's other trees" "proc head's" \
    "$(V -R -H "/=/" -H "/tmp/$tag-r=$w/head" -C "/tmp/$tag-r" sh -c 'echo $(stat -f -c %T /proc) $(cat inside)')"
mkdir -p small/proc
has "root view without directories" "no /sys to mount on" "$(V -R -H "/=$w/small" true 2>&1 || :)"

# --- older kernels ---
same "home view of old" "head's below" \
    "$(V -E -H "/home/$tag=$w/head" -H "$w/t/link/in=$w/head/sub" sh -c "echo \$(cat /home/$tag/inside $w/t/link/in/file)")"
same "root view of old" "head's" "$(V -E -R -H "/=/" -H "/tmp/$tag-r=$w/head" cat "/tmp/$tag-r/inside")"
same "carved out of old" "mine ro" "$(V -E -H "$w/t=$w/carved" -T "$w/t/own" sh -c \
    "echo \$(cat $w/t/own/file) ro")"

# --- shared temporary directories ---
T() { V -H "/tmp/$tag-p/deep=$w/head" -C "/tmp/$tag-p/deep" "$@"; }
same "in /tmp" "head's" "$(T sh -c "echo x >/tmp/$tag-x && cat inside")"
[ -e "/tmp/$tag-x" ] || fail "the job could not write to /tmp"
[ ! -e "/tmp/$tag-p" ] || fail "/tmp/$tag-p is left"
mkfifo go1 go2
T sh -c "echo up >$w/up1; read x <$w/go1; cat inside" >out1 &
first=$!
wait_for 10 test -e up1 || fail "first job does not start"
T sh -c "echo up >$w/up2; read x <$w/go2; cat inside" >out2 &
second=$!
wait_for 10 test -e up2 || fail "second job does not start"
echo >go1
wait $first
same "first of two jobs" "head's" "$(cat out1)"
[ -d "/tmp/$tag-p" ] || fail "the first job took the second's mount point away"
echo >go2
wait $second
same "second of two jobs" "head's" "$(cat out2)"
T true
[ ! -e "/tmp/$tag-p" ] || fail "/tmp/$tag-p is left after two jobs"
same "records" "" "$(ls cache/views)"

# --- killed ---
alive() { grep -lsz "^$1\$" /proc/[0-9]*/cmdline >/dev/null; }
dead() { ! alive "$1"; }
kill_test()
{
    local mark=10000.$RANDOM$RANDOM
    "$VIEW_DRIVER" -d "$w/cache" -H "/tmp/$tag-k=$w/head" -C "/tmp/$tag-k" \
        sh -c "exec sleep $mark" &
    local pid=$!
    wait_for 10 alive $mark || fail "job does not start"
    [ -d "/tmp/$tag-k" ] || fail "no place"
    case $1 in
    agent) kill -9 $pid ;;
    view) kill -9 "$(cut -d' ' -f1 "/proc/$pid/task/$pid/children")" ;;
    esac
    wait $pid 2>/dev/null || :
    wait_for 10 dead $mark || fail "the job outlives its $1"
    V true
    [ ! -e "/tmp/$tag-k" ] || fail "/tmp/$tag-k is left after the $1 was killed"
}
kill_test agent
kill_test view

# --- privilege ---
if [ "$uid" != 0 ]; then
    same "ids" "1234 4321" "$(H -u 1234 -g 4321 sh -c 'echo $(id -u) $(id -g)')"
    same "owner" "1234 4321" "$(H -u 1234 -g 4321 stat -c '%u %g' inside)"
    same "capabilities" "0000000000000000" \
        "$(H sed -n 's/^CapEff:\t//p' /proc/self/status)"
    same "shown as root" "0" "$(H -u 0 -g 0 id -u)"
    ! H -u 0 -g 0 umount /proc 2>/dev/null || fail "a job shown as root can unmount"
    ! H -u 0 -g 0 mount -o remount,rw / 2>/dev/null || fail "a job shown as root can remount"
    same "nested namespaces" "ok" "$(H unshare -Urm sh -c 'mount -t tmpfs none /mnt && echo ok')"
    ! H unshare -Urm umount /proc 2>/dev/null || fail "a nested namespace uncovers the target's /proc"
    if V -P | grep -q '^fusermount 1'; then
        same "fusermount" "1234 head's" "$(H -m 3 -u 1234 sh -c 'echo $(id -u) $(cat inside)')"
        same "fusermount's mounts" "" "$(grep "$w" /proc/self/mountinfo || :)"
        mkdir direct
        same "direct" "$uid head's" \
            "$(V -m 4 -H "$w/direct=$w/head" -C "$w/direct" sh -c 'echo $(id -u) $(cat inside)')"
        same "direct mounts" "" "$(grep "$w" /proc/self/mountinfo || :)"
        has "direct over files" "not empty" "$(V -m 4 -H "$w/t=$w/head" true 2>&1 || :)"
        has "direct root view" "needs user namespaces" "$(V -m 4 -R -H "/=/" true 2>&1 || :)"
    else
        echo "note: no fusermount3 here: not tested"
    fi
else
    install -d -o daemon "/tmp/$tag-other"
    has "another user's directory" "belongs to another user" \
        "$(V -H "/tmp/$tag-other=$w/head" true 2>&1 || :)"
    same "root keeps its ids" "0 0" "$(H -u 1234 -g 1234 sh -c 'echo $(id -u) $(id -g)')"
fi
same "records at the end" "" "$(ls cache/views)"
