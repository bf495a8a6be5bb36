#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The mrcfs command: what it takes, what it refuses and in which words, how it ends.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrcfs.sh"
own_mounts "$@"
set -u
served=$tmp/served
mnt=$tmp/mnt
mkdir "$served" "$mnt"
echo content > "$served/f"

# refuses STATUS WORDS ARGUMENTS...
refuses()
{
    want=$1
    words=$2
    shift 2
    rc=$(status mrcfs "$@" 2> "$tmp/err")
    same "mrcfs $*: exit status" "$want" "$rc"
    same "mrcfs $*: lines of complaint" 1 "$(wc -l < "$tmp/err")"
    case $(cat "$tmp/err") in *"$words"*) ;; *) fail "mrcfs $*: no '$words' in: $(cat "$tmp/err")" ;; esac
    not_mounted "$mnt" || fail "mrcfs $*: mounted all the same"
}

refuses 2 "a source and a mount point" "local:$served"
refuses 2 "a source and a mount point"
refuses 2 "one source and one mount point" "local:$served" "$mnt" more
refuses 1 "must be [user@]host:" "$served" "$mnt"
refuses 1 "must be [user@]host:" "./a:b" "$mnt"
refuses 1 "No such file" "local:$served" "$tmp/nowhere"
refuses 1 "No such file" "local:$tmp/nowhere" "$mnt"
refuses 1 "Not a directory" "local:$served/f" "$mnt"
refuses 1 "Not a directory" "local:$served" "$served/f"
refuses 2 "no such option" "local:$served" "$mnt" -o ro,nonsense=1
refuses 2 "nonsense" "local:$served" "$mnt" -o ro,nonsense=1
refuses 2 "idmap=wrong" "local:$served" "$mnt" -o idmap=wrong
refuses 2 "needs a value" "local:$served" "$mnt" -o fsname=
refuses 2 "uid=x" "local:$served" "$mnt" -o uid=x
refuses 2 "transform_symlinks" "local:$served" "$mnt" -o transform_symlinks
refuses 1 "no-such-file" "local:$served" "$mnt" -o "idmap=file,uidfile=$tmp/no-such-file"
refuses 2 "needs the mount point" -u
refuses 1 "mount" -u "$mnt"

# Options after the arguments, as mount(8) gives them; names that others may write.
mrcfs "local:$served" "$mnt" -o rw,nonempty,noauto,_netdev,x-systemd.automount,ServerAliveInterval=5,port=22 -n || fail "fstab"
same "content" content "$(cat "$mnt/f")"
echo more > "$mnt/g"
same "written" more "$(cat "$served/g")"
refuses_while_mounted=$(mrcfs -u "$served" 2>&1) && fail "unmounted what is no mount"
case $refuses_while_mounted in mrcfs:*) ;; *) fail "words for no mount: $refuses_while_mounted" ;; esac
mrcfs -u "$mnt" || fail "mrcfs -u"
not_mounted "$mnt" || fail "still mounted after -u"

# In use: not taken off, and said.
mrcfs "mrcfs#local:$served" "$mnt" || fail "source as mount -t fuse writes it"
exec 8< "$mnt/f"
mrcfs -u "$mnt" 2> "$tmp/err" && fail "unmounted although a file was open"
grep -q busy "$tmp/err" || fail "busy: $(cat "$tmp/err")"
exec 8<&-
fusermount3 -u "$mnt" || fail "fusermount3 -u"
not_mounted "$mnt" || fail "still mounted after fusermount3 -u"

# Read only.
mrcfs -o ro "local:$served" "$mnt" || fail "ro"
echo x 2>/dev/null > "$mnt/new" && fail "wrote on a read-only mount"
[ ! -e "$served/new" ] || fail "a file came into being on a read-only mount"
mrcfs -u "$mnt" || fail "unmount ro"

# Owners and permissions as told.
chmod 640 "$served/f"
mrcfs -o uid=1234,gid=2345,umask=027 "local:$served" "$mnt" || fail "uid= gid= umask="
same "shown owner" "1234 2345 750" "$(stat -c '%u %g %a' "$mnt/f")"
mrcfs -u "$mnt" || fail "unmount uid="

