#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-back.sh: everything that comes back when its connection was lost, each in one way: jobs by --via, mounts, jobs of jobs, hosts that take
# passwords only; after a server's restart, a new address of either side, a sleep; and with the processes that bring it back killed.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
requires python3 ss
lab_up 2
mkdir -m 700 "$tmp/run"
chown "$user:" "$tmp/run"
export XDG_RUNTIME_DIR=$tmp/run MRC_HUB_IDLE=60 MRC_SILENCE=4
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY
limit=60
at_exit 'here mrc stop --jobs >/dev/null 2>&1'
at_exit '[ $functions_rc = 0 ] || tail -n +1 "$tmp"/*err >&2'

cut_there() { node sh -c 'kill -9 $(pgrep -f "^sshd: alice@notty")'; }
# ours PGREP-OPTION...: of this test's user here, and of this test
ours() { pgrep -u "$user" "$@" | while read -r p; do [ "/proc/$p/ns/mnt" -ef /proc/self/ns/mnt ] && echo "$p"; done; }
again() { [ -n "$(ours -x mrc-again)" ]; }
kill_all() { ours "$@" | xargs -r kill -9; }
back() { grep -c 'the connection is back' "$tmp/err"; }
# begin OPTION...: a job that counts, to which lines are fed by fd 8
begin()
{
    rm -f "$tmp/out" "$tmp/err" "$tmp/in"
    mkfifo "$tmp/in"
    here timeout $limit mrc -v --reconnect-for 40s "$@" sh -c 'echo begun; while read -r line; do echo "got $line"; done; echo end; exit 7' \
        <"$tmp/in" >"$tmp/out" 2>"$tmp/err" &
    job=$!
    exec 8>"$tmp/in"
    wait_for 20 grep -sq begun "$tmp/out"
    fed=0
    backs=0
}
feed() { fed=$((fed + 1)); echo $fed >&8; }
# returns WHAT: it is back, and what was fed meanwhile arrives
returns()
{
    feed
    wait_for 30 eval "[ \$(back) -gt $backs ]"
    backs=$(back)
    feed
    wait_for 10 grep -qx "got $fed" "$tmp/out"
    echo "ok: $1: $(grep 'connection is back' "$tmp/err" | tail -n 1)"
}
# finish WHAT
finish()
{
    exec 8>&-
    local rc=0
    wait $job || rc=$?
    same "$1: status" 7 $rc
    same "$1: all it said" "begun $(seq -f 'got %g' $fed | tr '\n' ' ')end" "$(tr '\n' ' ' <"$tmp/out" | sed 's/ $//')"
}

echo "# a mount"
mnt=$home/mnt
here mkdir "$mnt"
"$lab" --name "$name" run -u alice n1 mkdir d
here mrcfs -v -f -F "$conf" -o reconnect=40s alice@n1:d "$mnt" 2>"$tmp/mount.err" &
mount=$!
wait_for 20 grep -q " $mnt fuse" /proc/self/mounts
cat >"$home/proj/mounted.py" <<'P'
import fcntl, os, sys, time
os.chdir(sys.argv[1])
held = open("locked", "w")
fcntl.lockf(held, fcntl.LOCK_EX)
sums = 0
for i in range(200):
    with open(f"f{i}", "w") as f:
        f.write("x" * (i * 31))
    os.rename(f"f{i}", f"g{i}")
    sums += len(open(f"g{i}").read())
    held.write(f"{i}\n")
    held.flush()
    time.sleep(0.02)
print(sums, len(os.listdir(".")))
P
here python3 mounted.py "$mnt" >"$tmp/out" 2>"$tmp/py.err" &
job=$!
for i in 1 2 3; do
    sleep 0.7
    cut_there
    wait_for 30 eval "[ \$(grep -c 'connection is back' '$tmp/mount.err') -ge $i ]"
