#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What goes wrong between mrc and its target, and in jobs: each time one clear sentence, soon, and the right exit status.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
requires setsid
lab_up 1
limit=50
# No terminal anywhere: nobody can be asked.
m() { here timeout $limit setsid -w mrc -F "$conf" "$@"; }

echo "# connection"
bad "unknown host" 255 'no-such-host\.invalid.*not found' m alice@no-such-host.invalid true
bad "nobody answers there" 255 'n1.*refused the connection|refused.*SSH server on port 2' m -p 2 alice@n1 true
seconds=12 bad "no such computer" 255 '10\.77\.0\.99' m -o ConnectTimeout=5 alice@10.77.0.99 true
bad "wrong user" 255 'permission denied for nobodyhere@n1.*no terminal' m nobodyhere@n1 true
ssh-keygen -q -t ed25519 -N '' -f "$home/other" && chown "$user:" "$home/other"
sed "s,IdentityFile .*,IdentityFile $home/other," "$conf" >"$home/other.conf"
bad "refused key" 255 'permission denied for alice@n1.*other' m -F "$home/other.conf" -o BatchMode=yes alice@n1 true
askpass=$tmp/askpass
printf '#!/bin/sh\necho wrong\n' >"$askpass" && chmod 755 "$askpass"
bad "wrong password" 255 'permission denied for alice@n1.*password' \
    here env SSH_ASKPASS="$askpass" SSH_ASKPASS_REQUIRE=force timeout $limit setsid -w mrc -F "$conf" -o PubkeyAuthentication=no -o NumberOfPasswordPrompts=1 alice@n1 true
printf '#!/bin/sh\necho lab-secret\n' >"$askpass"
same "right password" n1 "$(SSH_ASKPASS="$askpass" SSH_ASKPASS_REQUIRE=force m -o PubkeyAuthentication=no alice@n1 uname -n 2>&1)"
sed -e 's/^\([^ ]* [^ ]*\) .*/\1 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/' "$(awk '/UserKnownHostsFile/ {print $2}' "$conf")" |
    grep ed25519 >"$home/known_hosts"
chown "$user:" "$home/known_hosts"
lines=9 bad "changed host key" 255 'key.*(changed|not the one)' m -o UserKnownHostsFile="$home/known_hosts" alice@n1 true
: >"$home/known_hosts"
same "a key that can't be remembered is no failure" "0 mrc: the host key of n1 can't be remembered in /no/such/dir/known: No such file or directory" \
    "$(m -o StrictHostKeyChecking=no -o UserKnownHostsFile=/no/such/dir/known alice@n1 sh -c 'exit 0' 2>"$tmp/e"; echo "$? $(cat "$tmp/e")")"
bad "unknown host key" 255 'key.*n1|n1.*key' m -o UserKnownHostsFile="$home/known_hosts" alice@n1 true
bad "no host" 255 '.' m ''
bad "bad option" 255 'no-such-option' m --no-such-option alice@n1 true
bad "--via without a shell" 255 'via.*false' m --via false alice@n1 true
seconds=6 bad "--via that says nothing" 255 'nothing was heard for 3 s.*--via.*sleep' m -o ConnectTimeout=3 --via 'sleep 100;:' alice@n1 true
bad "--via with a bad limit" 255 'ConnectTimeout=x.*seconds' m -o ConnectTimeout=x --via 'sleep 100;:' alice@n1 true
# The terminal is read for some seconds before the answer comes.
# shellcheck disable=SC2016
printf '#!/bin/sh\n(sleep 5; printf "who? " >/dev/tty) </dev/null >/dev/null & read -r x </dev/tty; exec "$@"\n' >"$home/asks" && chmod 755 "$home/asks"
same "the time of a question does not count" "me;who? me" "$(here timeout $limit "$top_srcdir/tests/lib/on_terminal" --timeout 30 'who?' me -- \
    mrc -q -o ConnectTimeout=2 --via "$home/asks" n1 echo me | tr -d '\r' | paste -sd';')"
bad "--via not found" 255 'there is no program no-such-program on this computer' m --via no-such-program alice@n1 true

