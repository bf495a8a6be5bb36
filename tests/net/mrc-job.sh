#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a job finds on a target that shares nothing with this computer, and what is left of it: files, environment, streams, signals, status.
# Run as an ordinary user on both sides.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires root fuse ssh
chmod 666 /dev/fuse

lab=$top_srcdir/examples/lab/lab
name=job-$$
at_exit '"$lab" --name $name down'
"$lab" --name $name up 1 --for $$ >/dev/null || fail "lab up"
user=$(test_user)
home=$tmp/home
mkdir -p "$home/proj/sub" && echo hello >"$home/proj/hello.txt"
conf=$("$lab" --name $name conf -u "$user") || fail "lab conf"
chown -R "$user:" "$home"

# The head's side of everything: an ordinary user with a home of its own, in the lab's network.
here() { (cd "$home/proj" && "$lab" --name $name head -u "$user" -- env HOME="$home" "$@"); }
m() { here timeout 60 mrc -q -F "$conf" "$@"; }
job() { m alice@n1 "$@"; }
node() { "$lab" --name $name run n1 -- "$@"; }

echo "# what it sees"
same "a file" hello "$(job cat hello.txt)"
same "a file by its path" hello "$(job cat "$home/proj/hello.txt")"
same "working directory" "$home/proj" "$(job pwd)"
same "home" "$home" "$(job sh -c 'echo $HOME')"
same "host" n1 "$(job uname -n)"
same "target's home is not touched" "" "$(node sh -c 'ls -A /home/alice | grep -v "^.cache$"')"
job sh -c 'echo new > out.txt; mkdir d; mv out.txt d/' || fail "write"
same "first of all a file in the home directory" x "$(cd "$home" && m --directory "$home" alice@n1 sh -c 'echo x > first'; cat "$home/first")"
same "written file is here" new "$(cat "$home/proj/d/out.txt")"
same "owner here" "$user" "$(stat -c %U "$home/proj/d/out.txt")"
same "owner there" alice "$(job stat -c %U d/out.txt)"
same "umask" 600 "$(cd "$home/proj" && umask 077 && job touch private && stat -c %a private)"
same "append" "hello+" "$(job sh -c 'printf %s + >> hello.txt'; tr -d '\n' <"$home/proj/hello.txt")"
same "hidden" "2" "$(mkdir -p "$home/.ssh"; echo secret >"$home/.ssh/id"; chown -R "$user:" "$home/.ssh"; job sh -c 'cat ~/.ssh/id; echo $?' 2>/dev/null | sed s/1/2/)"
same "hidden is not listed" "" "$(job ls -A "$home" | grep ssh)"
same "shown" secret "$(m --show "$home/.ssh" alice@n1 cat "$home/.ssh/id")"
job mkdir "$home/.gnupg" 2>/dev/null && fail "a hidden name was made"

echo "# status"
same "true" 0 "$(status job true)"
same "exit 7" 7 "$(status job sh -c 'exit 7')"
same "not found" 127 "$(status job no-such-command 2>/dev/null)"
same "not executable" 126 "$(status job ./hello.txt 2>/dev/null)"
job no-such-command 2>&1 | grep -q 'no-such-command: command not found' || fail "words for a missing command"
same "killed by SIGTERM" "-15" "$(python3 - "$lab" $name "$user" "$home" "$conf" <<'PY'
import subprocess, sys, os
lab, name, user, home, conf = sys.argv[1:]
p = subprocess.run([lab, '--name', name, 'head', '-u', user, '--', 'env', 'HOME=' + home, 'mrc', '-q', '-F', conf, 'alice@n1', 'sh', '-c', 'kill -TERM $$'], cwd=home)
print(p.returncode)
PY
)"

echo "# streams"
same "stdin" abc "$(printf abc | job cat)"
same "stderr apart" "out/err" "$(job sh -c 'echo out; echo err >&2' 2>"$tmp/err" | tr -d '\n')/$(cat "$tmp/err")"
same "both ways, 64 MiB" "$(yes 0123456789abcde | head -c 67108864 | sha256sum)" \
    "$(yes 0123456789abcde | head -c 67108864 | job cat | sha256sum)"
