#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# boot.sh: the disk image of examples/disk-image is made, two nodes boot from it in qemu and are a cluster; by way of the serial line
# and of ssh. Not in "make check": it takes minutes, and installs Debian's packages into the image. "make check-image" runs it.
#   MOSIX_IMAGE=FILE: boot this one instead of making one; MOSIX_IMAGE_OPTIONS: for build; MOSIX_VM_ACCEL=tcg: without KVM.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires root python3 socat ssh qemu-system-x86_64 qemu-img mmdebstrap syslinux mcopy sfdisk debugfs dpkg-buildpackage
here=$top_srcdir/examples/disk-image
image=${MOSIX_IMAGE:-$tmp/mosix.qcow2}
if [ -z "${MOSIX_IMAGE:-}" ]; then
    # shellcheck disable=SC2086
    timeout 900 "$here/build" ${MOSIX_IMAGE_OPTIONS:-} "$image" || fail "build"
fi
[ "$(stat -c %s "$image")" -lt $((1500 << 20)) ] || fail "the image has $(stat -c %s "$image") bytes"

# ---- what must not be in an image that is given to others

qemu-img convert -O raw "$image" "$tmp/raw" || exit 99
dd if="$tmp/raw" of="$tmp/root" bs=1M skip=65 conv=sparse status=none || exit 99
inside() { debugfs -R "$1" "$tmp/root" 2>/dev/null; }
case $(inside 'ls -p /etc/ssh') in *ssh_host_*) fail "host keys are in the image" ;; *sshd_config*) ;; *) fail "can't be read: $(inside 'ls -p /etc')" ;; esac
case $(inside 'ls -p /etc') in */mosix/*) fail "keys are in the image" ;; esac
same "machine-id in the image" "" "$(inside 'cat /etc/machine-id')"
case $(inside 'cat /etc/shadow' | sed -n 's/^root:\([^:]*\):.*/\1/p') in '*' | '!'*) ;; *) fail "root has a password" ;; esac
case $(inside 'ls -p /root/.ssh') in *authorized_keys*) fail "somebody may log in" ;; esac
rm -f "$tmp/raw" "$tmp/root"

# ---- two nodes; their network is this computer's loopback, in a network namespace of its own

export MOSCTL=$top_builddir/mosix-core/cmd/mosctl
cat >"$tmp/drive.py" <<'E2'
import os, re, socket, subprocess, sys, time
cluster, state = sys.argv[1:3]
log = open(os.path.join(os.path.dirname(state), "drive.log"), "wb")

class Line:
    """The serial line of a node: what is typed, and waiting for what must come."""
    def __init__(self, node):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(f"{state}/{node}/console")
        self.socket.settimeout(1)
        self.seen = b""
        self.node = node
    def until(self, pattern, seconds):
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.seen, re.S)
            if found:
                self.seen = self.seen[found.end():]
                return found
            if time.monotonic() > end:
                sys.exit(f"{self.node}: no {pattern!r} in {seconds} s; the end of its line: {self.seen[-1500:]!r}")
            try:
                got = self.socket.recv(65536)
            except TimeoutError:
                continue
            if not got:
                sys.exit(f"{self.node}: its line has ended; before: {self.seen[-1500:]!r}")
            log.write(got); log.flush()
            self.seen += got
    def type(self, text):
        self.socket.sendall(text.encode())
    # The mark is not in what is typed, but in what is printed.
    def run(self, command, seconds=60):
        self.type(f"{command}; echo status-''$?-end\r")
        found = self.until(rb"\n(.*?)status-(\d+)-end", seconds)
        out = found[1].decode(errors="replace").replace("\r", "")
        print(f"{self.node}# {command}\n{out}", flush=True)
        return out, int(found[2])
    def must(self, command, pattern="", seconds=60):
        out, status = self.run(command, seconds)
        if status != 0 or not re.search(pattern, out, re.S):
            sys.exit(f"{self.node}: {command}: exit status {status}, and not {pattern!r} in: {out}")
        return out

def outside(*arguments, seconds=400, stdin=subprocess.DEVNULL):
    p = subprocess.run([cluster, "--state", state, *arguments], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, timeout=seconds)
    print("$ cluster", *arguments, "\n" + p.stdout, flush=True)
    if p.returncode:
        sys.exit(f"cluster {arguments}: exit status {p.returncode}")
    return p.stdout

