#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# keys.sh: mosctl's verbs of the owner, without any node: what they write and with which rights, what they refuse and say, that what
# is there stays, and that a daemon refuses keys that are not its own.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
PATH=$top_builddir/mosix-core/cmd:$top_builddir/mosix-core/mosixd:$PATH
export MOSIX_RUN=$tmp/none
cd "$tmp" || exit 99
umask 022
# refuses WORDS COMMAND...: it fails and says so
refuses()
{
    local words
    words=$("${@:2}" 2>&1) && fail "done: ${*:2}"
    [[ $words == *"$1"* ]] || fail "${*:2}: says '$words', not '$1'"
}

mkdir -m 700 own
refuses 'open own/owner.key' mosctl certify -d own n1
refuses 'no mosixd runs' mosctl status
mosctl keygen -d own || fail keygen
same rights '600 644 600' "$(stat -c %a own/owner.key own/owner.pub own/epoch | tr '\n' ' ' | sed 's/ $//')"
cp own/owner.key before
refuses 'left as they are' mosctl keygen -d own
cmp own/owner.key before || fail "keygen changed a key"
# What a crash has left is completed, with the same key.
rm own/owner.pub own/epoch
mosctl keygen -d own || fail "keygen after a crash"
cmp own/owner.key before || fail "keygen changed a key"
[ -s own/owner.pub ] && [ -s own/epoch ] || fail "keygen did not complete"

refuses 'mosix.map' mosctl certify -d own n1
printf '1 n1 127.0.0.1 17722\n2 n2 nowhere\n' >own/mosix.map
refuses "mosix.map, line 2: 'nowhere' is no numeric address" mosctl certify -d own n1
printf '1 n1 127.0.0.1 17722\n2 n2 127.0.0.1 17723\n' >own/mosix.map
refuses 'has no node n3' mosctl certify -d own n3
refuses 'which one' mosctl certify -d own
same certify 'node 1 n1: certificate 1, in own/n1' "$(mosctl certify -d own n1)"
same files 'epoch mosix.map node.cert node.key node.pub owner.pub ' "$(cd own/n1 && printf '%s ' *)"
same rights '600 600 ' "$(stat -c %a own/n1/node.key own/n1/epoch | tr '\n' ' ')"
cp own/n1/node.key before
same again 'node 1 n1: certificate 2, in own/n1' "$(mosctl certify -d own 1)"
cmp own/n1/node.key before || fail "a new certificate changed the key"
# A key that the node has made.
mosctl keygen --node -d own/two || fail "keygen --node"
cp own/two/node.pub n2.pub
mosctl certify -d own -k n2.pub -o out n2 >/dev/null || fail "certify -k"
[ ! -e out/node.key ] || fail "certify -k made a key"

# Secrets that others can read or change.
chmod 644 own/owner.key
refuses 'own/owner.key is a secret that others can read' mosctl rotate -d own
chmod 600 own/owner.key
chmod 777 own
refuses 'others can write in own' mosctl rotate -d own
chmod 700 own
cp own/owner.pub own/owner.key.bad && chmod 600 own/owner.key.bad
mv own/owner.key good && mv own/owner.key.bad own/owner.key
refuses "owner.key, line 1: should say 'mosix owner-secret 1'" mosctl rotate -d own
mv good own/owner.key

mosctl rotate -d own | grep -q '^epoch 2$' || fail rotate
mosctl revoke -d own n1 | grep -q 'certificates up to 2 count no more' || fail revoke
same revoked 2 "$(wc -l <own/revoked)"
refuses 'no mosixd runs' mosctl deliver -d own

# The daemon and what it is given.
start() { timeout 5 mosixd -q -c "$1" -r "$tmp/run"; }
cp -r own/n1 wrong && cp own/two/node.key wrong/node.key
refuses 'certificate is for another key' start wrong
rm -r wrong && cp -r own/n1 wrong && chmod 640 wrong/node.key
refuses 'wrong/node.key is a secret that others can read' start wrong
rm -r wrong && cp -r own/n1 wrong && echo '9 x 10.0.0.1 0' >>wrong/mosix.map
refuses "wrong/mosix.map, line 3: '0' is no port" start wrong
rm -r wrong && cp -r own/n1 wrong && sed -i '/ n1 /d' wrong/mosix.map
refuses 'has no node 1' start wrong
mkdir -m 700 other
mosctl keygen -d other
rm -r wrong && cp -r own/n1 wrong && cp other/owner.pub wrong/
refuses 'is not of the owner' start wrong
rm -r wrong && cp -r own/n1 wrong && cp other/epoch wrong/
refuses "the epoch is not this cluster's" start wrong
mosctl certify -d own --days 1 n2 >/dev/null || fail "certify --days"
rm -r wrong && cp -r own/n1 wrong && printf 'far take\n' >wrong/partners
refuses "partners, line 1: should be a cluster's name" start wrong
refuses 'open own/none' setpe -c -f own/none
setpe -c -f own/mosix.map 2>&1 | grep -q '2 nodes in 1 clusters' || fail "setpe -c"
refuses 'needs one of -c' setpe

# The unit: nothing of it is unknown to systemd, and it starts what is installed.
unit=$top_builddir/mosix-core/mosixd/mosixd.service
grep -q '^ExecStart=/.*/mosixd$' "$unit" || fail "the unit starts $(grep ExecStart "$unit")"
if command -v systemd-analyze >/dev/null; then
    sed "s|^ExecStart=.*|ExecStart=$top_builddir/mosix-core/mosixd/mosixd|" "$unit" >mosixd.service
    words=$(systemd-analyze verify --man=no ./mosixd.service 2>&1 | grep mosixd.service)
    [ -z "$words" ] || fail "systemd-analyze: $words"
fi
