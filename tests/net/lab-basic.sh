#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Two clusters at once: what a node is, what it can't see, and that nothing is left at the end.
set -eu
lab=${top_srcdir:-.}/examples/lab/lab
one=t1-$$ two=t2-$$

[ "$(id -u)" = 0 ] || { echo "skip: lab needs root"; exit 77; }
fail() { echo "FAIL: $*" >&2; exit 1; }
same() { [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"; }
trap '"$lab" --name $one down; "$lab" --name $two down' EXIT

mounts_before=$(wc -l </proc/self/mounts)
"$lab" up 2 --name "$one" --user carol:1500 --for $$
"$lab" up 1 --name "$two" --for $$
L() { "$lab" --name "$one" "$@"; }

same "hostname over ssh" n2 "$(L ssh n2 hostname)"
same "the other cluster's n1" n1 "$("$lab" --name "$two" ssh alice@n1 hostname)"
same "user over ssh" 1001 "$(L ssh alice@n1 id -u)"
same "extra user" 1500 "$(L run -u carol n2 -- id -u)"
same "home is empty" "" "$(L run -u alice n1 ls -A)"
same "root's home is empty" "" "$(L run n1 -- ls -A)"
same "other trees" "" "$(L run n1 -- sh -c 'ls -A / | grep -vxE "bin|boot|dev|etc|home|lib|lib32|lib64|libx32|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var|.*usr-is-merged"' || true)"
same "exit status" 3 "$(L run n1 -- sh -c 'exit 3' || echo $?)"
same "exit status over ssh" 4 "$(L ssh n1 exit 4 || echo $?)"
same "first process" 1 "$(L run n1 -- sh -c 'echo /proc/1' | wc -l)"
L run n1 -- sh -c 'grep -q lab/init /proc/1/cmdline' || fail "PID 1 of the node is not its own"
L run -u alice n1 -- unshare -Urm true || fail "no user namespaces in a node"
same "fuse device" "666" "$(L run n1 -- stat -c %a /dev/fuse)"

# Each namespace is the node's own.
for ns in net mnt pid uts ipc time; do
    here=$(readlink /proc/self/ns/$ns)
    a=$(L run n1 -- readlink /proc/self/ns/$ns)
    b=$(L run n2 -- readlink /proc/self/ns/$ns)
    if [ "$a" = "$b" ] || [ "$a" = "$here" ]; then fail "$ns namespace is shared: $here $a $b"; fi
done

# A write in a system tree stays there.
L run n1 -- sh -c 'echo x >/usr/lab-test && echo x >/tmp/lab-test'
if [ -e /usr/lab-test ] || [ -e /tmp/lab-test ]; then fail "a node's write reached this computer"; fi
L run n2 -- sh -c '! test -e /usr/lab-test && ! test -e /tmp/lab-test' || fail "a node's write reached another node"

# Nodes reach each other and the head by name; the head reaches them; this computer's network doesn't.
# shellcheck disable=SC2016     # for the shell in the node
L run n1 -- bash -c 'read -r banner </dev/tcp/n2/22 && [[ $banner == SSH-2.0* ]]' || fail "n1 does not reach n2"
same "ssh_config on the head" n1 "$(L head -- ssh -F "$(L conf)" n1 hostname)"
same "ssh_config of a user" 1002 "$(L head -u nobody -- ssh -F "$(L conf -u nobody)" bob@n1 id -u)"
same "the head's files" "$$" "$(L head -- sh -c "cat /proc/$$/stat" | cut -d' ' -f1)"
same "the head's user" "$(id -u nobody)" "$(L head -u nobody -- id -u)"
! ip -o addr | grep -q '10\.77\.0\.' || fail "an address of the cluster is on this computer"
if command -v nc >/dev/null; then
    same "ssh_config outside the head" n2 "$(ssh -F "$(L conf)" n2 hostname)"
fi

# An orphan is adopted by PID 1 and reaped.
# shellcheck disable=SC2016     # for the shell in the node
timeout 20 "$lab" --name "$one" run n1 -- sh -c '(sleep 0.05 & echo $! >/tmp/pid); until ! kill -0 $(cat /tmp/pid) 2>/dev/null; do sleep 0.05; done' &
wait $! || fail "orphan"
L run n1 -- sh -c '! grep -q "^State:.Z" /proc/[0-9]*/status 2>/dev/null' || fail "a zombie is left in the node"

# Whoever waited for a command in a node is killed: the command ends.
# shellcheck disable=SC2016
"$lab" --name "$one" run -u alice n1 -- sh -c 'echo $$ >/tmp/pid2; exec sleep 1000' &
runner=$!
tries=0
until L run n1 -- test -s /tmp/pid2; do
    [ $((tries += 1)) -lt 100 ] || fail "run did not start"
    sleep 0.05
done
kill -9 $runner
# shellcheck disable=SC2016     # for the shell in the node
timeout 20 "$lab" --name "$one" run n1 -- sh -c 'while kill -0 $(cat /tmp/pid2) 2>/dev/null; do sleep 0.05; done' ||
    fail "the command outlives lab run"

same "a second cluster of that name" 1 "$("$lab" up 1 --name "$one" 2>/dev/null || echo $?)"

# One of somebody who is in a chroot: its nodes are not at the root of the computer.
chroot=$(mktemp -d) three=t3-$$ mark=/etc/lab-basic.$$
unshare --mount --propagation private sh -ec 'mount --rbind / "$1"; chroot "$1" sh -ec "cd \"$4\"; $3 up 1 --name $2; $3 --name $2 run n1 touch $5; $3 --name $2 run n1 ls $5; $3 --name $2 down"' \
    sh "$chroot" "$three" "$lab" "$PWD" "$mark" >"$chroot.out" || fail "a cluster in a chroot"
same "a node's file in a chroot" "$mark" "$(tail -n 1 "$chroot.out")"
rm -f "$chroot.out"; rmdir "$chroot"
[ ! -e "$mark" ] || { rm -f "$mark"; fail "a node of a cluster in a chroot writes to the computer"; }

# The end: no process with the cluster's id, no state, no mount.
setsid "$lab" --name "$one" head -- sleep 1000 &
left=$!
id=$(sed -n 's/^LAB_ID=//p' "/run/mrc-lab-$one/config")
L run n1 -- sh -c 'sleep 1000 & sleep 1000 &' &
wait $!
L down
if kill -0 "$left" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$left/status"; then fail "a process of lab head is left"; fi
same "marked processes" "" "$(grep -slzx -- "LAB_ID=$id" /proc/[0-9]*/environ 2>/dev/null || true)"
[ ! -e "/run/mrc-lab-$one" ] || fail "state is left"
same "mounts" "$mounts_before" "$(wc -l </proc/self/mounts)"
same "the other cluster goes on" n1 "$("$lab" --name "$two" ssh n1 hostname)"
"$lab" --name "$two" down
[ ! -e "/run/mrc-lab-$two" ] || fail "state is left"
echo "lab-basic: ok"
