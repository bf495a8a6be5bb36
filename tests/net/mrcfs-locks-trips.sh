#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What locks and databases cost in round trips that are waited for, on a local mount, where they are exact: a file that nobody else
# has open is locked without asking; whoever comes finds the locks.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrcfs.sh"
requires sqlite3 python3
own_mounts "$@"
set -u
. "$top_srcdir/tests/bench/workloads.sh"
served=$tmp/served
mnt=$tmp/mnt
mkdir "$served" "$mnt"

# on $mnt, or, with an argument, as another target on $mnt2
start_mount()
{
    local at=$mnt${1:-}
    mkdir -p "$at"
    mrcfs -f --stats "local:$served" "$at" 2> "$tmp/stats${1:-}" &
    eval "pid${1:-}=$!"
    wait_for 10 mounted "$at"
}
# end_mount WHAT [2]
end_mount()
{
    mrcfs -u "$mnt${2:-}" || fail "unmount after $1"
    eval "wait \$pid${2:-}" || fail "end after $1: $(cat "$tmp/stats${2:-}")"
}
# count WORDS: of the line that has these words after its number
count()
{
    awk -v words="$1" '{ n = $1; sub(/^ *[0-9]+ /, "") } $0 == words { print n; is = 1 } END { if (!is) print 0 }' "$tmp/stats"
}
at_most()
{
    [ "$(count "$2")" -le "$1" ] || fail "$3: $(count "$2") $2, not $1: $(cat "$tmp/stats")"
    echo "ok: $3: $(count "$2") $2"
}

echo "# locks of all kinds, nobody else there"
cat > "$tmp/lock.py" <<'P'
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
for i in range(1000):
    fcntl.lockf(fd, fcntl.LOCK_EX, 10, i)
    fcntl.flock(fd, fcntl.LOCK_SH if i % 2 else fcntl.LOCK_EX)
    fcntl.lockf(fd, fcntl.LOCK_UN, 5, i)
fcntl.flock(fd, fcntl.LOCK_UN)
P
start_mount
python3 "$tmp/lock.py" "$mnt/locked" || fail "locks"
end_mount "locks"
for op in setlk flock surrender; do
    same "$op requests of 3,000 locks" 0 "$(count $op)"
done
at_most 8 'round trips waited for' "3,000 locks"

echo "# a program here comes: it waits, finds the lock, and gets it when it is given up"
cat > "$tmp/hold.py" <<'P'
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.lockf(fd, fcntl.LOCK_EX, 10, 5)
fcntl.flock(fd, fcntl.LOCK_EX)
os.pwrite(fd, b"under the lock", 0)
print("held", flush=True)
sys.stdin.readline()
os.pwrite(fd, b"before unlocking", 0)
fcntl.lockf(fd, fcntl.LOCK_UN, 10, 5)
print("unlocked", flush=True)
sys.stdin.readline()
os.close(fd)
P
cat > "$tmp/try.py" <<'P'
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
how = fcntl.LOCK_EX | (fcntl.LOCK_NB if sys.argv[2] == "now" else 0)
def get(lock, *a):
    try:
        lock(fd, how, *a)
        return "got"
    except BlockingIOError:
        return "busy"
record = get(fcntl.lockf, 1, 14)
print(record, get(fcntl.flock), os.pread(fd, 100, 0).decode())
P
mkfifo "$tmp/ask" "$tmp/said"
start_mount
python3 "$tmp/hold.py" "$mnt/locked" < "$tmp/ask" > "$tmp/said" &
holder=$!
exec 7> "$tmp/ask" 8< "$tmp/said"
read -r -t 30 said <&8
same "holder" held "$said"
same "while it is held" "busy busy under the lock" "$(python3 "$tmp/try.py" "$served/locked" now)"
same "on the same target" "busy busy under the lock" "$(python3 "$tmp/try.py" "$mnt/locked" now)"
timeout 60 python3 "$tmp/try.py" "$served/locked" wait > "$tmp/got" &
waiter=$!
echo >&7
read -r -t 30 said <&8
same "holder" unlocked "$said"
echo >&7
wait $holder || fail "holder"
wait $waiter || fail "waiter"
same "who waited" "got got before unlocking" "$(cat "$tmp/got")"
exec 7>&- 8<&-
end_mount "a program that comes"
same "times that locks moved" 1 "$(count surrender)"

