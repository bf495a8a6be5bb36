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
same "nice" 5 "$(here nice -n 5 timeout 60 mrc -q -F "$conf" alice@n1 nice)"

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