start=$(date +%s)
same "closed early" y "$(job yes | head -1)"
[ $(($(date +%s) - start)) -lt 10 ] || fail "yes | head -1 took too long"
printf '1\n2\n3\n' >"$tmp/lines"
same "a loop keeps its input" "1 2 3 " "$(while read -r line; do job true; printf '%s ' "$line"; done <"$tmp/lines")"
same "a loop through a pipe keeps its input" "1 2 3 " "$(while read -r line; do job true; printf '%s ' "$line"; done < <(cat "$tmp/lines"))"
same "a read takes only its line" "1/2 3 " "$({ job sh -c 'read x; printf %s $x'; printf /; tr '\n' ' '; } < <(sed -n 1p "$tmp/lines"; sleep 1; sed -n '2,$p' "$tmp/lines"))"
same "a pipe is a pipe" "fifo 0" "$(echo x | job sh -c 'stat -Lc %F /dev/stdin | cut -c1-4; gzip -9 2>&1 >/dev/null; echo $?' | paste -sd' ')"
same "a file is a file" "regular file 6" "$(job stat -Lc '%F %s' /dev/stdin <"$tmp/lines")"
same "input for who polls" "$(seq 20000 | sha256sum)" "$(seq 20000 | job python3 -c '
import os, select, sys
poll = select.poll()
poll.register(0, select.POLLIN)
while True:
    poll.poll()
    got = os.read(0, 65536)
    if not got:
        break
    sys.stdout.buffer.write(got)
' | sha256sum)"
same "no input" 0 "$(echo x | m -n alice@n1 wc -c)"

# What nobody else can read comes through a pipe, which gzip takes for one: no warning, status 0.
cp "$tmp/lines" "$home/proj/lines"
# shellcheck disable=SC2016     # for the inner shell
same "a pipeline" "1 2 3 0" "$(here timeout 60 bash -c 'set -o pipefail; printf "1\n2\n3\n" | mrc -q -F "$1" alice@n1 gzip -c 2>&1 | gzip -dc | tr "\n" " "; echo $?' sh "$conf")"
# shellcheck disable=SC2016
same "a file as input" "1 2 3 0" "$(here timeout 60 bash -c 'mrc -q -F "$1" alice@n1 gzip -c <lines >lines.gz; rc=$?; gzip -dc lines.gz | tr "\n" " "; echo $rc' sh "$conf")"
# shellcheck disable=SC2016
same "input that nobody wants" 0 "$(here timeout 20 bash -c 'yes | mrc -q -F "$1" alice@n1 true; echo $?' sh "$conf")"
# shellcheck disable=SC2016
same "input that never comes" 0 "$(here timeout 20 bash -c 'mrc -q -F "$1" alice@n1 true < <(exec sleep 19); echo $?' sh "$conf")"

echo "# environment"
same "carried" "v w" "$(V='v w' job sh -c 'echo "$V"')"
same "not carried" "" "$(SSH_CLIENT=x DISPLAY=:1 job sh -c 'echo $SSH_CLIENT$DISPLAY')"
same "given" x "$(m -e DISPLAY=x alice@n1 sh -c 'echo $DISPLAY')"
same "left out" "" "$(V=1 m --unset-env 'V*' alice@n1 sh -c 'echo $V')"
same "ignored signal" ok "$(trap '' INT; here mrc -q -F "$conf" alice@n1 sh -c 'kill -INT $$; echo ok')"
same "limit" 77 "$(ulimit -Sn 77; job sh -c 'ulimit -n')"
same "nice" $(($(nice) + 5)) "$(here nice -n 5 timeout 60 mrc -q -F "$conf" alice@n1 nice)"

