#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# checkpoint.sh: processes are captured into files and go on from them, or go on beside them, as if nothing had been: output and exit
# status are those of a native run. Images that are not whole, files that have changed and what can't be captured are refused with
# words, and a capture that fails or is killed leaves its process as it was.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires bc gzip sha256sum awk cc
driver=$top_builddir/tests/migrate/driver counter=$top_builddir/tests/migrate/counter
static=$top_builddir/tests/migrate/counter_static threads=$top_builddir/tests/migrate/threads
[ "$(id -u)" = 0 ] || [ "$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)" = 0 ] ||
    skip "an ordinary user may not trace (kernel.yama.ptrace_scope)"
numbers=same # who is not root can't give threads their numbers again
[ "$(id -u)" = 0 ] || numbers=any
# What the test's own surroundings left open is nothing of the programs under test.
close_inherited
exec </dev/null
cd "$tmp" || exit 99

# start COMMAND...: in the background, output to out; $pid
start()
{
    "$@" >out 2>err &
    pid=$!
    at_exit "kill -9 $pid 2>/dev/null"
}
lines() { [ "$(wc -l <out)" -ge "$1" ]; }
# used TICKS: has the process had so much CPU time (hundredths of a second)?
used()
{
    is_gone "$pid" && fail "ended before it could be captured: $*"
    [ "$(cut -d' ' -f14 "/proc/$pid/stat")" -ge "$1" ]
}
capture() { timeout 20 "$driver" capture "$@" 2>said || fail "capture: $(cat said)"; }
# restore IMAGE: status in $rc; the driver's words in said
restore()
{
    rc=0
    timeout -k 1 30 "$driver" restore "$1" 2>said || rc=$?
    [ $rc != 99 ] || fail "restore: $(cat said)"
}

# goes_on "lines N"|"used TICKS" COMMAND...: ended by the capture, it is made again, and ends as it would have
goes_on()
{
    local when=$1 native=0
    shift
    "$@" >native 2>native.err || native=$?
    start "$@"
    # shellcheck disable=SC2086
    wait_for 10 $when
    capture "$pid" image end
    wait "$pid" 2>/dev/null
    same "status of what was captured to its end" 137 $?
    restore image
    same "status of $1" $native $rc
    cmp native out || fail "output of $*"
    cmp native.err err || fail "errors of $*"
    grep -q "as before" said || [ "$(id -u)" != 0 ] || fail "it has another number: $(cat said)"
}

echo "# a program that looks at itself"
goes_on "lines 5" "$counter" 40 20
tail -n 1 native | grep -q '^counter: right' || fail "native: $(tail -n 1 native)"
goes_on "lines 5" "$static" 40 20

echo "# programs"
echo 'scale=900; for (i = 1; i < 5; i++) a(1) / i' >in.bc
goes_on "used 3" bc -lq in.bc
head -c 12000000 /dev/urandom >in
goes_on "used 4" gzip -c in
goes_on "used 3" awk 'BEGIN { for (i = 0; i < 5000000; i++) s += i % 7 * sqrt(i); print s }'
if command -v python3 >/dev/null; then
    python=$(python3 -c 'import sys; print(sys.executable)')
    goes_on "lines 3" "$python" -c '
import random, time
random.seed(4); d = {}
for i in range(20):
    d[i] = sum(random.random() for _ in range(120000)); print(i, d[i], flush=True); time.sleep(0.01)
print(sum(d.values()))'
fi

echo "# threads: locks and waits of every kind, storage, names, masks, signal stacks, registers"
turns() { [ "$(wc -l <out)" -ge "$1" ]; }
for at in 2 11; do
    goes_on "turns $at" "$threads" 50 $numbers 12
    tail -n 1 native | grep -q '^threads: right' || fail "native: $(tail -n 1 native)"
done
goes_on "turns 3" "$threads" 40 $numbers 500
seq 1 900000 | awk '{ print $1 * 7919 % 900001 }' >in.txt
goes_on "used 4" sort --parallel=2 in.txt
head -c 2500000 in >small
! command -v xz >/dev/null || goes_on "used 4" xz -T2 -4 -c small
! command -v zstd >/dev/null || goes_on "used 4" zstd -T2 -9 -c in.txt
if command -v python3 >/dev/null; then
    goes_on "used 4" "$python" -c '
import queue, threading
q = queue.Queue(); done = {}; lock = threading.Lock()
def work():
    while (i := q.get()) is not None:
        s = sum(k * k % 7 for k in range(40000))
        with lock: done[i] = s + i
        q.task_done()
