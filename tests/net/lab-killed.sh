#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Whatever of a cluster is killed, nothing is left: the supervisor, a node, the starter.
set -eu
lab=${top_srcdir:-.}/examples/lab/lab
one=k-$$

[ "$(id -u)" = 0 ] || { echo "skip: lab needs root"; exit 77; }
fail() { echo "FAIL: $*" >&2; exit 1; }
L() { "$lab" --name "$one" "$@"; }
trap 'L down' EXIT

# A process that is alive and no zombie.
lives() { [ -e "/proc/$1/stat" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for()
{
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -le $end ] || fail "waited too long for: $*"
        sleep 0.05
    done
}
gone() { ! lives "$1"; }
no_state() { [ ! -e "/run/mrc-lab-$one" ]; }

pids() { cat "/run/mrc-lab-$one"/*.pid "/run/mrc-lab-$one"/n*/pid | cut -d' ' -f1; }

# The supervisor is killed: the kernel takes the rest along.
L up 2 --for $$
everything=$(pids)
read -r super _ <"/run/mrc-lab-$one/super.pid"
L run n1 -- sh -c 'setsid sleep 1000 & echo $$ >/dev/null'
kill -9 "$super"
for pid in $everything; do wait_for 10 gone "$pid"; done
L list | grep -qx "$one (dead)" || fail "list does not say that the cluster is dead"
if L run n1 -- true 2>/dev/null; then fail "a dead cluster runs commands"; fi

# The next one of that name replaces what is left.
L up 2 --for $$
[ "$(L ssh n1 hostname)" = n1 ] || fail "the cluster after a killed one"

# The switch is killed: status and link say so.
read -r switch _ <"/run/mrc-lab-$one/switch.pid"
kill -9 "$switch"
wait_for 10 gone "$switch"
L status | grep -q '^switch dead' || fail "status does not say that the switch is dead"
if L link n1 n2 --delay 1ms 2>/dev/null; then fail "a link without a switch"; fi
L down
no_state || fail "state is left"
L up 2 --for $$

# A node is killed: the rest goes on and says so.
read -r node _ <"/run/mrc-lab-$one/n2/pid"
kill -9 "$node"
wait_for 10 gone "$node"
L status | grep -q '^n2 .*dead' || fail "status does not say that n2 is dead"
[ "$(L ssh n1 hostname)" = n1 ] || fail "n1 after the end of n2"
everything=$(pids)
L down
for pid in $everything; do ! lives "$pid" || fail "process $pid is left"; done
no_state || fail "state is left"

# The starter of a cluster in the foreground is killed.
"$lab" --name "$one" up 1 --foreground &
starter=$!
wait_for 20 test -e "/run/mrc-lab-$one/is_up"
everything=$(pids)
kill -9 $starter
wait_for 20 no_state
for pid in $everything; do wait_for 10 gone "$pid"; done
echo "lab-killed: ok"
