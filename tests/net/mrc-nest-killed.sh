#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-nest-killed.sh: a job on n1 runs one on n2, which makes, writes and renames files of the head; each process of the two is killed in
# turn, and links are cut. Each time: the end comes soon and with words, or the job goes on; what is on the head is a beginning of what the job
# did; nothing but the cache is left on either target, nothing at all here; the next one (the next case) is well.
# Besides: who connects for a job and says nothing is let go.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
[ $# != 0 ] || in_parts 3
. "$top_srcdir/tests/lib/mrc_lab.sh"
limit=60
soon=25 # seconds for an end: silence, the processes' turns, and a busy computer
lab_up 3
export MRC_SILENCE=5 # of the head with n1, and of the connection from n1 to n2
on() { local n=$1; shift; "$lab" --name "$name" run "$n" -- "$@"; }
link() { "$lab" --name "$name" link "$@"; }

# ---- who is who ----

# Processes here that belong to the cases: "pid parent name" of each.
others=" "
all() { ps -u "$user" -o pid=,ppid=,comm= | while read -r pid rest; do
    [ "/proc/$pid/ns/mnt" -ef /proc/self/ns/mnt ] && echo "$pid $rest"; done; }
ours() { all | while read -r pid rest; do [ "${others#* "$pid" }" != "$others" ] || echo "$pid $rest"; done; }
named() { ours | awk -v n="$1" '$3 == n { print $1 }'; }
child_of() { ours | awk -v p="$1" -v n="$2" '$2 == p && $3 == n { print $1 }'; }
first() { child_of "$(named timeout)" mrc; }
nester() { child_of "$(first)" mrc-nester; }
session() { named mrc-session; }
second() { child_of "$(session)" mrc; }
# Of mrc's two children the file server is the one that has the exports.
second_part() { local p is; for p in $(child_of "$(second)" mrc); do
    is=connection; [ -z "$(find "/proc/$p/fd" -lname "$home*" 2>/dev/null)" ] || is=server; echo "$is $p"; done | awk -v w="$1" '$1 == w { print $2 }'; }
second_server() { second_part server; }
second_connection() { second_part connection; }
second_finder() { child_of "$(second_server)" mrc-finder; }
proxy() { for pid in $(ours | awk '{ print $1 }'); do tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qx -- --nest-dial && echo "$pid"; done; }
broker() { named mrc-leases; }
there() { on "$1" pgrep -o "${@:2}"; }
dialer() { there n1 -x mrc-dialer; }
inner() { there n1 -x mrc; }
above() { local p; p=$(there "$1" -f "$2"); on "$1" sh -c 'p=$1; for i in $(seq '"$3"'); do p=$(awk "{ print \$4 }" /proc/$p/stat); done; echo $p' sh "$p"; }
agent1() { above n1 '^sh outer.sh' 3; }
supervisor1() { above n1 '^sh outer.sh' 1; }
agent2() { above n2 '^sh job.sh' 3; }
supervisor2() { above n2 '^sh job.sh' 1; }
here_kill() { kill -9 "$1"; }
n1_kill() { on n1 kill -9 "$1"; }
n2_kill() { on n2 kill -9 "$1"; }

# ---- the jobs ----

cat >"$dir/job.sh" <<'J'
mkdir "$1" || exit 3
i=0
until [ -e stop ]; do
    i=$((i + 1))
    echo "$i $i $i" >"$1/f$i" && mv "$1/f$i" "$1/g$i" || exit 4
done
echo "made $i"
J
cat >"$dir/outer.sh" <<'J'
mrc -q alice@n2 sh job.sh "$1"
echo "inner $?" >"$1/after"
[ ! -e again ] || mrc -q alice@n2 echo more 2>again || :
J
chown "$user:" "$dir/job.sh" "$dir/outer.sh"

# is_beginning DIRECTORY: what is there are the first files, all of them whole; at most the last has not got its name yet. Sets $count.
is_beginning()
{
    count=0
    while [ -e "$1/g$((count + 1))" ]; do
        count=$((count + 1))
        [ "$(cat "$1/g$count")" = "$count $count $count" ] || fail "$what: g$count is '$(cat "$1/g$count")'"
    done
    same "$what: files in order" "$count" "$(find "$1" -mindepth 1 ! -name "f$((count + 1))" ! -name after | wc -l)"
}
gone_on() { on "$1" sh -c '! ps -eo comm= | grep -q "^agent-\|^mrc" && ! pgrep -f "^sh (job|outer).sh" >/dev/null && ! grep -q mrcfs /proc/mounts'; }
nothing_left() { [ -z "$(ours | awk '$3 != "mrc-leases"')" ] && gone_on n1 && gone_on n2; }

# One part has this beside its cases: it takes as long as those of the others.
has_silent() { [ "${TEST_PART:-0}" = 0 ]; }
# A process on n3 that connects as an mrc of the job's would, and says nothing: begun before the cases, which take longer than it may.
silent=
! has_silent || here sh -c 'exec mrc -q -F "$0" --nest n2 alice@n3 python3 -c "
import os, socket, time
s = socket.socket(socket.AF_UNIX)
s.connect(\"\\0mrc-nest-\" + os.environ[\"MRC_NEST\"])
began = time.monotonic()
open(\"silent\", \"w\").write(\"connected\")
s.settimeout(90)
while s.recv(4096):
    pass
print(round(time.monotonic() - began))
"' "$conf" >"$tmp/silent" 2>&1 & silent=$!
if has_silent; then
    wait_for 20 [ -s "$dir/silent" ]
    wait_for 10 eval '[ -n "$(named mrc-session)" ]'
fi
others=" $(all | awk '$3 != "mrc-leases" { print $1 }' | paste -sd ' ') "

# Without the nester: what runs goes on, and a further one is refused with words.
! has_silent || here touch again
cases=0
# case_of WHAT SIDE OUTER INNER: WHAT one of the functions above; statuses of the first mrc (0: goes on) and of the job's (0: goes on)
case_of()
{
    what=$1
    local side=$2 outer=$3 inner=$4 pid rc=0 began victim where=$dir/d$cases
    cases=$((cases + 1))
    here timeout "$limit" mrc -q -F "$conf" --nest n2 alice@n1 sh outer.sh "d$((cases - 1))" >"$tmp/out" 2>"$tmp/err" </dev/null &
    pid=$!
    wait_for 20 test -e "$where/g20"
    began=$(date +%s)
    case $side in
        *-*) link "${side%-*}" "${side#*-}" --cut "$what" ;;
        *)  victim=$("$what")
            [ "$(echo "$victim" | wc -w)" = 1 ] || fail "$what: which is it: '$victim' of $(ours)"
            "${side}_kill" "$victim" || fail "$what: kill $victim" ;;
    esac
    if [ "$inner" = 0 ]; then
        sleep 1
        here touch stop
    fi
    wait $pid || rc=$?
    [ $(($(date +%s) - began)) -le $soon ] || fail "$what: the end took $(($(date +%s) - began)) s"
    same "$what: status, $(cat "$tmp/err")" "$outer" $rc
    [ "$outer" != 0 ] || same "$what: the job's mrc, $(cat "$tmp/err")" "inner $inner" "$(cat "$where/after")"
    case $outer,$inner in
        255,* | 0,255) grep -q '^mrc: .*n[12]' "$tmp/err" && [ "$(wc -l <"$tmp/err")" -le 2 ] || fail "$what: words: '$(cat "$tmp/err")'" ;;
    esac
    link head n1 --clear
    link n1 n2 --clear
    # All of the job that is silent is this: its mrc, nester and file server here.
    wait_for $soon nothing_left
    is_beginning "$where"
    [ "$inner" != 0 ] || same "$what: files" "made $count" "$(cat "$tmp/out")"
    rm -f "$dir/stop"
    echo "ok: $what: statuses $outer, $inner; $count files; $(head -n 1 "$tmp/err")"
}