echo "# trees"
mkdir "$tmp/other" && echo o >"$tmp/other/f" && chown -R "$user:" "$tmp/other"
same "--head" o "$(m --head "$tmp/other" alice@n1 cat "$tmp/other/f")"
m --ro "$tmp/other" alice@n1 sh -c "echo x > $tmp/other/f" 2>/dev/null && fail "--ro was written"
same "--ro" o "$(m --ro "$tmp/other" alice@n1 cat "$tmp/other/f")"
same "--scratch" "gone" "$(m --scratch "$home/proj/sub" alice@n1 sh -c 'echo s > sub/s; cat sub/s' >"$tmp/o"; [ -e "$home/proj/sub/s" ] || echo gone)"
same "--scratch inside" s "$(cat "$tmp/o")"
node sh -c "mkdir -p '$home/proj/both' && echo there >'$home/proj/both/t' && chmod -R a+rX '$home' && chown -R alice: '$home/proj/both'"
here mkdir both
same "--overlay" "there here" "$(m --overlay "$home/proj/both" alice@n1 sh -c 'cd both; echo here >h; echo $(cat t h); echo more >>t')"
same "--overlay writes here" "there more" "$(paste -sd' ' "$home/proj/both/t")"
same "--overlay leaves the target" "there" "$(node cat "$home/proj/both/t")"
node rm -r "$home"
mkdir -p "$home/proj/own"; chown "$user:" "$home/proj/own"
node sh -c "mkdir -p '$home/proj/own' && echo there > '$home/proj/own/f' && chmod -R a+rX '$tmp'"
same "--target" there "$(m --target "$home/proj/own" alice@n1 cat own/f)"
# shellcheck disable=SC2016
same "--target for all that would be ours: no file server" "there 0" "$(m --target "$home" alice@n1 sh -c 'echo $(cat own/f) $(grep -c fuse /proc/mounts)')"
m --target "$home" --head "$home" alice@n1 true 2>/dev/null && fail "one tree asked for from both sides"
node rm -rf "$tmp"
same "--view root" "$(here cat /etc/passwd | sha256sum)" "$(m --view root alice@n1 cat /etc/passwd | sha256sum)"
same "--directory" / "$(m --directory / alice@n1 pwd)"
same "missing directory" 255 "$(status m --directory /no/such/dir alice@n1 true 2>/dev/null)"
same "missing tree" 255 "$(status m --head /no/such/tree alice@n1 true 2>/dev/null)"

echo "# onto a cluster: a stand-in for mosrun there, which asks a daemon of that computer, and then runs the program beside itself"
node tee /usr/local/bin/mosrun >/dev/null <<'S'
#!/usr/bin/python3
import os, signal, socket, subprocess, sys
s = socket.socket(socket.AF_UNIX)
s.connect("/run/mosixd-stand-in")
known = s.recv(100).decode()
program = sys.argv[1:]
while program and program[0].startswith("-"):
    program = program[1:]
if "-v" in sys.argv:
    print("home %s; daemon knows %s; options %s" % (os.uname().nodename, known, sys.argv[1:len(sys.argv) - len(program)]), flush=True)
child = subprocess.Popen(program)
for number in signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1:
    signal.signal(number, lambda got, frame: (print("mosrun hands on", got, flush=True), child.send_signal(got)))
