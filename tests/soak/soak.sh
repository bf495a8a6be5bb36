#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# soak.sh: jobs on two targets and programs here write, lock and list in one tree while parts of it are killed and links are cut
# at random, for SOAK_SECONDS (600). Run by "make soak". Checked:
#   - what a job has said to be written is here, whole, whatever happened to the job later (checksums), unless mrc says that some is
#     lost; what fsync was done for is here even then;
#   - a job that ended well has written all; one that didn't says so;
#   - a counter under a lock never loses what was counted;
#   - what was unpacked, and a large file that has changed here between the jobs, is what it should be to the job that reads it;
#   - no mrc outlives its patience, no process of a job is left on a target.
# SOAK_SEED repeats the choices, though not the moments.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
requires python3
seconds=${SOAK_SECONDS:-600}
seed=${SOAK_SEED:-$$}
RANDOM=$seed
patience=150 # of one job, its work and all bounds together
echo "soak: $seconds s, SOAK_SEED=$seed"
lab_up 2
export XDG_RUNTIME_DIR=$tmp/run MRC_HUB_IDLE=5 MRC_SILENCE=10
mkdir -m 700 "$XDG_RUNTIME_DIR"
chown "$user:" "$XDG_RUNTIME_DIR"
for n in n1 n2; do "$lab" --name "$name" link head $n --delay 5ms --rate 200mbit; done

# soakjob.py NAME FILES: says "synced NAME SHA" of a file that it has written with fsync, "file NAME SHA" of others (what is said is
# held until they are here, if they can be written), "count" for each time that it counted.
cat >"$home/proj/soakjob.py" <<'P'
import fcntl, hashlib, os, random, sys
name, files = sys.argv[1], int(sys.argv[2])
r = random.Random(name)
os.mkdir(name)
def say(*words):
    os.write(1, (" ".join(words) + "\n").encode())
def write(path):
    h = hashlib.sha256()
    with open(path, "wb", 0) as f:
        for _ in range(r.randrange(1, 6)):
            data = r.randbytes(r.choice((100, 5000, 70000, 300000)))
            h.update(data)
            f.write(data)
        is_synced = r.random() < 0.2
        if is_synced:
            os.fsync(f.fileno())
    return ("synced" if is_synced else "file"), h.hexdigest()
for i in range(files):
    path = f"{name}/{i}"
    kind = r.randrange(4)
    if kind == 0:
        how, sha = write(path + ".new")
        os.rename(path + ".new", path)
    elif kind == 1:
        write(path)
        how, sha = write(path)
    elif kind == 2:
        how, sha = write(path + ".gone")
        os.link(path + ".gone", path)
        os.unlink(path + ".gone")
    else:
        how, sha = write(path)
    say(how, path, sha)
    os.listdir("."), os.stat(f"{name}/{r.randrange(i + 1)}")
    if i % 5 == 0:
        with open("counter", "r+") as f:
            fcntl.lockf(f, fcntl.LOCK_EX)
            n = int(f.read())
            f.seek(0)
            f.write(str(n + 1))
            f.flush()
            os.fsync(f.fileno())
        say("count")
say("end")
P
# treejob.sh NAME: unpacks, reads, removes. Says "tree NAME", "gone DIRECTORY", "big SHA".
cat >"$home/proj/treejob.sh" <<'S'
big=$(sha256sum <big) || exit 3
echo "big ${big%% *}"
mkdir "$1" && tar xf src.tar -C "$1" || exit 3
n=$(find "$1" -type f | wc -l)
[ "$n" = 301 ] || { echo "WRONG $n files"; exit 9; }
(cd "$1" && sha256sum -c --quiet ../src.sums) || { echo "WRONG contents"; exit 9; }
echo "tree $1"
rm -rf "$1/src/d1" || exit 3
[ ! -e "$1/src/d1" ] && [ "$(find "$1" -type f | wc -l)" = 251 ] || { echo "WRONG rest"; exit 9; }
echo "gone $1/src/d1"
big=$(sha256sum <big) || exit 3
echo "big ${big%% *}"
echo end
S
here sh -c 'for d in 1 2 3 4 5 6; do mkdir -p src/d$d; for i in $(seq 50); do seq $i $((i * d + 100)) >src/d$d/f$i; done; done
    head -c 600000 /dev/urandom >src/large; find src -type f -exec sha256sum {} + >src.sums; tar cf src.tar src; rm -rf src; head -c 12000000 /dev/urandom >big'

