#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-hub.sh: connections that outlive their mrc: who shares them, what they cost, who dies when, and that nothing is left.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"

requires python3
lab_up 2
dir_hub=$tmp/run
mkdir -m 700 "$dir_hub"
chown "$user:" "$dir_hub"
export XDG_RUNTIME_DIR=$dir_hub MRC_HUB_IDLE=60
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY
limit=60
at_exit 'here mrc stop --jobs >/dev/null 2>&1'
at_exit '[ $functions_rc = 0 ] || tail -n 4 "$tmp"/*err >&2'

v() { here timeout $limit mrc -v -F "$conf" "$@"; }
connections() { node sh -c 'ps -eo args | grep -c "^sshd: .*\[priv\]"'; }
# Of this test: the user may have others.
hub_pid() { for pid in $(ps -u "$user" -o pid=,args= | awk '/ --hub-process/ { print $1 }'); do
    ! tr '\0' '\n' <"/proc/$pid/environ" | grep -qx "XDG_RUNTIME_DIR=$dir_hub" || echo "$pid"; done 2>/dev/null; }
# Processes of jobs and connections.
holders() { ps -u "$user" -o pid=,comm=,args= | awk -v conf="$conf" '$2 ~ /^mrc(fs)?$/ && index($0, "-F " conf) { print $1 }'; }
keepers() { ps -u "$user" -o pid=,comm=,args= | awk -v conf="$conf" '$2 == "mrc-view" && index($0, "-F " conf) { print $1 }'; }
by_hub() { grep -q "by a connection that the hub keeps" "$1"; }
is_quiet() { [ -z "$(hub_pid)$(holders)$(keepers)" ] && [ "$(connections)" = 0 ]; }
listed() { here mrc ps | grep -q "$1"; }
# What a job runs to wait for a file here.
waits() { echo "until [ -e $home/$1 ]; do sleep 0.1; done; echo ended"; }

echo "1. one connection, a round trip"
v alice@n1 true 2>"$tmp/err" || fail "first: $(cat "$tmp/err")"
! by_hub "$tmp/err" || fail "a connection was there before"
wait_for 30 listed '^alice@n1 .*connection'
[ "$(connections)" = 1 ] || fail "connections: $(connections)"
same "output" "out" "$(v alice@n1 sh -c 'echo out' 2>"$tmp/err")"
by_hub "$tmp/err" || fail "second: $(cat "$tmp/err")"
same "status" 7 "$(status v alice@n1 sh -c 'exit 7' 2>"$tmp/err")"
by_hub "$tmp/err" || fail "third: $(cat "$tmp/err")"
same "connections" 1 "$(connections)"
# A question that is answered before any file is asked for: the target has no such tree. Two round trips would be two seconds.
"$lab" --name "$name" link head n1 --delay 500ms
best=9000000
for _ in 1 2 3; do # TCP has to find out first that the way is long now
    sleep 4        # the next waiting agent takes some round trips
    began=${EPOCHREALTIME/[.,]/}
    same "no such tree" 255 "$(status v --target "$home" alice@n1 true 2>"$tmp/err")"
    took=$((${EPOCHREALTIME/[.,]/} - began))
    by_hub "$tmp/err" || fail "far: $(cat "$tmp/err")"
    grep -q "$home/proj can't be entered on the target" "$tmp/err" || fail "far: $(cat "$tmp/err")"
    [ $took -ge 1000000 ] || fail "$took us for a round trip of 1000000 us"
    [ $took -ge $best ] || best=$took
done
echo "start on a live link: $best us, round trip 1000000 us"
[ $best -lt 1700000 ] || fail "start on a live link: $best us for a round trip of 1000000 us"
"$lab" --name "$name" link head n1 --clear

echo "2. other options, another connection; without the hub"
v -o ServerAliveInterval=77 alice@n1 true 2>"$tmp/err" || fail "other options: $(cat "$tmp/err")"
! by_hub "$tmp/err" || fail "other options, the same connection"
same "connections" 2 "$(connections)"
v --no-hub alice@n1 true 2>"$tmp/err" || fail "--no-hub: $(cat "$tmp/err")"
! by_hub "$tmp/err" || fail "--no-hub uses the hub"
wait_for 30 eval '[ "$(connections)" = 2 ]'

echo "3. terminal, many at once"
echo word | here python3 -c 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' \
    timeout 60 mrc -v -F "$conf" -t alice@n1 sh -c 'tty; read x; echo "got $x"; exit 5' >"$tmp/out" 2>&1
