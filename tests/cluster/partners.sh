#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# partners.sh: two clusters of one owner: who is not named in partners is refused and stayed away from, with words on either side,
# and a file that allows it counts at once. Two daemons on this computer.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires root python3
PATH=$top_builddir/mosix-core/cmd:$top_builddir/mosix-core/mosixd:$PATH
ln -s "$top_builddir/mosix-core/cmd/mosrun" "$tmp/native"
cd "$tmp" || exit 99
# Ports that nobody has now.
read -r one two <<<"$(python3 -c '
import socket
a = [socket.socket() for i in range(2)]
for s in a: s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in a])')"
mkdir -m 700 own
printf '1 near 127.0.0.1 %d\ncluster 7 far\n9 away 127.0.0.1 %d\n' "$one" "$two" >own/mosix.map
mosctl keygen -d own && mosctl certify -d own -o near near >/dev/null && mosctl certify -d own -o away away >/dev/null || fail "certify"
run_of() { echo "$tmp/run$$.$1"; }
cgroup=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
for n in near away; do
    mosixd -v -c $n -r "$(run_of $n)" >log.$n 2>&1 &
    at_exit "kill -9 $! 2>/dev/null; rmdir '$cgroup/run$$.$n'/u* '$cgroup/run$$.$n' 2>/dev/null"
    echo $! >pid.$n
done
on() { MOSIX_RUN=$(run_of "$1") "${@:2}"; }
knows() { [ "$(on "$1" mosctl rstatus 2>/dev/null | awk -v n="$2" '$2 == n { print $4 }')" = alive ]; }
wait_for 10 knows near away
wait_for 10 knows away near
same whois '9 away 127.0.0.1 far' "$(on near mosctl whois away)"
refuses()
{
    local words
    words=$(on near mosrun -raway true 2>&1) && fail "mosrun went there"
    [[ $words == *"$1"* ]] || fail "mosrun says: $words"
}
# reload NODE: and it has
reload()
{
    local before
    before=$(grep -c 'read anew' log.$1)
    kill -HUP "$(cat pid.$1)"
    wait_for 5 eval "[ \$(grep -c 'read anew' log.$1) -gt $before ]"
}
refuses "don't go to cluster far (partners)"
echo 'far refuse go' >near/partners
reload near
refuses 'processes of cluster main are not taken here'
echo 'main take stay' >away/partners
reload away
on near mosrun -raway true || fail "mosrun does not go to a partner"
# bestnode is of this cluster only.
on near bestnode -r 2>/dev/null && fail "bestnode names a node of another cluster"
rm near/partners
reload near
refuses "don't go to cluster far (partners)"