# Links as what they lead to, here and (further down) afar.
linked=$tmp/linked
mkdir "$linked" "$linked/d" "$linked/d/sub" "$linked/other"
echo content > "$linked/f"
echo deep > "$linked/d/sub/g"
ln -s f "$linked/l"
ln -s "$linked/d" "$linked/ld"
ln -s ../d "$linked/other/d"
ln -s ../other "$linked/d/other"
ln -s nowhere "$linked/dangling"
ln -s circle "$linked/circle"
ln -s .. "$linked/d/up"
ln -s "$served/f" "$linked/out"
ln -s ../served/f "$linked/out2"
follows()
{
    for name in l:regular ld:directory other/d:directory dangling:symbolic circle:symbolic d/up:symbolic out:symbolic \
        out2:symbolic d/other/d:symbolic; do
        is=$(stat -c %F "$mnt/${name%:*}")
        case $is in "${name#*:} "* | "${name#*:}") ;; *) fail "$*: ${name%:*} is a $is" ;; esac
    done
    same "$*: through a link" content "$(cat "$mnt/l")"
    same "$*: a link to a file is it" "$(stat -c %i "$mnt/f")" "$(stat -c %i "$mnt/l")"
    same "$*: through a link to a directory" deep "$(cat "$mnt/ld/sub/g")"
    same "$*: readlink of what stays" nowhere "$(readlink "$mnt/dangling")"
    # Both ways to one directory, held at the same time: each keeps its place.
    same "$*: places" "$mnt/ld/sub $mnt/d/sub $mnt/ld/sub" \
        "$(cd "$mnt/ld/sub" && /bin/pwd | tr '\n' ' ' && cd "$mnt/d/sub" && ls > /dev/null && /bin/pwd | tr '\n' ' ' \
            && cd "$mnt/ld/sub" && /bin/pwd)"
    (cd "$mnt/ld/sub" && ls "$mnt/d/sub" > /dev/null && same "$*: still there" "$mnt/ld/sub" "$(/bin/pwd)") || exit 1
    # It ends: no circle is gone round.
    same "$*: found" 6 "$(timeout 20 find "$mnt" -name g -o -name sub -type d | sort -u | wc -l)"
    echo new > "$mnt/ld/sub/new"
    same "$*: written" "new new" "$(cat "$linked/d/sub/new") $(cat "$mnt/d/sub/new")"
    rm "$mnt/d/sub/new"
    [ ! -e "$mnt/ld/sub/new" ] || fail "$*: removed, and still there through the link"
    # Its name is the link's: what it leads to stays.
    ln -s f "$mnt/made" || fail "$*: ln -s"
    same "$*: made and followed" content "$(cat "$mnt/made")"
    mv "$mnt/made" "$mnt/moved" || fail "$*: mv"
    same "$*: moved" f "$(readlink "$linked/moved")"
    rm "$mnt/moved" || fail "$*: rm"
    same "$*: the file stays" content "$(cat "$linked/f")"
    rmdir "$mnt/ld" 2> /dev/null && fail "$*: rmdir of a link"
    ln -sfn d/sub/g "$linked/l"
    same "$*: led elsewhere" deep "$(cat "$mnt/l")"
    ln -sfn f "$linked/l"
}
for more in '' ,loose; do
    mrcfs -o "follow_symlinks$more" "local:$linked" "$mnt" || fail "follow_symlinks$more"
    follows "follow_symlinks$more"
    mrcfs -u "$mnt" || fail "unmount follow_symlinks$more"
done
mrcfs "local:$linked" "$mnt" || fail "without follow_symlinks"
same "not followed" "f symbolic link" "$(readlink "$mnt/l") $(stat -c %F "$mnt/ld")"
mrcfs -u "$mnt" || fail "unmount without follow_symlinks"

# idmap: a file of somebody else's, which only root can make.
if [ "$(id -u)" = 0 ]; then
    touch "$served/other"
    chown 54321:54321 "$served/other"
    name=$(sed -n '2s/:.*//p' /etc/passwd)
    number=$(sed -n '2p' /etc/passwd | cut -d: -f3)
    echo "$name:54321" > "$tmp/uids"
    for map in name none user; do
        mrcfs -o idmap=$map "local:$served" "$mnt" || fail "idmap=$map"
        same "idmap=$map: own" 0 "$(stat -c %u "$mnt/f")"
        same "idmap=$map: other" 54321 "$(stat -c %u "$mnt/other")"
        mrcfs -u "$mnt" || fail "unmount idmap=$map"
    done
    mrcfs -o "idmap=file,uidfile=$tmp/uids" "local:$served" "$mnt" || fail "idmap=file"
    same "idmap=file: listed" "$number" "$(stat -c %u "$mnt/other")"
    same "idmap=file: no list of groups" 54321 "$(stat -c %g "$mnt/other")"
    chown "$name" "$mnt/f" || fail "chown to a listed user"
    same "idmap=file: set" 54321 "$(stat -c %u "$served/f")"
    chown 4711 "$mnt/f" 2>/dev/null && fail "chown to a user who is in no list"
    touch "$served/third"
    chown 4711 "$served/third"
    wait_for 10 test -e "$mnt/third" # what is made here is seen a moment later there
    wait_for 10 eval '[ "$(stat -c %u "$mnt/third")" = 65534 ]'
    mrcfs -u "$mnt" || fail "unmount idmap=file"