threads = [threading.Thread(target=work) for n in range(4)]
for t in threads: t.start()
for i in range(60): q.put(i)
q.join()
for t in threads: q.put(None)
for t in threads: t.join()
print(sorted(done.items()))'
    echo "# pipes, eventfds and epolls that only the process has"
    goes_on "lines 2" "$python" -c '
import fcntl, os, select, time
r, w = os.pipe(); empty_r, empty_w = os.pipe(); w2 = os.dup2(w, 40)
fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 262144); os.set_blocking(r, False); os.set_inheritable(empty_r, True)
os.write(w, b"x" * 200000)
count = os.eventfd(5); ticket = os.eventfd(3, os.EFD_SEMAPHORE)
ep = select.epoll(); ep.register(empty_r, select.EPOLLIN); ep.register(count, select.EPOLLIN); ep.register(40, select.EPOLLERR)
for i in range(8):
    print("ready", ep.poll(0.02) == [(count, select.EPOLLIN)], flush=True)
    time.sleep(0.03)
print(fcntl.fcntl(w, fcntl.F_GETPIPE_SZ), os.get_blocking(r), os.get_blocking(w), os.get_inheritable(empty_r), os.get_inheritable(w))
print(os.eventfd_read(count), os.eventfd_read(ticket), os.eventfd_read(ticket), ep.poll(0.01))
os.write(w2, b"y"); os.close(w); os.close(w2); data = b""
while part := os.read(r, 65536): data += part
print(len(data), data[-2:], ep.poll(0.01))
os.write(empty_w, b"z"); print(ep.poll(0.01) == [(empty_r, select.EPOLLIN)], os.read(empty_r, 9))'
    echo "# timerfds, signalfds, files without a name, and timers of processor time"
    # shellcheck disable=SC2016 # python's
    cat >held.py <<'PY'
import ctypes, fcntl, os, select, signal, struct, time
libc = ctypes.CDLL(None, use_errno=True)
spec = lambda every, left: struct.pack("qqqq", every, 0, int(left), int(left % 1 * 1e9))
ticking, once, seen = (libc.timerfd_create(1, 0o4000) for i in range(3)) # the last has ticked and nobody has looked
assert libc.timerfd_settime(ticking, 0, struct.pack("qqqq", 0, 20000000, 0, 20000000), None) == 0
assert libc.timerfd_settime(once, 0, spec(0, 1.5), None) == 0
assert libc.timerfd_settime(seen, 0, struct.pack("qqqq", 0, 0, 0, 1), None) == 0
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
told = libc.signalfd(-1, struct.pack("Q", 1 << signal.SIGUSR1 - 1) + bytes(120), 0o4000)
os.kill(os.getpid(), signal.SIGUSR1)
memory = os.memfd_create("memory", os.MFD_ALLOW_SEALING); os.write(memory, b"m" * 300000 + b"end")
fcntl.fcntl(memory, 1033, 2) # F_SEAL_SHRINK
gone = open("gone", "w+"); gone.write("first line\nsecond line\n"); gone.flush(); gone.seek(11)
reader = open("gone"); reader_twin = os.dup(reader.fileno()); os.read(reader.fileno(), 6); os.unlink("gone")
spent = []; signal.signal(signal.SIGUSR2, lambda *a: spent.append(1))
timer = ctypes.c_void_p()
assert libc.timer_create(2, struct.pack("QiiQQQQQQ", 0, signal.SIGUSR2, 0, 0, 0, 0, 0, 0, 0), ctypes.byref(timer)) == 0
assert libc.timer_settime(timer, 0, struct.pack("qqqq", 0, 0, 0, 300000000), None) == 0
ep = select.epoll(); ep.register(told, select.EPOLLIN)
for i in range(8):
    print("turn", i, flush=True)
    time.sleep(0.05)