begun = time.monotonic()
n1, n2 = Line("n1"), Line("n2")
n1.type("\r")
n1.until(rb"root@n1:~# ", 420)
print(f"{time.monotonic() - begun:.0f} s until n1's prompt", flush=True)
n1.type("stty -echo cols 80 rows 24; PS1=; export TERM=vt220 PAGER=cat\r")
n1.until(rb"\n", 30)
n1.must("for i in $(seq 240); do mosctl status --json 2>/dev/null | grep -q '\"is_whole\":true' && break; sleep 1; done; mosctl status", "n1 .*alive.*n2 .*alive", 400)
print(f"{time.monotonic() - begun:.0f} s until n1 and n2 were a cluster", flush=True)
n1.must("uname -r; systemctl is-active mosixd.service", r"\nactive")
n1.must("systemctl is-system-running --wait || { systemctl --failed --no-legend; false; }", "running", 300)
n1.must("mosrun -rn2 uname -n", r"n1\n")
n1.must("su - alice -c 'mosrun -rn2 id -un'", r"alice\n")
# One that computes is moved there and home again, and has the right result: the example's script.
with open(sys.argv[3], encoding="ascii") as script:
    if "ends with" not in outside("ssh", "n1", "sh", "-s", "n2", "2000", stdin=script):
        sys.exit("examples/long-computation/run")
n1.must("mon --once", "n1 +alive.*n2 +alive")
n1.type("mon\r")
n1.until(rb"n1.*n2", 60)
n1.type("q")
n1.must("echo there again", "there again")
n1.must("curl -V >/dev/null && ! curl -m 3 -s -o /dev/null http://10.0.2.2:22/ && ! curl -m 3 -s -o /dev/null http://192.0.2.1/")

# From outside, by ssh with the key that was made for it; who has none is refused.
if "n2" not in outside("ssh", "n2", "hostname"):
    sys.exit("ssh n2")
outside("ssh", "n2", "mosctl", "localstatus")
# mosixd has the rights that its unit leaves it. It ends and comes again; neither the nodes nor what runs are lost.
n1.must("grep -E '^(NoNewPrivs|CapBnd)' /proc/$(systemctl show -p MainPID --value mosixd)/status", r"CapBnd:\s+000000000[0-9a-f]{7}\n.*NoNewPrivs:\s+1")
n1.must("{ (mosrun -rn2 sh -c 'n=0; while [ $n -lt 60 ]; do sleep 1; n=$((n + 1)); done; echo through'; echo \"rc $?\") >/tmp/job 2>&1 & }")
n1.must("for i in $(seq 60); do mosps | grep -q ' n2 .* settled' && break; sleep 1; done; mosps", "n2 +settled", 120)
n1.must("systemctl restart mosixd")
outside("ssh", "n2", "systemctl", "restart", "mosixd")
outside("wait", "n2")
n1.must("for i in $(seq 200); do grep -q rc /tmp/job && break; sleep 1; done; cat /tmp/job", r"through\nrc 0", 300)
n1.must("for i in $(seq 60); do mosctl status | grep -q 'n2 .*alive' && break; sleep 1; done; mosrun -rn2 uname -n", r"n1\n", 120)

# One switches itself off, the other is switched off by the button; that one comes again as the same node.
outside("off", "n2", seconds=200)
n1.must("for i in $(seq 60); do mosctl rstatus | grep -q 'n2.*\\(dead\\|left\\|gone\\)' && break; sleep 1; done; mosctl rstatus; mosrun -rn2 true 2>&1; true", "mosrun: node n2", 120)
n1.type("poweroff\r")
# qemu removes this file when it ends.
end = time.monotonic() + 200
while os.path.exists(f"{state}/n1/pid"):
    if time.monotonic() > end:
        sys.exit("n1 did not switch itself off")
    time.sleep(0.5)
print(f"{time.monotonic() - begun:.0f} s in all", flush=True)
E2
cat >"$tmp/inside.sh" <<'E2'
set -u
ip link set lo up || exit 99
"$1" --state "$3/vms" --image "$2" up 2 || exit 1
timeout 1500 python3 "$3/drive.py" "$1" "$3/vms" "$4"
rc=$?
[ $rc = 0 ] || for n in n1 n2; do echo "---- $n"; tail -c 3000 "$3/vms/$n/console.log"; done
"$1" --state "$3/vms" remove
exit $rc
E2
# However this test ends, they end with it.
setpriv --pdeathsig KILL unshare --net --pid --fork --kill-child --mount-proc bash "$tmp/inside.sh" "$here/cluster" "$image" "$tmp" \
    "$top_srcdir/examples/long-computation/run" &
vms=$!
at_exit 'kill -KILL $vms 2>/dev/null; wait'
wait $vms || fail "the nodes did not do it all"