echo "# closing any descriptor of the file ends a process's record locks; a fork has none"
cat > "$tmp/posix.py" <<'P'
import fcntl, os, sys
name = sys.argv[1]
def is_free(fd, first):
    return fcntl.fcntl(fd, fcntl.F_GETLK, LOCK(first))[:2] == UNLOCKED
import struct
def LOCK(first): return struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, first, 1, 0)
UNLOCKED = struct.pack("h", fcntl.F_UNLCK)
fd = os.open(name, os.O_RDWR)
fcntl.lockf(fd, fcntl.LOCK_EX, 1, 0)
def child(what):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if what() else 1)
    return os.waitpid(pid, 0)[1] == 0
assert child(lambda: not is_free(fd, 0)), "a child does not see the lock"
assert child(lambda: os.close(fd) is None), "close in a child"
assert child(lambda: not is_free(fd, 0)), "gone by a child's close"
copy = os.dup(fd)
os.close(copy)
assert child(lambda: is_free(fd, 0)), "still there after a close"
fcntl.lockf(fd, fcntl.LOCK_EX, 1, 0)
os.unlink(name)
assert child(lambda: not is_free(fd, 0)), "gone by unlink"
os.pwrite(fd, b"x", 0)
fcntl.lockf(fd, fcntl.LOCK_UN, 1, 0)
assert child(lambda: is_free(fd, 0)), "still there after unlocking"
P
start_mount
python3 "$tmp/posix.py" "$mnt/locked" || fail "record locks of a process"
end_mount "record locks of a process"
for op in setlk getlk surrender; do
    same "$op requests" 0 "$(count $op)"
done

echo "# two targets append to one file under a lock, in turns"
cat > "$tmp/append.py" <<'P'
import fcntl, os, sys, time
name, who, count, how = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
def opened():
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
fd = opened()
open(sys.argv[5], "w").close()
while not os.path.exists(sys.argv[6]):
    time.sleep(0.001)
if how == "anew":
    os.close(fd)
for i in range(count):
    if how == "anew":
        fd = opened()
    fcntl.lockf(fd, fcntl.LOCK_EX)
    # whoever holds the lock sees all that was written before
    size = os.fstat(fd).st_size
    os.write(fd, b"%s %d\n" % (who.encode(), i))
    assert os.fstat(fd).st_size == size + len("%s %d\n" % (who, i)), "somebody else wrote"
    fcntl.lockf(fd, fcntl.LOCK_UN)
    if how == "anew":
        os.close(fd)
P
for how in held anew; do
    start_mount
    start_mount 2
    timeout 100 python3 "$tmp/append.py" "$mnt/records.$how" one 1000 $how "$tmp/append.$how.1" "$tmp/append.$how.2" &
    one=$!
    timeout 100 python3 "$tmp/append.py" "${mnt}2/records.$how" two 1000 $how "$tmp/append.$how.2" "$tmp/append.$how.1" &
    two=$!
    wait $one || fail "records of the first ($how)"
    wait $two || fail "records of the second ($how)"
    end_mount "records"
    end_mount "records" 2
    for who in one two; do
        same "records of $who ($how)" "$(seq 0 999)" "$(sed -n "s/^$who //p" "$served/records.$how")"
    done
    same "records ($how)" 2000 "$(wc -l < "$served/records.$how")"
    passed=$(awk '$1 != was { n++ } { was = $1 } END { print n - 1 }' "$served/records.$how")
    waited=$(cat "$tmp/stats" "$tmp/stats2" | awk '/ round trips waited for$/ { n += $1 } END { print n }')
    locks=$(cat "$tmp/stats" "$tmp/stats2" | awk '/ waited for setlk$/ { n += $1 } END { print n }')
    echo "ok: records ($how): $passed times from one target to the other, $waited round trips, $locks of them for locks"
    # Of a record: to give the lock up is one, to get it another, and so are what is written and each look. Who opens the file
    # anew waits for that, and for the other's leases: 7.6 in all where each record changes hands.
    [ "$locks" -le 4010 ] || fail "$locks round trips for 2,000 locks ($how)"
    [ $how = anew ] || [ "$waited" -le 10100 ] || fail "$waited round trips for 2,000 records ($how)"
    [ "$waited" -le 16000 ] || fail "$waited round trips for 2,000 records ($how)"