print("signal", struct.unpack("I", os.read(told, 128)[:4]), ep.poll(0.01))
try: os.read(once, 8); print("too early")
except BlockingIOError: print("not yet")
waited = 0
while not spent and waited < 5000000: waited += 1
select.select([once], [], [], 5); print("once", os.read(once, 8), "seen", os.read(seen, 8))
print("ticks", struct.unpack("Q", os.read(ticking, 8))[0] > 10)
print("memory", os.lseek(memory, 0, 1), os.pread(memory, 9, 299997), fcntl.fcntl(memory, 1034))
try: os.ftruncate(memory, 1); print("not sealed")
except PermissionError: print("sealed")
print("removed", gone.read(), os.read(reader_twin, 99))
gone.write("third\n"); gone.flush(); print(os.read(reader.fileno(), 99), os.fstat(gone.fileno()).st_nlink)
print("processor time", len(spent))
PY
    goes_on "lines 3" "$python" held.py
    for what in 'socket.socketpair()~is a socket' 'os.pipe(); os.fork()~a pipe that others have too' 'os.open("/dev/ptmx", 2)~master of a pseudo-terminal' \
        'ctypes.CDLL(None).inotify_init()~inotify' 'os.write(os.memfd_create("big"), b"x" * 1100000)~of more than 1023 KiB' 'os.memfd_create("two"); os.fork()~that others have too'; do
        start "$python" -c "import ctypes, os, socket, time
kept = ${what%~*}
if not hasattr(kept, 'close'): print('has it', flush=True)
time.sleep(20)"
        wait_for 10 lines 1
        same "an image of ${what%~*}" 99 "$(timeout 20 "$driver" capture "$pid" image 2>said; echo $?)"
        grep -q -- "${what#*~}" said || fail "should say '${what#*~}': $(cat said)"
        kill -9 "$pid" $(pgrep -P "$pid"); wait "$pid" 2>/dev/null
    done
fi

echo "# captured again and again it goes on beside its images, and each of them goes on too"
"$counter" 25 20 >native
start "$counter" 25 20
for i in 1 2 3 4 5; do
    wait_for 10 lines $((i * 3))
    capture "$pid" image.$i
done
wait "$pid"
same "status beside its images" 7 $?
cmp native out || fail "output beside its images"
restore image.3
same "status of an earlier image" 7 $rc
cmp native out || fail "output of an earlier image"

"$threads" 50 $numbers 4 >native.t
start "$threads" 50 $numbers 4
for i in 1 2 3 4 5; do
    wait_for 10 turns $((i * 2))
    capture "$pid" image.t$i
done
wait "$pid"
same "status of threads beside their images" 5 $?
cmp native.t out || fail "output of threads beside their images"
restore image.t4
same "status of an earlier image of threads" 5 $rc

echo "# a capture that is killed while it writes"
mkfifo pipe
state() { awk '$1 == "State:" { print $2 }' "/proc/$1/status"; }
# In a write to the pipe, that is, and not between two calls that the process makes for it.
is_writing() { [ "$(state "$pid")$(state $killed)" = tS ] && [ "$(cut -d' ' -f1 "/proc/$killed/syscall")" = 1 ]; }
is_stuck() { is_writing && sleep 0.1 && is_writing; }
# killed_capture STATUS COMMAND...: it ends as it would
killed_capture()
{
    local ends=$1
    shift
    start "$@"
    wait_for 10 lines 3
    exec 9<>pipe # nobody reads it
    "$driver" capture "$pid" pipe 2>said & killed=$!
    wait_for 10 is_stuck
    kill -9 $killed
    wait $killed 2>/dev/null
    exec 9>&-
    wait "$pid"
    same "status after a killed capture" "$ends" $?
    "$@" | cmp - out || fail "output after a killed capture"
}
killed_capture 5 "$threads" 60 same 4
killed_capture 7 "$counter" 30 20 # longer than what the images below have written

echo "# what is not whole is refused"
# refused WORDS DRIVER-ARGUMENTS...
refused()
{
    local words=$1
    shift
    same "status of $*" 99 "$(status timeout 20 "$driver" "$@" 2>said)"
    grep -q "$words" said || fail "$*: $(cat said) instead of: $words"
}
size=$(stat -c %s image.3)
head -c $((size / 2)) image.3 >half
refused "ends too early" restore half
{ head -c 5000 image.3; printf 'x'; tail -c +5002 image.3; } >changed
refused "was changed" restore changed
refused "not an image" restore in.bc
same "the output was left alone" "$(tail -n 1 native)" "counter: right"

echo "# a file that has changed"
cp in.bc lines
cat >reader.awk <<'A'
{ n++; for (i = 0; i < 50000000; i++) s += i % 3 } END { print n, s }
A
start awk -f reader.awk lines
wait_for 10 used 2
capture "$pid" image end
wait "$pid" 2>/dev/null
echo more >>lines
refused "has changed" restore image