same "status of a job on a terminal" 5 $?
grep -q "got word" "$tmp/out" && grep -q "/dev/pts" "$tmp/out" && by_hub "$tmp/out" || fail "terminal: $(cat "$tmp/out")"
pids=
for i in 1 2 3 4 5 6 7 8; do
    (job sh -c "echo many-$i; cat" <<<"in-$i" >"$tmp/many.$i" 2>&1) &
    pids="$pids $!"
done
for pid in $pids; do wait "$pid" || fail "one of eight: $(cat "$tmp"/many.*)"; done
for i in 1 2 3 4 5 6 7 8; do same "many" "many-$i in-$i" "$(tr '\n' ' ' <"$tmp/many.$i" | sed 's/ $//')"; done
# Bulk on one channel, in both directions, while another is not read at all.
job sh -c 'head -c 50000000 /dev/zero' | (read -r -N 1 _; wait_for 60 [ -e "$tmp/bulk.done" ]; cat >/dev/null) &
stalled=$!
same "bulk" "30000000" "$(head -c 30000000 /dev/zero | job cat | wc -c)"
touch "$tmp/bulk.done"
wait $stalled

echo "4. the first mrc is killed, the hub is killed, the holder is killed"
here mrc stop >/dev/null
wait_for 30 is_quiet
v alice@n1 sh -c 'sleep 1000' 2>"$tmp/first.err" &
wait_for 30 listed '^alice@n1 .*running .*sleep 1000'
first=$(here mrc ps | awk '/running .*sleep 1000/ { print $2 }')
wait_for 30 listed '^alice@n1 .*connection'
v alice@n1 sh -c "$(waits go)" >"$tmp/second" 2>"$tmp/err" &
second=$!
wait_for 30 listed 'running .*ended'
by_hub "$tmp/err" || fail "second: $(cat "$tmp/err")"
kill -9 "$first"
wait_for 30 node sh -c '! ps -eo args | grep -q "^sleep 1000"'
sleep 0.5
touch "$home/go"
wait $second || fail "the second job with the first mrc killed: $(cat "$tmp/err")"
same "second's output" ended "$(cat "$tmp/second")"
rm "$home/go"

v alice@n1 sh -c "$(waits go)" >"$tmp/second" 2>"$tmp/err" &
second=$!
wait_for 30 listed 'running .*ended'
by_hub "$tmp/err" || fail "before the hub is killed: $(cat "$tmp/err")"
kill -9 "$(hub_pid)"
sleep 0.5
touch "$home/go"
wait $second || fail "a job when the hub is killed: $(cat "$tmp/err")"
same "output" ended "$(cat "$tmp/second")"
rm "$home/go"
wait_for 30 is_quiet

job true || fail "after the hub was killed"
wait_for 30 listed '^alice@n1 .*connection'
v --reconnect-for 0 alice@n1 sh -c 'sleep 1000' >"$tmp/second" 2>"$tmp/err" &
second=$!
wait_for 30 listed 'running .*sleep 1000'
by_hub "$tmp/err" || fail "before the holder is killed: $(cat "$tmp/err")"
mine=$(here mrc ps | awk '/running .*sleep 1000/ { print $2 }')
for pid in $(holders); do
    # The holder is a session of its own; mrc and its file server are not.
    [ "$pid" = "$mine" ] || [ "$(ps -o sid= -p "$pid" | tr -d ' ')" != "$pid" ] || kill -9 "$pid"
done
rc=0
wait $second || rc=$?
same "status when the holder is killed" 255 $rc
grep -q '^mrc: n1: .' "$tmp/err" || fail "no words: $(cat "$tmp/err")"
[ "$(grep -vc 'hub keeps\|started, process' "$tmp/err")" -le 2 ] || fail "too many words: $(cat "$tmp/err")"
job true || fail "after the holder was killed"

echo "5. ps and stop"
v alice@n1 sh -c 'sleep 1000' 2>"$tmp/err" &
second=$!
wait_for 30 listed '^alice@n1 *[0-9]* *[0-9]* *running *0:0[0-9]:[0-9]* sh -c sleep 1000'
here mrc stop other | grep -q 'connections ended: 0; jobs asked to end: 0' || fail "stop other"
here mrc stop --jobs n1 | grep -q 'jobs asked to end: 1' || fail "stop --jobs"
rc=0
wait $second || rc=$?
same "a job that was asked to end" 143 $rc
same "ps takes no words" 255 "$(status here mrc ps x 2>/dev/null)"
grep -q 'mrc -- ps' <(here mrc ps x 2>&1) || fail "words of ps x"
here mrc stop >/dev/null || fail "stop"
wait_for 30 is_quiet
here mrc stop | grep -q 'connections ended: 0' || fail "stop without a hub"

