#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Nodes that lack something: room, programs in the home directory, fuse, user namespaces. And how passwords work.
set -eu
lab=${top_srcdir:-.}/examples/lab/lab
one=b-$$

[ "$(id -u)" = 0 ] || { echo "skip: lab needs root"; exit 77; }
fail() { echo "FAIL: $*" >&2; exit 1; }
same() { [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"; }
L() { "$lab" --name "$one" "$@"; }
trap 'L down' EXIT

L up 1 --small-disk 20M --noexec-home --noexec-tmp --no-fuse --no-userns --for $$

# A disk of 20 MB takes 10, then is full wherever one writes.
L run -u alice n1 -- sh -c 'head -c 10M /dev/zero >a' || fail "10 MB on a disk of 20"
said=$(L run -u alice n1 -- sh -c 'LC_ALL=C head -c 15M /dev/zero >b' 2>&1) && fail "25 MB on a disk of 20"
[[ $said == *"No space left on device"* ]] || fail "a full disk said: $said"
said=$(L run n1 -- sh -c 'LC_ALL=C head -c 1M /dev/zero >/usr/b' 2>&1) && fail "a full disk takes a file in /usr"
[[ $said == *"No space left on device"* ]] || fail "a full disk said: $said"
L run n1 -- rm /home/alice/a /home/alice/b

for dir in /home/alice /tmp /var/tmp /dev/shm; do
    L run -u alice n1 -- sh -c "printf '#!/bin/sh\n' >$dir/x && chmod +x $dir/x" || fail "write to $dir"
    same "run a program from $dir" 126 "$(L run -u alice n1 -- sh -c "$dir/x 2>/dev/null" || echo $?)"
done
if L run n1 -- test -e /dev/fuse; then fail "/dev/fuse is there"; fi

for user in root alice; do
    said=$(L run -u "$user" n1 -- env LC_ALL=C unshare -U true 2>&1) && fail "$user makes a user namespace"
    [[ $said == *"No space left on device"* ]] || fail "a refused user namespace said: $said"
    said=$(L ssh "$user@n1" LC_ALL=C unshare -U true 2>&1) && fail "$user makes a user namespace over ssh"
    [[ $said == *"No space left on device"* ]] || fail "a refused user namespace said: $said"
done
L run n1 -- unshare --mount true || fail "the filter forbids more than user namespaces"
same "the setting shown" 0 "$(L run n1 -- cat /proc/sys/user/max_user_namespaces)"
[ "$(cat /proc/sys/user/max_user_namespaces)" -gt 0 ] || fail "this computer's setting was changed"

# A password, each way of asking for it; a wrong one.
# shellcheck disable=SC2016     # for the script
printf '#!/bin/sh\necho "$LAB_PASSWORD"\n' >"/run/mrc-lab-$one/askpass"
chmod 755 "/run/mrc-lab-$one/askpass"
export SSH_ASKPASS=/run/mrc-lab-$one/askpass SSH_ASKPASS_REQUIRE=force
with_password()
{
    LAB_PASSWORD=$1 L ssh -o PubkeyAuthentication=no -o NumberOfPasswordPrompts=1 -o PreferredAuthentications="$2" \
        bob@n1 id -un 2>/dev/null
}
for way in password keyboard-interactive; do
    same "$way" bob "$(with_password lab-secret $way)"
    same "$way, wrong" 255 "$(with_password wrong $way || echo $?)"
done
same "still welcome after wrong passwords" bob "$(with_password lab-secret password)"

# What the computer lacks is said, with the package.
mkdir "/run/mrc-lab-$one/bin"
for prog in bash dirname readlink id cat unshare nsenter setpriv mount pivot_root ip ssh grep rm mkdir; do
    ln -s "$(PATH=$PATH:/usr/sbin:/sbin command -v $prog)" "/run/mrc-lab-$one/bin/"
done
said=$(PATH=/run/mrc-lab-$one/bin bash "$lab" --name "$one-x" up 1 2>&1) && fail "a cluster without ssh-keygen"
[[ $said == *"ssh-keygen (package openssh-client)"* ]] || fail "what is lacking: $said"
said=$(setpriv --reuid 65534 --clear-groups "$lab" --name "$one-x" up 1 2>&1) && fail "a cluster without root"
[[ $said == *"needs root"* ]] || fail "without root: $said"
echo "lab-bad-days: ok"