fi

# Another computer, by a command that takes ssh's place: gets ssh's options, runs what follows the host.
cat > "$tmp/not-ssh" <<'END'
#!/bin/sh
printf '%s\n' "$@" > "$0.args"
while [ $# -gt 0 ]; do
    case $1 in
    -p | -o | -F | -e | -l | -i | -J) shift 2 ;;
    -*) shift ;;
    *) break ;;
    esac
done
[ "$1" = far.example ] || exit 255
shift
echo $$ > "${0%/*}/not-ssh.pid"
exec sh -c "$*"
END
chmod +x "$tmp/not-ssh"
mkdir "$tmp/home"
HOME=$tmp/home XDG_CACHE_HOME='' mrcfs -p 4022 -o "ssh_command=$tmp/not-ssh,Compression=yes" "far.example:$served" "$mnt" \
    || fail "ssh_command="
same "content from afar" content "$(cat "$mnt/f")"
echo afar > "$mnt/h"
same "written afar" afar "$(cat "$served/h")"
grep -qx 4022 "$tmp/not-ssh.args" || fail "no port in: $(cat "$tmp/not-ssh.args")"
grep -qx 'Compression=yes' "$tmp/not-ssh.args" || fail "no -o in: $(cat "$tmp/not-ssh.args")"
mrcfs -u "$mnt" || fail "unmount from afar"
HOME=$tmp/home XDG_CACHE_HOME='' mrcfs -o "ssh_command=$tmp/not-ssh,follow_symlinks" "far.example:$linked" "$mnt" \
    || fail "follow_symlinks afar"
follows "follow_symlinks afar"
mrcfs -u "$mnt" || fail "unmount follow_symlinks afar"
rc=$(status mrcfs -o "ssh_command=$tmp/not-ssh" "elsewhere:$served" "$mnt" 2> "$tmp/err")
same "exit status without a connection" 1 "$rc"
not_mounted "$mnt" || fail "mounted without a connection"

# Whoever reads what a mount says sees its end when it is mounted, wherever the files are; what is said later is in the log.
# ends_for_reader SOURCE OPTION...
ends_for_reader()
{
    got=$(HOME=$tmp/home XDG_CACHE_HOME='' mrcfs "$1" "$mnt" ${2+"-o" "$2"} 2>&1 | { timeout 20 cat; echo "end $?"; })
    same "what the reader of $1 gets" "end 0" "$got"
    same "content then" content "$(cat "$mnt/f")"
}
ends_for_reader "local:$served"
mrcfs -u "$mnt" || fail "unmount after a reader"
ends_for_reader "far.example:$served" "ssh_command=$tmp/not-ssh"
kill -KILL "$(cat "$tmp/not-ssh.pid")"
wait_for 20 not_mounted "$mnt"
logged() { HOME=$tmp/home XDG_CACHE_HOME='' mrc logs 2> /dev/null | grep -q 'mount\[.*far.example'; }
wait_for 10 logged
got=$(mrcfs "local:$served/nowhere" "$mnt" 2>&1 | { timeout 20 cat; echo "end $?"; })
case $got in "mrcfs: "*"No such file"*"end 0") ;; *) fail "words of a mount that fails: $got" ;; esac

# Signals take it off; the background process ends, the server too.
mrcfs -f "local:$served" "$mnt" &
pid=$!
wait_for 10 mounted "$mnt"
kill -TERM $pid
rc=0
wait $pid || rc=$?
same "exit status after SIGTERM" 0 $rc
not_mounted "$mnt" || fail "still mounted after SIGTERM"