echo "6. a password is asked for once"
once="-o PubkeyAuthentication=no -o PreferredAuthentications=password"
# shellcheck disable=SC2086
here "$top_srcdir/tests/lib/on_terminal" --echo-off "alice@n1's password: " lab-secret -- \
    timeout 60 mrc -F "$conf" $once alice@n1 echo fine >"$tmp/out" 2>&1 || fail "password: $(cat "$tmp/out")"
grep -q '^fine' "$tmp/out" || fail "password: $(cat "$tmp/out")"
# shellcheck disable=SC2086
same "without a terminal" fine "$(here setsid -w timeout 60 mrc -v -F "$conf" $once alice@n1 echo fine 2>"$tmp/err" </dev/null)"
by_hub "$tmp/err" || fail "password: $(cat "$tmp/err")"
here mrc stop >/dev/null
wait_for 30 is_quiet

echo "7. a hub that does not answer, or that is not ours"
mkdir -p "$dir_hub/mrc"
here timeout 100 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(sys.argv[1])
s.listen(8)
while True:
    c = s.accept()[0]
    c.recv(65536)
    c.close()
' "$dir_hub/mrc/hub.sock" &
wait_for 30 [ -S "$dir_hub/mrc/hub.sock" ]
same "with a hub of no use" fine "$(v alice@n1 echo fine 2>"$tmp/err")"
grep -q "without the hub: no answer" "$tmp/err" || fail "a hub of no use: $(cat "$tmp/err")"
fake=$(ps -u "$user" -o pid=,args= | awk '/^ *[0-9]+ python3 -c/ && /hub.sock/ { print $1 }')
kill "$fake"
wait 2>/dev/null
rm "$dir_hub/mrc/hub.sock"
wait_for 30 is_quiet

echo "8. idle"
same "idle" fine "$(MRC_HUB_IDLE=6 job echo fine)"
[ -S "$dir_hub/mrc/hub.sock" ] || fail "no socket"
same "mode of the socket" 600 "$(stat -c %a "$dir_hub/mrc/hub.sock")"
same "mode of the directory" 700 "$(stat -c %a "$dir_hub/mrc")"
wait_for 30 is_quiet
[ ! -e "$dir_hub/mrc/hub.sock" ] || fail "a socket is left"