rows=0
while read -r what side outer inner; do
    rows=$((rows + 1))
    is_ours $((rows - 1)) || continue
    [ $# = 0 ] || [ "$1" = "$what" ] || continue
    case_of "$what" "$side" "$outer" "$inner"
    [ "$what" != nester ] || { cat "$dir/again"; grep -q "^mrc: n2: " "$dir/again" && rm "$dir/again"; } || fail "a job's further mrc: $(cat "$dir/again")"
done <<'TABLE'
nester            here    0   0
session           here    0   255
second            here    0   137
second_server     here    0   255
second_connection here    0   255
second_finder     here    0   0
broker            here    0   0
proxy             here    0   255
first             here    137 137
dialer            n1      0   255
inner             n1      0   137
supervisor1       n1      255 255
agent1            n1      255 255
supervisor2       n2      0   255
agent2            n2      0   255
3s                head-n1 0   0
3s                n1-n2   0   0
inf               n1-n2   0   255
TABLE
[ $# != 0 ] || same "cases" "18 6" "$rows $cases"
has_silent || exit 0

echo "# who connects for a job and says nothing"
wait $silent || fail "it failed: $(cat "$tmp/silent")"
seconds=$(cat "$tmp/silent")
[ "$seconds" -ge 59 ] && [ "$seconds" -le 75 ] || fail "it was let go after $seconds s instead of 60"
