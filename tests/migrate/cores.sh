#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# cores.sh: a program that is away dies of a signal or a fault of its own: its memory is dumped at home, as if it had been there, the parent
# sees so, and a debugger finds the function in which it died. With limits, in large, as an ordinary user, of children; and when one of the
# nodes dies meanwhile.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
requires gdb python3
cluster_up
crash=$top_builddir/tests/migrate/crash
user=$(test_user)
mkdir "$tmp/u" && chown "$user:" "$tmp/u" && cd "$tmp/u" || exit 99
# Where nothing but this computer's program for dumps knows where they are, statuses have to do.
case $(cat /proc/sys/kernel/core_pattern) in core) has_files=yes ;; *) has_files= ;; esac

# Its parent: waits for it and says how it ended.
cat >"$tmp/parent.py" <<'P'
import os, pty, resource, signal, sys
is_tty = sys.argv[1] == "tty"
saved = os.dup(1)
pid, tty = pty.fork() if is_tty else (os.fork(), -1)
if pid == 0:
    os.dup2(saved, 1)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL) # a shell has its background ignore it
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    soft = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CORE, (soft, resource.RLIM_INFINITY))
    if sys.argv[1] == "user":
        os.setgroups([]); os.setgid(int(sys.argv[4])); os.setuid(int(sys.argv[3]))
    os.execvp(sys.argv[5], sys.argv[5:])
print(pid, flush=True)
if is_tty: # q: what makes a terminal send SIGQUIT
    for text in sys.stdin:
        os.write(tty, b"\x1c" if text == "q\n" else b"\n")
status = os.waitpid(pid, 0)[1]
if os.WIFSIGNALED(status):
    print("signal", os.WTERMSIG(status), "dump" if os.WCOREDUMP(status) else "no dump", flush=True)
else:
    print("status", os.WEXITSTATUS(status), flush=True)
P
chmod 755 "$tmp"
limit=-1 who=root
# run COMMAND...: it waits for a line, which `line` gives
run()
{
    rm -f core* "$tmp/out" "$tmp/go"
    mkfifo -m 666 "$tmp/go"
    python3 "$tmp/parent.py" $who "$limit" "$(id -u "$user")" "$(id -g "$user")" "$@" >"$tmp/out" 2>"$tmp/err" <"$tmp/go" & parent=$!
    at_exit "kill -9 $parent 2>/dev/null"
    exec 8>"$tmp/go"
    wait_for 10 [ -s "$tmp/out" ]
    pid=$(head -n 1 "$tmp/out")
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 10 waits
}
is_ready() { grep -q ready "$tmp/out"; }
waits() { [ "$(cut -d' ' -f1 "/proc/$pid/syscall" 2>/dev/null)" = 0 ]; }
line() { echo >&8; exec 8>&-; }
ended() { wait_for "${1:-20}" eval "! kill -0 $parent 2>/dev/null"; tail -n +2 "$tmp/out" | grep -v ready; }
# The innermost function of ours in the dump.
trace() { gdb -q -batch -nx -ex 'bt 8' "$1" core* 2>/dev/null | sed -n 's/^#[0-9]* .*\(by_[a-z]*\) (.*/\1/p' | head -n 1; }

# dies HOW SIGNAL FUNCTION: as it does natively
dies()
{
    local how=$1 want
    shift
    run "$crash" "$how"
    line
    [ -z "${2:-}" ] || { wait_for 10 is_ready; kill -"$2" "$pid"; }
    want=$(ended)
    run mosrun "$crash" "$how"
    migrate "$pid" n1 || fail "migrate"
    wait_for 10 is_at "$pid" n1
    line
    [ -z "${2:-}" ] || { wait_for 10 is_ready; same "still there" n1 "$(place "$pid")"; kill -"$2" "$pid"; }
    same "$how as $who, limit $limit: end" "$want" "$(ended)"
    case $has_files$want in
    yes*[0-9]" dump") same "$how as $who: where it died" "$1" "$(trace "$crash")" ;;
    yes*) [ -z "$(ls core* 2>/dev/null)" ] || fail "$how: there is a dump" ;;
    esac
    wait_for 10 none_inside "$pid"
}

for how in "division by_division" "pointer by_pointer" "trap by_trap" "instruction by_instruction" "overflow by_overflow" \
    "blocked by_blocked" "second by_second" "abort by_abort" "waiting by_waiting QUIT" "computing by_computing SEGV"; do
    # shellcheck disable=SC2086 # words
    dies $how
done
who=user
dies pointer by_pointer
dies abort by_abort
limit=0
dies pointer by_pointer
dies waiting by_waiting QUIT
dies limit by_division
limit=-1 who=root

# away COMMAND...: it is at n1
away()
{
    run mosrun "$crash" "$@"
    migrate "$pid" n1 || fail "migrate"
    wait_for 10 is_at "$pid" n1
}
away child
line
same "a child" "signal 11, dump 1 status 0" "$(ended | paste -sd' ')"
[ -z "$has_files" ] || same "where a child died" by_pointer "$(trace "$crash")"

away division 300
line
same "a large one" "signal 8 dump" "$(ended 60)"
if [ $has_files ]; then
    # shellcheck disable=SC2016 # gdb's
    same "memory of a large one" "$((299 << 20))" "$(gdb -q -batch -nx -ex 'output *(long *)(memory + (299L << 20))' "$crash" core* 2>/dev/null | tail -n 1)"
fi

# A supervisor that does nothing.
away waiting
kill -STOP "$(inside "$pid" supervisor)"
kill -ABRT "$pid"
same "one whose memory does not come" "signal 6 no dump" "$(ended 30)"
wait_for 20 none_inside "$pid"
away waiting
supervisor=$(inside "$pid" supervisor)
kill -STOP "$supervisor"
kill -ABRT "$pid"
sleep 0.3
kill -9 "$supervisor"
case $(ended 30) in "signal 9 no dump" | "signal 6 no dump") ;; *) fail "one whose supervisor is killed ends otherwise" ;; esac
grep -q "lost" "$tmp/err" || { cat "$tmp/err"; fail "it ends without a word"; }
wait_for 20 none_inside "$pid"

who="tty"
away waiting
echo >&8
wait_for 10 is_ready
echo q >&8
exec 8>&-
same "the terminal's SIGQUIT" "signal 3 dump" "$(ended)"
[ -z "$has_files" ] || same "where it died" by_waiting "$(trace "$crash")"