echo "9. through a jump host and a proxy command; the proxy dies with the connection, and the connection with the proxy"
# Processes of the proxy: those of the holder.
proxies() { ps -u "$user" -o pid=,comm=,args= | awk -v conf="$conf" '$2 ~ /^(ssh|nc)$/ && index($0, "-W ") && index($0, conf) { print $1 }'; }
jump="ssh -F $conf -W %h:%p alice@n2"
for through in "-J alice@n2" "-o ProxyCommand=$jump"; do
    v "${through%% *}" "${through#* }" alice@n1 true 2>"$tmp/err" || fail "first, $through: $(cat "$tmp/err")"
    ! by_hub "$tmp/err" || fail "a connection was there before"
    grep -q 'jumping through\|proxy command' "$tmp/err" || fail "no proxy: $(cat "$tmp/err")"
    wait_for 30 listed '^alice@n1 .*connection'
    same "by the proxy" out "$(v "${through%% *}" "${through#* }" alice@n1 echo out 2>"$tmp/err")"
    by_hub "$tmp/err" || fail "second, $through: $(cat "$tmp/err")"
    same "proxies" 1 "$(proxies | wc -l)"
    # Its words reached the first mrc only; it belongs to no terminal's reader any more.
    v --reconnect-for 0 "${through%% *}" "${through#* }" alice@n1 sh -c 'sleep 1000' 2>"$tmp/err" &
    second=$!
    wait_for 30 listed 'running .*sleep 1000'
    # shellcheck disable=SC2046
    kill -9 $(proxies)
    rc=0
    wait $second || rc=$?
    same "status when the proxy is killed" 255 $rc
    grep -q '^mrc: n1: .' "$tmp/err" || fail "no words: $(cat "$tmp/err")"
    wait_for 30 eval '! listed "^alice@n1 .*connection"'
    same "after that" out "$(v "${through%% *}" "${through#* }" alice@n1 echo out 2>"$tmp/err")"
    ! by_hub "$tmp/err" || fail "after that: $(cat "$tmp/err")"
    wait_for 30 listed '^alice@n1 .*connection'
    here mrc stop >/dev/null
    wait_for 30 eval '[ -z "$(proxies)" ]'
    wait_for 30 is_quiet
done

echo "10. mrcfs"
mnt=$tmp/mnt
mkdir "$mnt"
chown "$user:" "$mnt"
node sh -c 'echo far >/home/alice/f; chown alice: /home/alice/f'
f() { here timeout $limit mrcfs -v -F "$conf" "$@"; }
at_exit 'umount -l "$mnt" 2>/dev/null'
# Without a hub none is started.
f alice@n1: "$mnt" 2>"$tmp/err" || fail "mrcfs without a hub: $(cat "$tmp/err")"
! by_hub "$tmp/err" || fail "mrcfs: a hub was there"
same "read" far "$(here cat "$mnt/f")"
[ -z "$(hub_pid)" ] || fail "mrcfs has started a hub"
here mrcfs -u "$mnt" || fail "unmount"
wait_for 30 is_quiet # the connection of its own ends after the mount, and is not to be counted below
# By mrc's connection, which it keeps alive.
export MRC_HUB_IDLE=8
v alice@n1 true 2>"$tmp/err" || fail "mrc: $(cat "$tmp/err")"
wait_for 30 listed '^alice@n1 .*connection'
f alice@n1: "$mnt" 2>"$tmp/err" || fail "mrcfs: $(cat "$tmp/err")"
by_hub "$tmp/err" || fail "mrcfs does not use the connection: $(cat "$tmp/err")"
same "connections" 1 "$(connections)"
same "read" far "$(here cat "$mnt/f")"
listed "^alice@n1 .*running .*mrcfs" || fail "not listed: $(here mrc ps)"
sleep 10 # longer than a connection is kept that nobody uses
same "read later" far "$(here cat "$mnt/f")"
v alice@n1 true 2>"$tmp/err" || fail "mrc beside it: $(cat "$tmp/err")"
by_hub "$tmp/err" || fail "the connection was not kept for mrcfs: $(cat "$tmp/err")"
here mrcfs -u "$mnt" || fail "unmount"
wait_for 30 is_quiet
# The hub dies: the mount stays.
v alice@n1 sh -c "$(waits go)" >/dev/null 2>"$tmp/err" &
second=$!
wait_for 30 listed '^alice@n1 .*connection'
f alice@n1: "$mnt" 2>"$tmp/err" || fail "mrcfs: $(cat "$tmp/err")"
by_hub "$tmp/err" || fail "mrcfs beside a job: $(cat "$tmp/err")"
kill -9 "$(hub_pid)"
touch "$home/go"
wait $second || fail "the job beside mrcfs"
rm "$home/go"
same "read when the hub is killed" far "$(here cat "$mnt/f")"
here mrcfs -u "$mnt" || fail "unmount"
wait_for 30 is_quiet
# A running hub is offered mrcfs's own connection; mrc stop --jobs ends the mount.
export MRC_HUB_IDLE=60
v alice@n2 true 2>"$tmp/err" || fail "mrc: $(cat "$tmp/err")"
wait_for 30 listed '^alice@n2 .*connection'
f alice@n1: "$mnt" 2>"$tmp/err" || fail "mrcfs: $(cat "$tmp/err")"
! by_hub "$tmp/err" || fail "mrcfs, another host: $(cat "$tmp/err")"
same "mrc by it" out "$(v alice@n1 echo out 2>"$tmp/err")"
by_hub "$tmp/err" || fail "mrc does not use mrcfs's connection: $(cat "$tmp/err")"
# The connection is lost: so is the mount. Its holder is a child of the mount's process, in a session of its own.
mine=$(here mrc ps | awk '/running .*mrcfs/ { print $2 }')
for pid in $(ps -o pid= --ppid "$mine"); do
    [ "$(ps -o sid= -p "$pid" | tr -d ' ')" != "$pid" ] || kill -9 "$pid"
done
wait_for 30 eval '! grep -q " $mnt " /proc/self/mounts'
f alice@n1: "$mnt" 2>"$tmp/err" || fail "mrcfs: $(cat "$tmp/err")"
here mrc stop --jobs n1 | grep -q 'jobs asked to end: 1' || fail "stop --jobs with a mount"
wait_for 30 eval '! grep -q " $mnt " /proc/self/mounts'
here mrc stop >/dev/null
wait_for 30 is_quiet

echo "11. root"
export XDG_RUNTIME_DIR=$tmp/run.root
mkdir -m 700 "$XDG_RUNTIME_DIR"
r() { (cd "$tmp" && timeout 60 "$lab" --name "$name" head -- mrc -v -F "$("$lab" --name "$name" conf)" "$@"); }
same "root, first" one "$(r n1 echo one 2>"$tmp/err")"
same "root, second" two "$(r n1 echo two 2>"$tmp/err")"
by_hub "$tmp/err" || fail "root: $(cat "$tmp/err")"
r stop >/dev/null
wait_for 30 [ ! -e "$XDG_RUNTIME_DIR/mrc/hub.sock" ]
wait_for 30 eval '[ "$(connections)" = 0 ]'
echo "mrc-hub: ok"