cat >"$tmp/verify.py" <<'P'
import hashlib, os, sys
root, said, status, big = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
# mrc has said that some of what was written is lost: only fsync's word counts.
is_lossy = any(w in open(said + ".err").read() for w in ("is lost: ", "failed after the job was told", "the file server on this computer ended",
                                                         "the view that the job shared has ended"))
lines = open(said).read().split("\n")
files = 0
for line in lines[:-1]: # what follows the last newline may be cut
    word = line.split()
    if word[0] == "WRONG" and not is_lossy:
        sys.exit(f"the job saw what it should not: {line}")
    if word[0] == "big" and word[1] != big:
        sys.exit(f"the job read another large file: {word[1]} instead of {big}")
    if word[0] == "gone" and not is_lossy and os.path.exists(f"{root}/{word[1]}"):
        sys.exit(f"{word[1]} was said to be gone")
    if word[0] == "tree" and not is_lossy:
        for sum_and_name in open(f"{root}/src.sums"):
            sha, name = sum_and_name.split()
            at = f"{root}/{word[1]}/{name}"
            if "/d1/" in name: # is being removed, or was
                continue
            if hashlib.sha256(open(at, "rb").read()).hexdigest() != sha:
                sys.exit(f"{at} is not what was unpacked")
            files += 1
    if word[0] != "synced" and (word[0] != "file" or is_lossy):
        continue
    # Renamed and linked it is after fsync: when some is lost, that may be; the file has the name then that it had before.
    names = [word[1] + ending for ending in ([""] if not is_lossy else ["", ".new", ".gone"])]
    at = next((n for n in names if os.path.exists(f"{root}/{n}")), None)
    if not at:
        sys.exit(f"{word[1]} was said to be written, and is not here")
    got = hashlib.sha256(open(f"{root}/{at}", "rb").read()).hexdigest()
    if got != word[2]:
        sys.exit(f"{word[1]} is not what was said to be written")
    files += 1
if status == 0 and "end" not in lines:
    sys.exit("the job ended well without its last word")
print(files, lines.count("count"))
P

alive() { [ "$(ps -o stat= -p "$1" 2>/dev/null | cut -c1)" != Z ] && kill -0 "$1" 2>/dev/null; }
# one process of the user here, and of this test, whose command line matches
some() { pgrep -u "$user" -f "$1" | while read -r p; do [ "/proc/$p/ns/mnt" -ef /proc/self/ns/mnt ] && echo "$p"; done |
    shuf -n 1 --random-source=<(yes $RANDOM); }
# or whose name does
named() { ps -u "$user" -o pid=,comm= | awk -v name="$1" '$2 == name { print $1 }' | while read -r p; do
    [ "/proc/$p/ns/mnt" -ef /proc/self/ns/mnt ] && echo "$p"; done | shuf -n 1 --random-source=<(yes $RANDOM); }