# mount(8) and fstab; it looks for programs in its own places only.
if [ -n "${MRCFS_OWN_MOUNTS:-}" ] && command -v mount.fuse3 > /dev/null && [ -d /usr/local/bin ]; then
    mkdir "$tmp/bin"
    cp "$top_builddir/mrcfs/mrcfs" "$tmp/bin/"
    mount --bind "$tmp/bin" /usr/local/bin || fail "bind /usr/local/bin"
    mount -t fuse.mrcfs -o ro,noauto,_netdev "local:$served" "$mnt" || fail "mount -t fuse.mrcfs"
    grep -q " $mnt fuse.mrcfs ro," /proc/self/mounts || fail "not read only: $(grep "$mnt" /proc/self/mounts)"
    umount "$mnt" || fail "umount"
    mount -t fuse "mrcfs#local:$served" "$mnt" || fail "mount -t fuse mrcfs#"
    same "content" content "$(cat "$mnt/f")"
    umount "$mnt" || fail "umount"
    echo "local:$served $mnt fuse.mrcfs defaults,nofail,x-test.a=b 0 0" > "$tmp/fstab"
    mount --fstab "$tmp/fstab" "$mnt" || fail "mount by fstab"
    umount "$mnt" || fail "umount"
    umount -l /usr/local/bin
fi

# Statistics: one file read costs a known number of requests.
XDG_CACHE_HOME=$tmp/cache mrcfs --stats "local:$served" "$mnt" 2> "$tmp/stats" &
pid=$!
wait_for 10 mounted "$mnt"
cat "$mnt/g" > /dev/null
mrcfs -u "$mnt" || fail "unmount stats"
wait $pid
[ ! -e "$tmp/cache/mrc" ] || fail "what is here already was put into a cache"
for line in '1 open' 'answered without asking' 'round trips waited for'; do
    grep -q "$line\$" "$tmp/stats" || fail "--stats has no '$line': $(cat "$tmp/stats")"
done

# The server doesn't answer: who waits can be killed all the same; who isn't killed waits and gets the answer. Each looks up a
# name of its own: who comes second for one name waits in the kernel, where no signal reaches, for what the first is told.
mrcfs -f "local:$served" "$mnt" &
pid=$!
wait_for 10 mounted "$mnt"
server=$(cat /proc/$pid/task/$pid/children)
# shellcheck disable=SC2086
kill -STOP $server
at_exit "kill -CONT $server 2>/dev/null"
cat "$mnt/g" > "$tmp/patient" &
patient=$!
for signal in KILL TERM; do
    cat "$mnt/f" > /dev/null &
    waiting=$!
    sleep 0.2
    kill -$signal $waiting
    wait_for 10 is_gone $waiting
    wait $waiting 2>/dev/null
done
is_gone $patient && fail "a reader has gone while the server was stopped"
# shellcheck disable=SC2086
kill -CONT $server
wait $patient || fail "read after the server went on"
same "read after the server went on" more "$(cat "$tmp/patient")"
wait_for 10 mrcfs -u "$mnt"
wait $pid || fail "end after the server was stopped for a while"

# The server is killed: errors at once, no hang, taken off.
mrcfs -f "local:$served" "$mnt" 2> "$tmp/err" &
pid=$!
wait_for 10 mounted "$mnt"
exec 8< "$mnt/g"
server=$(cat /proc/$pid/task/$pid/children)
# shellcheck disable=SC2086
kill -KILL $server
rc=0
wait $pid || rc=$?
same "exit status when the server is lost" 1 $rc
timeout 10 cat <&8 > /dev/null 2> "$tmp/err2" && fail "read from a lost server"
[ "$(status timeout 5 cat "/proc/self/fd/8" 2> /dev/null)" != 124 ] || fail "hangs after the server is lost"
exec 8<&-
grep -q "file server has gone" "$tmp/err" || fail "words for a lost server: $(cat "$tmp/err")"
wait_for 10 not_mounted "$mnt"

# The client is killed: the kernel says so to those who use it, and it can be taken off.
mrcfs -f "local:$served" "$mnt" &
pid=$!
wait_for 10 mounted "$mnt"
kill -KILL $pid
wait $pid 2>/dev/null
timeout 10 cat "$mnt/g" > /dev/null 2> "$tmp/err" && fail "read from a dead client"
grep -q "endpoint" "$tmp/err" || fail "words of the kernel: $(cat "$tmp/err")"
mrcfs -u "$mnt" || fail "mrcfs -u of a dead mount"
not_mounted "$mnt" || fail "still mounted after mrcfs -u of a dead mount"
exit 0