signal.signal(signal.SIGINT, lambda got, frame: None) # the terminal gives it to the program as well
status = child.wait()
if status < 0:
    if status != -signal.SIGKILL:
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
S
node sh -c 'chmod 755 /usr/local/bin/mosrun; exec python3 -c "
import os, socket, struct
s = socket.socket(socket.AF_UNIX)
s.bind(\"/run/mosixd-stand-in\")
os.chmod(\"/run/mosixd-stand-in\", 0o666)
s.listen()
while True:
    c, _ = s.accept()
    pid, uid, gid = struct.unpack(\"iii\", c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    c.sendall((\"uid %d, %s\" % (uid, os.path.basename(os.readlink(\"/proc/%d/exe\" % pid))[:7])).encode())
    c.close()
"' >"$tmp/daemon" 2>&1 & daemon=$!
at_exit 'kill $daemon 2>/dev/null'
wait_for 10 node test -S /run/mosixd-stand-in
same "its options are its own, the daemon of the target knows who asks" "home n1; daemon knows uid 1001, python3; options ['-b', '-v', '--hosts', '-J3', '--'] new" \
    "$(m alice@n1 -- mosrun -b -v --hosts -J3 -- cat d/out.txt | paste -sd' ')"
same "without -- as well" "new" "$(job mosrun -b cat d/out.txt)"
same "its environment" "v w, $home, $home/proj, 77" "$(V='v w' m alice@n1 -- mosrun -e sh -c 'ulimit -Sn 77; echo "$V, $HOME, $PWD, $(ulimit -n)"')"
# shellcheck disable=SC2016
same "PATH: ours first, then the target's" "$home/bin: ours /usr/local/bin/mosrun" "$(mkdir -p "$home/bin"; printf '#!/bin/sh\necho ours\n' >"$home/bin/ours"; chmod 755 "$home/bin/ours"
    here env PATH="$home/bin:$PATH" timeout 60 mrc -q -F "$conf" alice@n1 -- mosrun sh -c 'echo "${PATH%%:*}:" $(ours) $(command -v mosrun)')"
same "its streams" "3000000 words" "$(head -c 3000000 /dev/zero | m alice@n1 -- mosrun -b sh -c 'cat; echo words >&2' 2>"$tmp/err" | wc -c) $(cat "$tmp/err")"
same "its status" 7 "$(status m alice@n1 -- mosrun sh -c 'exit 7')"
same "its end by a signal" 137 "$(status m alice@n1 -- mosrun sh -c 'kill -KILL $$' 2>/dev/null)"
same "no mosrun" "127 mrc: n1: nomosrun: command not found" "$(m alice@n1 -- nomosrun true 2>"$tmp/err"; echo $? "$(sed 's/^mrc: alice@/mrc: /' "$tmp/err")")"
# shellcheck disable=SC2016
here sh -c 'echo $$ >front; exec mrc -q -F "$0" alice@n1 -- mosrun sh -c "trap \"echo job has TERM; exit 5\" TERM; echo up; while :; do sleep 0.1; done"' "$conf" >"$tmp/o" 2>&1 & pid=$!
wait_for 20 grep -q up "$tmp/o"
kill -TERM "$(cat "$home/proj/front")"
wait $pid
rc=$?
same "a signal, by mosrun to the program: $(cat "$tmp/o")" "5 up mosrun hands on 15 job has TERM" "$rc $(paste -sd' ' "$tmp/o")"
# shellcheck disable=SC2016
(for _ in $(seq 200); do grep -q ready "$tmp/o" && break; sleep 0.1; done; printf '\003') |
    here timeout 40 script -qec "stty rows 31 cols 77; exec mrc -q -F $conf alice@n1 -- mosrun sh -c 'trap \"exit 6\" INT; test -t 0 && stty size; echo ready; while :; do sleep 0.1; done'" /dev/null >"$tmp/o" 2>&1
rc=$?
same "a terminal, and Ctrl-C" "6 31 77 ready" "$rc $(tr -d '\r' <"$tmp/o" | sed 's/\^C//;/^$/d' | paste -sd' ')"
kill $daemon

echo "# the ssh agent"
# shellcheck disable=SC2016
same "by -A only" "1 0 0" "$(here timeout 60 sh -c 'eval "$(ssh-agent)" >/dev/null
    ssh-add -q "$(awk "/IdentityFile/ { print \$2; exit }" "$1")"
    echo $(mrc -A -F "$1" alice@n1 ssh-add -l | grep -c SHA256) $(mrc -F "$1" alice@n1 ssh-add -l 2>/dev/null | grep -c SHA256) \
        $(mrc --transport openssh -o ForwardAgent=yes -F "$1" alice@n1 ls -d /tmp/ssh-* 2>/dev/null | wc -l)
    ssh-agent -k >/dev/null' sh "$conf")"

echo "# end"
same "processes of the job only" "ok" "$(job sh -c '[ $(ls -d /proc/[0-9]* | wc -l) -lt 8 ] && echo ok')"
job sh -c 'sleep 1234 & echo started' >/dev/null
node pgrep -f 'sleep 1234' >/dev/null && fail "what the job left running is still there"
kill_test()
{
    (cd "$home/proj" && exec "$lab" --name $name head -u "$user" -- env HOME="$home" mrc -q -F "$conf" alice@n1 sleep 4321) &
    pid=$!
    wait_for 20 node pgrep -f 'sleep 4321' >/dev/null
    for p in $(pgrep -f -u "$user" "mrc -q -F $conf"); do
        kill "-$1" "$p"
        break
    done
    wait_for 15 sh -c "! '$lab' --name $name run n1 -- pgrep -f 'sleep 4321' >/dev/null"
    wait $pid 2>/dev/null
    wait_for 10 sh -c "! '$lab' --name $name run n1 -- pgrep agent- >/dev/null"
}
for s in TERM HUP INT KILL; do
    kill_test $s
done
same "no mounts left" "" "$(node awk '$3 ~ /fuse/' /proc/1/mounts)"
same "nothing left in /tmp" "" "$(node ls -A /tmp)"
echo "all passed"