kill_one()
{
    local p
    p=$(some "$1")
    [ -z "$p" ] || kill -9 "$p" 2>/dev/null
}
# What goes wrong. Words for the log.
trouble()
{
    local node=n$((RANDOM % 2 + 1))
    case $((RANDOM % 11)) in
    0) echo "hub killed" && kill_one ' --hub-process' ;;
    1) echo "agent on $node killed" && "$lab" --name "$name" run $node -- sh -c 'kill -9 $(pgrep agent- | shuf -n 1)' 2>/dev/null ;;
    2) echo "link to $node cut for 3 s" && "$lab" --name "$name" link head $node --delay 5ms --rate 200mbit --cut 3s ;;
    3) echo "link to $node cut for 20 s" && "$lab" --name "$name" link head $node --delay 5ms --rate 200mbit --cut 20s ;;
    4) echo "broker killed" && kill_one '^mrc-leases' ;;
    5) echo "an mrc, its server or connection killed" && kill_one "^mrc -q -F $conf" ;;
    6) echo "a job's program on $node killed" && "$lab" --name "$name" run $node -- sh -c 'kill -9 $(pgrep -f soakjob | shuf -n 1)' 2>/dev/null ;;
    7) echo "nothing" ;;
    8) echo "a view's keeper, or its file server, killed" && { p=$(named mrc-view); [ -z "$p" ] || kill -9 "$p" 2>/dev/null; } ;;
    9) echo "a view's agent on $node killed" && "$lab" --name "$name" run $node -- sh -c 'kill -9 $(pgrep -x mrc-view | shuf -n 1)' 2>/dev/null ;;
    10) echo "link to $node cut for 13 s" && "$lab" --name "$name" link head $node --delay 5ms --rate 200mbit --cut 13s ;;
    esac
}

# start NODE NUMBER KIND: a job; here for NODE "here"
start()
{
    local out=$tmp/said.$2
    if [ "$3" = tree ]; then
        (limit=$patience m "alice@$1" sh treejob.sh "j$2" >"$out" 2>"$out.err"; echo $? >"$out.status") &
        return
    fi
    if [ "$1" = here ]; then
        (here timeout $patience python3 soakjob.py "j$2" 80 >"$out" 2>"$out.err"; echo $? >"$out.status") &
    else
        (limit=$patience m "alice@$1" python3 soakjob.py "j$2" 80 >"$out" 2>"$out.err"; echo $? >"$out.status") &
    fi
}

echo 0 >"$home/proj/counter"
chown "$user:" "$home/proj/counter"
until_s=$((SECONDS + seconds))
job=0 well=0 failed=0 files=0 counts=0 rounds=0
while [ $SECONDS -lt $until_s ]; do
    rounds=$((rounds + 1))
    first=$((job + 1))
    pids=
    # Chunks of it that the targets have are the old ones, and those that are new.
    here dd if=/dev/urandom of=big bs=100000 seek=$((RANDOM % 119)) count=1 conv=notrunc 2>/dev/null
    big=$(sha256sum <"$home/proj/big")
    big=${big%% *}
    for what in n1:files n2:files here:files n1:tree n2:tree; do
        job=$((job + 1))
        start ${what%:*} $job ${what#*:}
        pids="$pids $!"
    done
    for _ in 1 2 3; do
        sleep "$((RANDOM % 5)).$((RANDOM % 10))"
        echo "$SECONDS s: $(trouble)"
    done
    # shellcheck disable=SC2086
    wait $pids
    for i in $(seq $first $job); do
        status=$(cat "$tmp/said.$i.status")
        [ "$status" != 124 ] || fail "job $i hung: $(cat "$tmp/said.$i.err")"
        result=$(python3 "$tmp/verify.py" "$home/proj" "$tmp/said.$i" "$status" "$big") || fail "job $i, status $status, $(tail -1 "$tmp/said.$i.err"): see above"
        [ "$status" = 0 ] && well=$((well + 1)) || failed=$((failed + 1))
        [ "$status" = 0 ] || [ "$status" -gt 128 ] || [ -s "$tmp/said.$i.err" ] || fail "job $i: status $status without a word"
        files=$((files + ${result% *}))
        counts=$((counts + ${result#* }))
    done
    # A count may be made and its word be lost, not the other way round.
    counter=$(cat "$home/proj/counter")
    [ -n "$counter" ] && [ "$counter" -ge $counts ] || fail "counted $counts, the counter is '$counter'"
    for node in n1 n2; do
        wait_for 60 eval '! "$lab" --name "$name" run '$node' -- pgrep -f "soakjob|treejob" >/dev/null'
    done
    rm -rf "$home/proj"/j[0-9]* "$tmp"/said.*
done
here mrc stop --jobs >/dev/null 2>&1
echo "soak: $rounds rounds, $job jobs, of which $failed failed, and said so; $files files checked, counted $counts, the counter is $counter"
[ $well -gt 0 ] || fail "no job ended well"