done
# To get a lock that another target has given up is one round trip, to give it up is another.
cat > "$tmp/turns.py" <<'P'
import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
open(sys.argv[2], "w").close()
while not os.path.exists(sys.argv[3]):
    time.sleep(0.001)
for i in range(200):
    fcntl.lockf(fd, fcntl.LOCK_EX)
    fcntl.lockf(fd, fcntl.LOCK_UN)
P
: > "$served/turns"
start_mount
start_mount 2
timeout 60 python3 "$tmp/turns.py" "$mnt/turns" "$tmp/ready.1" "$tmp/ready.2" &
one=$!
timeout 60 python3 "$tmp/turns.py" "${mnt}2/turns" "$tmp/ready.2" "$tmp/ready.1" || fail "turns of the second"
wait $one || fail "turns of the first"
end_mount turns
end_mount turns 2
for stats in stats stats2; do
    waited=$(awk '/ round trips waited for$/ { print $1 }' "$tmp/$stats")
    [ "$waited" -le $((200 * 2 + 10)) ] || fail "200 locks and unlocks: $waited round trips: $(cat "$tmp/$stats")"
    echo "ok: 200 turns: $waited round trips"
done

echo "# everybody at once: two targets and programs here, with the file held open or opened anew, by both kinds of locks"
cat > "$tmp/add.py" <<'P'
import fcntl, os, random, sys
name, how, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
random.seed(name + how)
fd = os.open(name, os.O_RDWR)
for i in range(count):
    if how == "anew":
        os.close(fd)
        fd = os.open(name, os.O_RDWR)
    at = random.randrange(2)  # two counters of ten digits, each with locks of its own
    lock = (lambda what: fcntl.flock(fd, what)) if how == "flock" else (lambda what: fcntl.lockf(fd, what, 10, 100 * at))
    if how == "flock":
        at = 2
    if random.randrange(4) == 0:
        lock(fcntl.LOCK_SH)
        os.pread(fd, 10, 100 * at)
        lock(fcntl.LOCK_UN)
    lock(fcntl.LOCK_EX)
    os.pwrite(fd, b"%010d" % (int(os.pread(fd, 10, 100 * at)) + 1), 100 * at)
    lock(fcntl.LOCK_UN)
P
for i in 0 1 2; do printf '%0100d' 0; done > "$served/counters"
start_mount
start_mount 2
# The first has it alone for a moment.
timeout 100 python3 "$tmp/add.py" "$mnt/counters" held 300 &
adders=$!
sleep 0.3
for how in held anew flock; do
    for at in "$served" "$mnt" "${mnt}2"; do
        timeout 100 python3 "$tmp/add.py" "$at/counters" $how 100 &
        adders="$adders $!"
    done
done
for adder in $adders; do
    wait "$adder" || fail "an adder"
done
end_mount adders
end_mount adders 2
records=$(($(head -c 10 "$served/counters" | sed 's/^0*//') + $(tail -c +101 "$served/counters" | head -c 10 | sed 's/^0*//')))
same "added under record locks" 900 "$records"
same "added under flock" 300 "$(tail -c +201 "$served/counters" | head -c 10 | sed 's/^0*//')"

echo "# databases"
# settled: the server is sure that no event of what was made here before is still on the way
settled()
{
    [ $(($(date +%s) - $(stat -c %Z "$served"))) -gt 3 ]
}
for work in insert select; do
    # Not in place of the files before: who had a number of theirs may not have noticed yet that they are gone.
    served=$tmp/$work
    mkdir "$served"
    (cd "$served" && ${work}_prepare) || fail "prepare $work"
    wait_for 10 settled
    start_mount
    (cd "$mnt" && timeout 100 sh -c "$(${work}_command)") > "$tmp/out" 2>&1 || fail "$work: $(tail -n 3 "$tmp/out")"
    end_mount "$work"
    (cd "$served" && ${work}_check) || fail "result of $work"
    for op in setlk surrender; do
        same "$op requests of $work" 0 "$(count $op)"
    done
    # Of the first, six are for fsync; the second reads two pages, and then has the whole file.
    # Whether the directory's list is there before its absent names are asked for depends on the load here: usually one lookup.
    [ $work = insert ] && most=24 || most=$((9 + $(count 'waited for lookup')))
    at_most $most 'round trips waited for' "$work"
done
