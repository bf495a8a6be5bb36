#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# seed.sh: what examples/disk-image/cluster gives to the nodes of a disk image, and what mosix-seed makes of a computer with it.
# qemu is a stand-in that only says what it was started with; boot.sh starts the true one.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires root ip ssh-keygen
here=$top_srcdir/examples/disk-image
export MOSCTL=$top_builddir/mosix-core/cmd/mosctl
mkdir "$tmp/bin"
cat >"$tmp/bin/qemu-system-x86_64" <<'E2'
#!/bin/sh
printf '%s\n' "$*" >>"$QEMU_LOG"
E2
printf '#!/bin/sh\nfor last; do :; done\n: >"$last"\n' >"$tmp/bin/qemu-img"
chmod +x "$tmp/bin/"*
export QEMU_LOG=$tmp/qemu.log PATH=$tmp/bin:$PATH
: >"$tmp/image"
cluster() { "$here/cluster" --state "$tmp/vms" --image "$tmp/image" "$@"; }

same "nine nodes" "cluster: up: '9' is not a number from 1 to 8" "$(cluster up 9 2>&1)"
same "no nodes" "cluster: there is no $tmp/vms" "$(cluster start n1 2>&1)"
MOSIX_VM_ACCEL=tcg cluster up 2 >"$tmp/up" || fail "up: $(cat "$tmp/up")"
same "nodes that were started" 2 "$(wc -l <"$QEMU_LOG")"
same "once more" "cluster: $tmp/vms exists; 'start', or 'remove' it first" "$(cluster up 2 2>&1)"
same "a node that isn't there" "cluster: there is no node 'n3' in $tmp/vms" "$(cluster start n3 2>&1)"
same "a name that is a path" "cluster: there is no node '../n1' in $tmp/vms" "$(cluster ssh ../n1 2>&1)"
# Nothing of a node's reaches another computer, and nobody but this one reaches it.
while read -r line; do
    case $line in *localaddr=127.0.0.1*restrict=on,hostfwd=tcp:127.0.0.1:*) ;; *) fail "a node that is not shut in: $line" ;; esac
    # shellcheck disable=SC2001
    case $(sed 's/mcast=239.77.[0-9.]*:[0-9]*,localaddr=127.0.0.1//; s/hostfwd=tcp:127.0.0.1//' <<<"$line") in
    *mcast=* | *hostfwd=tcp:[0-9:]* | *connect=*) fail "more than one way out: $line" ;; esac
done <"$QEMU_LOG"
same "who can read the keys" "700" "$(stat -c %a "$tmp/vms")"
listed=$(tar -tf "$tmp/vms/n2/seed.tar" | LC_ALL=C sort | tr '\n' ' ')
same "what n2 gets" "./ ./authorized_keys ./epoch ./mosix.map ./node ./node.cert ./node.key ./node.pub ./owner.pub " "$listed"
same "its length is one of a disk" 0 "$(($(stat -c %s "$tmp/vms/n2/seed.tar") % 512))"

# ---- a computer to be made n2: its directories and network are its own, and empty

cat >"$tmp/become" <<'E2'
set -eu
for d in /etc/mosix /root /home /run /dev/disk; do
    [ -d "$d" ] || mkdir "$d" 2>/dev/null || true
    mount -t tmpfs none "$d"
done
mkdir -p /home/alice /dev/disk/by-id
: >"$1/own-hosts"; : >"$1/own-name"; mount --bind "$1/own-hosts" /etc/hosts
[ -e /etc/hostname ] && mount --bind "$1/own-name" /etc/hostname
ip link add eth0 type veth peer name out
"$3" # no disk: nothing happens
[ -z "$(ls /etc/mosix)" ] || exit 3
ln -s "$1/vms/n2/seed.tar" /dev/disk/by-id/virtio-mosix-seed
"$3"
echo "name $(uname -n)"
echo "address $(ip -o -4 address show eth0 | awk '{print $4}')"
echo "hosts $(grep -c '10.77.1.[12] n[12]$' /etc/hosts)"
echo "files $(cd /etc/mosix && stat -c %n:%a * | tr '\n' ' ')"
echo "keys $(cmp /root/.ssh/authorized_keys "$1/vms/ssh.pub" && stat -c %a /root/.ssh /root/.ssh/authorized_keys | tr '\n' ' ')"
# What it learned since stays, at its next start.
echo newer >/etc/mosix/epoch
mkdir /etc/mosix/var
"$3" >/dev/null
echo "learned $(cat /etc/mosix/epoch) $(ls -d /etc/mosix/var)"
# With another certificate it is another node, which knows nothing yet.
rm /dev/disk/by-id/virtio-mosix-seed
ln -s "$1/vms/n1/seed.tar" /dev/disk/by-id/virtio-mosix-seed
"$3" >/dev/null
echo "then $(uname -n) $(ls /etc/mosix | tr '\n' ' ')"
# An archive without keys, and a line with other characters, change nothing.
mkdir "$1/odd"
tar -C "$1/odd" -xf "$1/vms/n2/seed.tar"
rm "$1/odd/node.key"
tar -C "$1/odd" -cf "$1/odd.tar" .
ln -sf "$1/odd.tar" /dev/disk/by-id/virtio-mosix-seed
"$3" >/dev/null 2>&1 && exit 4
tar -C "$1/odd" -xf "$1/vms/n2/seed.tar"
echo '2 n2;reboot 10.77.1.2' >"$1/odd/node"
tar -C "$1/odd" -cf "$1/odd.tar" .
"$3" >/dev/null 2>&1 && exit 5
echo "still $(uname -n)"
timeout 20 "$2" -v -r "$1/run" >"$1/mosixd.log" 2>&1 </dev/null &
pid=$!
for i in $(seq 200); do
    grep -q listens "$1/mosixd.log" && break
    sleep 0.05
done
kill $pid
wait $pid || true
E2
mkdir -p "$tmp/run"
[ -d /etc/mosix ] || { mkdir /etc/mosix && at_exit 'rmdir /etc/mosix 2>/dev/null'; }
got=$(unshare --mount --net --uts --propagation private bash "$tmp/become" "$tmp" "$top_builddir/mosix-core/mosixd/mosixd" \
    "$here/files/usr/local/sbin/mosix-seed" 2>&1) || fail "a node is made: exit status $?: $got"
want="mosix-seed: no disk with keys; this computer is of no cluster
mosix-seed: this is node 2, n2, 10.77.1.2
name n2
address 10.77.1.2/24
hosts 2
files epoch:600 mosix.map:600 node.cert:600 node.key:600 owner.pub:600 
keys 700 600 
learned newer /etc/mosix/var
then n1 epoch mosix.map node.cert node.key owner.pub 
still n1"
same "what it became" "$want" "$got"
grep -q listens "$tmp/mosixd.log" || fail "mosixd does not start with it: $(cat "$tmp/mosixd.log")"
cluster remove || fail "remove"
[ ! -e "$tmp/vms" ] || fail "keys are left"