echo "# command, directory, trees"
bad "not found" 127 'n1: no-such-command: command not found' m alice@n1 no-such-command
bad "not found, by path" 127 'n1: ./no-such: command not found' m alice@n1 ./no-such
echo 'x' >"$home/proj/plain" && chown "$user:" "$home/proj/plain"
bad "not executable" 126 'n1: ./plain: Permission denied' m alice@n1 ./plain
bad "a directory" 126 'n1: /usr: ' m alice@n1 /usr
printf '#!/no/such/interpreter\n' >"$home/proj/script" && chmod 755 "$home/proj/script"
bad "interpreter missing" 127 'n1: ./script: .*(interpreter|No such file)' m alice@n1 ./script
bad "working directory missing" 255 '/no/such' m --directory /no/such alice@n1 true
dir=/usr/share
same "a working directory of the system's is the target's" /usr/share "$(m alice@n1 pwd)"
mkdir -p "$tmp/usr" "/usr/share/mrc-test-$$" && at_exit 'rmdir "/usr/share/mrc-test-$$"' && node rmdir "/usr/share/mrc-test-$$"
dir=/usr/share/mrc-test-$$
bad "working directory missing there" 255 "n1: the working directory $dir can't be entered on the target" m alice@n1 true
dir=$home/proj
bad "working directory was removed" 255 'working directory' here sh -c "mkdir gone && cd gone && rmdir ../gone && exec mrc -F $conf alice@n1 true"
bad "tree missing" 255 '/no/such/tree' m --head /no/such/tree alice@n1 true
bad "tree is a file" 255 'plain.*must be a directory' m --head "$home/proj/plain" alice@n1 true
bad "no such tree for --scratch" 255 'n1: --scratch /no/such: .*make it first' m --scratch /no/such alice@n1 true
mkdir "$home/mnt" && chown "$user:" "$home/mnt"
f() { here timeout $limit setsid -w mrcfs "$@" "$home/mnt"; }
bad "mrcfs: unknown host" 1 'no-such-host.invalid not found' f alice@no-such-host.invalid:
bad "mrcfs: no such directory there" 1 "n1:/no/such can't be served: No such file" f -F "$conf" alice@n1:/no/such
mkdir -m 700 "$tmp/closed"
bad "tree not ours" 2 "closed.*Permission denied" m --head "$tmp/closed" alice@n1 ls "$tmp/closed"