done
locked=$(node python3 -c 'import fcntl
try: fcntl.lockf(open("/home/alice/d/locked", "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB); print("free")
except OSError: print("held")')
same "a lock over three connections" held "$locked"
wait $job || fail "the program on the mount: $(cat "$tmp/py.err")"
same "what it saw" "$((31 * 199 * 100)) 201" "$(cat "$tmp/out")"
here mrcfs -u "$mnt" || fail "unmount"
wait $mount || fail "mrcfs: status $?"
same "what is there" "$((31 * 199 * 100)) 200 $(seq 0 199 | cksum)" "$(node sh -c 'cd /home/alice/d && cat g* | wc -c && ls g* | wc -l && cksum <locked' | tr '\n' ' ' | sed 's/ $//')"

echo "# longer away than what is known of files is good for: times that were seen stay"
cat >"$home/proj/times.sh" <<'J'
mkdir t
for i in 1 2 3 4 5 6 7 8 9; do echo $i >t/f$i; done
ln t/f1 t/g1
stat -c '%n %z %i' t t/f3 t/f1 >before
stat -c '%n %z %i' t t/f3 t/f1
echo ready
until [ -e go ]; do sleep 0.1; done
stat -c '%n %z %i' t t/f3 t/f1
J
"$lab" --name "$name" link head n1 --delay 40ms
rm -f "$tmp/out" "$tmp/err"
here timeout $limit mrc --no-hub -v -F "$conf" alice@n1 sh times.sh >"$tmp/out" 2>"$tmp/err" &
job=$!
wait_for 20 grep -sq ready "$tmp/out"
"$lab" --name "$name" link head n1 --cut 12s
here touch go
wait $job || fail "times: status $?"
grep -q 'connection is back' "$tmp/err" || fail "times: the connection was not lost"
same "times" "$(sed -n 1,3p "$tmp/out")" "$(sed -n 5,7p "$tmp/out")"
"$lab" --name "$name" link head n1 --clear

echo "# --via: a command's stream"
begin --via "ssh -F $conf alice@n1" n1
kill_all -f "^ssh -F $conf alice@n1"
returns "--via, killed here"
cut_there
returns "--via, killed there"
finish "--via"

echo "# a server that was restarted; who holds the connection, or makes it, killed"
begin --no-hub -F "$conf" alice@n1
node sh -c 'kill -9 $(pgrep -x sshd)'
wait_for 20 grep -q 'refused the connection' "$tmp/err"
node sh -c '/usr/sbin/sshd -E /var/log/sshd.log'
returns "a restarted server"
kill_all -x mrc-again
returns "who holds the connection, killed"
# Nothing comes through: the attempt hangs when it is killed.
"$lab" --name "$name" link head n1 --cut inf
kill_all -x mrc-again
wait_for 10 again
kill_all -x mrc-again
wait_for 10 again
"$lab" --name "$name" link head n1 --clear
returns "who makes it, killed"

echo "# asleep: for longer than the agent takes silence for"
# All that is ours here.
ours . | xargs kill -STOP
feed
wait_for 20 eval "node sh -c 'pgrep -x mrc-agent-waits' >/dev/null"
ours . | xargs kill -CONT
returns "a sleep"

echo "# other addresses"
on_head() { "$lab" --name "$name" head -- "$@"; }
on_head ip address add 10.77.0.201/24 dev eth0
on_head ip route replace 10.77.0.1/32 dev eth0 src 10.77.0.201
kill_all -x mrc-again
returns "by another address of this computer"
on_head ss -Htn dst 10.77.0.1 | grep -q 10.77.0.201 || fail "it is not used"
on_head ip address del 10.77.0.201/24 dev eth0
on_head ip route replace 10.77.0.1/32 dev eth0 src 10.77.0.254
returns "another address of this computer"
node ip address del 10.77.0.1/24 dev eth0
node ip address add 10.77.0.101/24 dev eth0
sed -i 's/HostName 10\.77\.0\.1$/HostName 10.77.0.101\n    HostKeyAlias n1/' "$conf"
returns "another address of the target"
finish "server, carriers, sleep, addresses"

echo "# passwords only: asked for again on the terminal, else said"
cat >"$tmp/ask.py" <<'P'
import os, pty, re, select, subprocess, sys, termios, time
cut, argv = sys.argv[1], sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(argv[0], argv)
seen = b""
def until(text, typed=b""):
    global seen
    end = time.time() + 20
    while not re.search(text, seen):
        os.write(fd, typed)
        if time.time() > end:
            sys.exit("no %r in %r" % (text, seen[-2000:]))
        if not select.select([fd], [], [], 1)[0]:
            continue
        try:
            seen += os.read(fd, 4096)
        except OSError:
            sys.exit("ended, no %r in %r" % (text, seen[-2000:]))
    seen = seen[re.search(text, seen).end():]
def echoes():
    return bool(termios.tcgetattr(fd)[3] & termios.ECHO)
before = echoes()
until(rb"password: ")
os.write(fd, b"lab-secret\n")
until(rb"begun")
subprocess.run(cut, shell=True)
for password in b"wrong\n", b"lab-secret\n":
    until(rb"password: ")
    os.write(fd, password)
# ssh forgets what was typed before it had read the password.
until(rb"got after", b"after\n")
subprocess.run(cut, shell=True)
until(rb"password: ")
os.write(fd, b"\003")
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(status, before, echoes())
P
cut="$lab --name $name run n1 -- sh -c 'kill -9 \$(pgrep -f \"^sshd: alice@\")'"
node sh -c '/usr/sbin/sshd -p 2222 -o PubkeyAuthentication=no -o KbdInteractiveAuthentication=no -o PidFile=none -E /var/log/sshd2.log'
for transport in ssh2 openssh; do
    same "password, $transport: ended by Ctrl-C, echo before and after" "-2 True True" \
        "$(timeout $limit python3 "$tmp/ask.py" "$cut" "$lab" --name "$name" head -u "$user" -- env HOME="$home" sh -c "cd $dir && exec mrc --no-hub --transport $transport \
            -F $conf -o NumberOfPasswordPrompts=1 -p 2222 -t alice@n1 sh -c 'echo begun; while read -r l; do echo got \$l; done'" 2>&1 | tail -n 1)"
done
rm -f "$tmp/err"
here setsid -w timeout $limit mrc --no-hub -v --reconnect-for 3s -F "$conf" alice@n1 sleep 100 2>"$tmp/err" &
job=$!
wait_for 20 grep -sq 'started, process' "$tmp/err"
cp "$conf" "$tmp/conf"
sed -i 's/^Host n1$/Host n1\n    Port 2222/' "$conf"
cut_there
rc=0
wait $job || rc=$?
same "without a terminal: status" 255 $rc
grep -q "the job was lost: .*within 3 s: permission denied for alice" "$tmp/err" || fail "without a terminal"
echo "mrc-back: ok"
