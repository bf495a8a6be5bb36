#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Targets that lack something, and peers that send garbage: one clear sentence each time, soon, and no crash.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
requires python3
limit=50
# target OPTION...: another n1
target()
{
    [ -z "${lab-}" ] || "$lab" --name "$name" down
    lab_up 1 "$@"
}
m() { here timeout $limit mrc -F "$conf" "$@"; }

echo "# no /dev/fuse"
target --no-fuse
bad "no /dev/fuse" 255 'n1: .*/dev/fuse' m alice@n1 true
bad "no /dev/fuse, root" 255 'n1: .*/dev/fuse' m root@n1 true

echo "# no user namespaces"
target --no-userns
bad "no place to mount" 255 'n1: the target allows no user namespaces, so the head.s .* needs an empty directory there.*No such file.*make it' m alice@n1 true
node sh -c "mkdir -p '$home' && chown alice: '$home' && chmod a+x '$tmp'"
echo f >"$home/proj/f"
same "by fusermount3" f "$(m alice@n1 cat f)"
same "by fusermount3, written" ok "$(m alice@n1 sh -c 'echo ok > g'; cat "$home/proj/g")"
same "the mount is gone" "" "$(node awk '$3 ~ /fuse/' /proc/1/mounts)"
node touch "$home/here"
bad "the place is in use" 255 "n1: the target allows no user namespaces, .* would hide for all there" m alice@n1 true
node rm "$home/here"
node sh -c 'rm -f /usr/bin/fusermount3 /bin/fusermount3 /usr/bin/fusermount'
bad "neither namespaces nor fusermount3" 255 'n1: .*(max_user_namespaces|fusermount3)' m alice@n1 true
echo f >"$home/proj/f"
same "root needs neither" f "$(m root@n1 cat f 2>&1)"

echo "# full disk"
target --small-disk 20M
node sh -c 'mount -o remount,size=64k /dev/shm; mount -o remount,size=1m /run; for d in /var /run /dev/shm; do head -c 40M /dev/zero > $d/filler; done' 2>/dev/null
bad "disk full during upload" 255 'n1.*(No space left|full)' m alice@n1 true
same "no half agent is left" 0 "$(node find /home/alice /tmp /var/tmp -name 'agent*' -type f | wc -l)"
node rm /var/filler
same "room again" n1 "$(m alice@n1 uname -n 2>&1)"

echo "# noexec"
target --noexec-home
same "home is noexec" n1 "$(m -q alice@n1 uname -n 2>&1)"
target --noexec-home --noexec-tmp
bad "noexec everywhere, with all places" 255 'no place for the agent on n1, .*room.*: .*/\.cache/mrc: programs do not run there.*/var/tmp/mrc-.*/tmp/mrc-.*/dev/shm/mrc-' m alice@n1 true

echo "# other architecture"
target
node sh -c 'printf "#!/bin/sh\necho riscv64\n" >/usr/local/bin/uname; chmod +x /usr/local/bin/uname'
bad "other architecture" 255 'n1 is a riscv64 computer.*MRC_AGENT' m alice@n1 true
node rm /usr/local/bin/uname

echo "# login scripts and shells"
node sh -c 'echo "echo hello from a login script; echo and an error >&2" >>/etc/bash.bashrc; usermod -s /bin/bash alice 2>/dev/null'
node sh -c 'printf "echo hello from home\n" > /home/alice/.bashrc; chown alice: /home/alice/.bashrc'
same "a chatty login" n1 "$(m -q alice@n1 uname -n 2>/dev/null)"
node usermod -s /usr/sbin/nologin alice
bad "no login" 255 'n1.*(not available|did not start)' m alice@n1 true
node usermod -s /bin/false alice
bad "a shell that ends" 255 'n1' m alice@n1 true
node usermod -s /bin/bash alice
echo "# garbage from the target"
# hostile COMMAND: the shell over there is this; it sees what we send and can answer anything
hostile() { here timeout $limit mrc -F "$conf" --via "sh -c '$1' --" host true; }
bad "garbage instead of a shell" 255 '.' hostile 'head -c 10000 /dev/urandom'
bad "endless garbage" 255 '.' hostile 'cat /dev/urandom 2>/dev/null'
bad "silence" 255 '.' hostile 'exit 0'
cat >"$tmp/agent.py" <<'P'
#!/usr/bin/env python3
# Does as the agent up to its first bytes, which it takes from a real one, then sends garbage of several kinds.
import os, random, subprocess, sys, threading
kind, seed = sys.argv[1], int(sys.argv[2])
random.seed(seed)
agent = subprocess.Popen(sys.argv[3:], stdin=0, stdout=subprocess.PIPE)
out, n, limit = agent.stdout, 0, {"early": 64, "middle": 400, "late": 3000}[kind]
while n < limit:
    piece = os.read(out.fileno(), min(4096, limit - n))
    if not piece:
        break
    os.write(1, piece)
    n += len(piece)
agent.kill()
os.set_blocking(1, True)
def drain():
    try:
        while os.read(0, 65536):
            pass
    except OSError:
        pass
threading.Thread(target=drain, daemon=True).start()
try:
    for i in range(200):
        os.write(1, random.randbytes(random.randrange(1, 2000)))
except OSError:
    pass
P
chmod 755 "$tmp/agent.py"
for kind in early middle late; do
    for seed in 1 2 3; do
        bad "garbage after the $kind bytes of an agent ($seed)" 255 '.' \
            here timeout $limit mrc --via "$tmp/agent.py $kind $seed" host sh -c 'ls -lR /usr/share/doc | head -2000'
    done
done

echo "# garbage to the agent"
agent=$top_builddir/mrc-agent
[ -x "$agent" ] || agent=$top_builddir/mrc/mrc-agent
for seed in 1 2 3 4 5 6; do
    here timeout 20 sh -c "python3 -c 'import random,sys; random.seed($seed); sys.stdout.buffer.write(random.randbytes(50000))' | $agent" >"$tmp/o" 2>"$tmp/bad.err"
    status_got=$?
    [ $status_got -lt 124 ] || complain "agent fed with garbage ($seed): status $status_got"
    [ $status_got = 0 ] && complain "agent fed with garbage ($seed): status 0"
done
bad_end
echo "all passed"