echo "# files"
mkdir -m 755 "$home/proj/roots" && echo s >"$home/proj/roots/f" && chmod 600 "$home/proj/roots/f"
bad "permission denied on the head" 1 'Permission denied' m alice@n1 cat roots/f
bad "and to write" 2 'Permission denied' m alice@n1 sh -c 'echo x > roots/g'
ln -s loop2 "$home/proj/loop1" && ln -s loop1 "$home/proj/loop2"
bad "a loop of links" 1 'Too many levels' m alice@n1 cat loop1
ln -s /no/where "$home/proj/dangling" && ln -s ../../outside "$home/proj/out" && echo o >"$tmp/outside"
bad "a dangling link" 1 'No such file' m alice@n1 cat dangling
bad "a link out of the export" 1 'No such file' m alice@n1 cat out
ln -s ../../../../../../../../etc/passwd "$home/proj/passwd"
same "a link into the target's" "$(node sha256sum /etc/passwd | cut -c1-64)" "$(m alice@n1 sha256sum passwd | cut -c1-64)"
mkdir "$tmp/full" && mount -t tmpfs -o size=1m none "$tmp/full" && at_exit 'umount -l "$tmp/full"' && chown "$user:" "$tmp/full"
dir=$tmp/full
bad "disk of the head is full" 1 'No space left' m alice@n1 dd if=/dev/zero of=big bs=64k count=100 status=none conv=fsync
same "nothing above what fits" yes "$([ "$(stat -c %s "$tmp/full/big")" -le 1048576 ] && echo yes)"
bad "full, without fsync" 1 'No space left' m alice@n1 cp /usr/bin/bash big2
rm -f "$tmp/full"/*
bad "full, shell" 1 'No space left' m alice@n1 sh -c 'i=0; while [ $i -lt 40 ]; do i=$((i+1)); head -c 40000 /dev/zero > f$i || exit 1; done'
bad "full, append" 1 'No space left' m alice@n1 sh -c 'while head -c 4096 /dev/zero >> app; do :; done; exit 1'

# A quota on the head: of a btrfs, which needs no quota files and no option at boot.
quota=$tmp/quota
quota_fs() # needs 200 MiB, of which little is written
{
    command -v mkfs.btrfs >/dev/null && truncate -s 200M "$tmp/quota.img" && mkfs.btrfs -q -f "$tmp/quota.img" >/dev/null 2>&1 &&
        mkdir "$quota" && mount -o loop "$tmp/quota.img" "$quota" && at_exit 'umount -l "$quota"' &&
        btrfs quota enable "$quota" && btrfs subvolume create "$quota/v" >/dev/null && btrfs qgroup limit 4M "$quota/v" && chown "$user:" "$quota/v"
}
if quota_fs 2>"$tmp/quota.err"; then
    dir=$quota/v
    bad "over the quota" 1 'quota exceeded' m alice@n1 dd if=/dev/urandom of=big bs=64k count=200 status=none conv=fsync
    size=$(stat -c %s "$dir/big")
    [ "$size" -gt 1000000 ] && [ "$size" -le 4194304 ] || fail "over the quota: $size bytes are here"
    rm "$dir/big" && sync -f "$dir"
    # The job is told if it still writes when it is known here; mrc says what it was not told of.
    lines=2
    bad "over the quota, without fsync" 255 'quota exceeded' m alice@n1 sh -c 'head -c 8000000 /dev/urandom > big2 || exit 255'
    lines=1
    rm "$dir/big2" && sync -f "$dir"
    same "EDQUOT to the job" "122 122" "$(m alice@n1 python3 -c '
import os
def errno_of(flags):
    f = os.open("e", os.O_WRONLY | os.O_CREAT | flags)
    try:
        for i in range(100):
            os.write(f, os.urandom(65536))
        os.fsync(f)
    except OSError as e:
        return e.errno
    finally:
        try:
            os.close(f)
        except OSError:
            pass
print(errno_of(0), errno_of(os.O_APPEND))')"
else
    echo "# no quota can be had here, not tested: $(head -1 "$tmp/quota.err")"
fi
dir=$home/proj
same "10,000 open files" 10000 "$(m alice@n1 python3 -c '
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (10100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
import os
os.mkdir("many"); f = []
for i in range(10000):
    f.append(os.open(f"many/{i}", os.O_RDWR | os.O_CREAT))
os.write(f[9999], b"last")
print(len(f))')"
same "the last" last "$(cat "$home/proj/many/9999")"

echo "# a killed part"
# victim WHICH: the process id of a part of the running mrc
mrc_pid() { pgrep -o -u "$user" -f "^mrc -F $conf"; }
begin() # OPTION OF MRC...
{
    m "$@" alice@n1 sh -c 'touch begun; sleep 4321; :' 2>"$tmp/bad.err" </dev/null &
    waiter=$!
    wait_for 20 test -e "$home/proj/begun"
}
ended() # WHAT REGEX
{
    local start status_got=0
    start=$(date +%s)
    wait $waiter || status_got=$?
    echo "# $1: $(cat "$tmp/bad.err")"
    [ $status_got = 255 ] || complain "$1: status $status_got"
    grep -Eiq -- "$2" "$tmp/bad.err" || complain "$1: should say '$2'"
    [ "$(wc -l <"$tmp/bad.err")" -le 2 ] || complain "$1: too many words"
    [ $(($(date +%s) - start)) -le 30 ] || complain "$1: took $(($(date +%s) - start)) s"
    rm "$home/proj/begun"
    wait_for 20 eval '! mrc_pid >/dev/null' # a process that made the connection anew may end a little later
    wait_for 20 eval '! node pgrep -f "sleep 4321" >/dev/null'
    same "$1: no mounts left" "" "$(node awk '$3 ~ /fuse/' /proc/1/mounts)"
}
children() { pgrep -P "$(mrc_pid)"; }
begin
node sh -c 'kill -9 $(pgrep -o agent-)'
ended "killed agent" 'n1'
begin --reconnect-for 0
for p in $(children); do
    [ "$(ps -o pgid= -p "$p" | tr -d ' ')" = "$p" ] && server=$p || transport=$p
done
kill -9 "$transport"
ended "killed transport" 'n1'
begin
for p in $(children); do
    [ "$(ps -o pgid= -p "$p" | tr -d ' ')" = "$p" ] && server=$p
done
kill -9 "$server"
ended "killed file server" 'file server'
begin --reconnect-for 0
node sh -c 'kill -9 $(pgrep -f "^sshd: alice")'
ended "killed sshd" 'n1'
bad_end
echo "all passed"