echo "# what can't be captured goes on"
start bash -c 'exec 7< <(sleep 20); for i in {1..200000}; do ((s += i)); done; echo $s'
sleep_pid() { grandchild=$(cat "/proc/$pid/task/$pid/children") && [ -n "$grandchild" ]; }
wait_for 10 sleep_pid
refused "descriptor 7 .* is a pipe that others have too" capture "$pid" image
wait "$pid"
same "status of what was refused" 0 $?
same "output of what was refused" 20000100000 "$(cat out)"
for child in $grandchild; do kill "$child" 2>/dev/null; done
# shellcheck disable=SC2016 # the assembler's
printf '.globl _start\n_start: mov $29, %%eax\nint $0x80\njmp _start\n' >pause.s
cc -m32 -nostdlib -static -o pause32 pause.s 2>err || fail "a 32-bit program: $(cat err)"
runs_32() { timeout -s KILL 0.5 ./pause32; [ $? = 137 ]; }
if runs_32 2>/dev/null; then
    start ./pause32
    is_pausing() { [ "$(cat "/proc/$pid/comm")" = pause32 ]; }
    wait_for 10 is_pausing
    refused "is not a 64-bit program" capture "$pid" image
    kill -9 "$pid"
    wait "$pid" 2>/dev/null
else
    echo "# a 32-bit program: not tried, this computer ends it"
fi
start "$threads" 60 same 0 leader
sleep 0.1
first_has_ended() { grep -q '^State:.*Z' "/proc/$pid/status"; }
wait_for 10 first_has_ended
refused "the first thread of process .* has ended" capture "$pid" image
kill "$pid"
wait "$pid" 2>/dev/null
start "$threads" 60 storm 0
wait_for 10 lines 1
for i in 1 2 3; do
    "$driver" capture "$pid" image 2>said || grep -q "begins and ends threads all the time" said || fail "a storm of threads: $(cat said)"
done
cmp /dev/null err || fail "a storm of threads: $(cat err)"
kill "$pid"
wait "$pid" 2>/dev/null
if command -v gdb >/dev/null; then
    start "$threads" 4000 same 0
    mkfifo commands
    gdb -nx -q -p "$pid" <commands >gdb.out 2>&1 & debugger=$!
    at_exit "kill -9 $debugger 2>/dev/null"
    exec 9>commands
    is_traced() { ! grep -q '^TracerPid:.*\<0$' "/proc/$pid/status"; }
    wait_for 20 is_traced
    refused "is traced by process $debugger" capture "$pid" image
    echo detach >&9
    exec 9>&-
    wait $debugger
    wait_for 10 lines $(($(wc -l <out) + 5))
    capture "$pid" image
    kill "$pid"
    wait "$pid"
    same "status of what was debugged" 143 $?
fi
refused "process 4000000 has 0 threads\|No such process" capture 4000000 image

if [ "$(id -u)" = 0 ]; then
    echo "# an ordinary user's"
    mkdir user
    chown "$(test_user)" user
    # shellcheck disable=SC2016
    as_user bash -c 'cd "$1" && exec 2>said || exit 98
        "$2" 15 20 >out & pid=$!
        for i in {1..500}; do [ "$(wc -l <out)" -lt 3 ] || break; sleep 0.02; done
        "$3" capture $pid image end; wait $pid; "$3" restore image' - "$tmp/user" "$counter" "$driver"
    rc=$?
    [ $rc != 99 ] || fail "as an ordinary user: $(cat user/said)"
    same "status as an ordinary user" 7 $rc
    "$counter" 15 20 | cmp - user/out || fail "output as an ordinary user"
    # shellcheck disable=SC2016
    as_user bash -c 'cd "$1" && exec 2>said || exit 98
        "$2" 60 any 6 >out & pid=$!
        for i in {1..500}; do [ "$(wc -l <out)" -lt 3 ] || break; sleep 0.02; done
        "$3" capture $pid image end; wait $pid; "$3" restore image' - "$tmp/user" "$threads" "$driver"
    same "status of threads as an ordinary user" 5 $?
    "$threads" 60 any 6 | cmp - user/out || fail "output of threads as an ordinary user"
    # Who may not give them their numbers does not let a robust mutex be lost.
    as_user bash -c 'cd "$1" && exec 2>said || exit 98
        "$2" 2000 same 0 >out & pid=$!
        for i in {1..500}; do [ "$(wc -l <out)" -lt 3 ] || break; sleep 0.02; done
        "$3" capture $pid image end; wait $pid; "$3" restore image' - "$tmp/user" "$threads" "$driver"
    same "status of a robust mutex as an ordinary user" 99 $?
    grep -q "held a robust mutex" user/said || fail "a robust mutex as an ordinary user: $(cat user/said)"
fi
