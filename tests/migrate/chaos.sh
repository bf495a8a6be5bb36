#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# chaos.sh: unmodified programs, root's and an ordinary user's, are moved between three nodes every 50 ms, anywhere, while they
# run: what they print, how they end and the files that they write are those of a native run; and nothing is left of them.
# Usage: chaos.sh [SECONDS]: then again and again, for so long.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
requires gzip bc awk /usr/bin/python3
cluster_up
user=$(test_user)
mkdir "$tmp/u" && chown "$user:" "$tmp/u" && cd "$tmp/u" || exit 99
head -c 20000000 /dev/urandom >in
echo 'scale=1100; for (i = 1; i < 4; i++) a(1) / i' >in.bc
cat >in.py <<'PY'
import hashlib
seen, x = {}, 1
with open("out.py.txt", "w") as out:
    for i in range(2500000):
        x = (x * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        seen[x % 5000] = seen.get(x % 5000, 0) + 1
        if i % 250000 == 0:
            print(i, x, flush=True)
            print(x, file=out, flush=True)
print(hashlib.sha256(repr(sorted(seen.items())).encode()).hexdigest())
raise SystemExit(5)
PY
cat >in.awk <<'AWK'
BEGIN { for (i = 0; i < 12000000; i++) { s += sin(i); a[i % 1000] = s } printf "%.10f %d\n", s, length(a) }
AWK

# as WHO: root or user; sets "prefix", with which a command is still one process
as()
{
    prefix=()
    [ "$1" = root ] || prefix=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups --inh-caps=-all)
}

moves_of() { mosps -a | awk -v pid="$1" '$1 == pid { print $4 }'; }

# chaos WHO LEAST COMMAND...: is moved at least so often
chaos()
{
    local who=$1 least=$2 native=0 got=0 moved=0 now
    shift 2
    as "$who"
    : >"$tmp/refused"
    rm -f out.*
    "${prefix[@]}" "$@" >"$tmp/native" 2>"$tmp/native.err" </dev/null || native=$?
    [ ! -e out.py.txt ] || mv out.py.txt "$tmp/native.file"
    "${prefix[@]}" mosrun "$@" >"$tmp/out" 2>"$tmp/err" </dev/null & pid=$!
    at_exit "kill -9 $pid 2>/dev/null"
    wait_for 10 sh -c "[ \"\$(cat /proc/$pid/comm 2>/dev/null)\" != mosrun ] && [ \"\$(cat /proc/$pid/comm)\" != setpriv ]"
    sleep 0.1 # past the dynamic linker, whose maps of files can't be made away from home yet
    local start
    start=$(date +%s%3N)
    while ! is_gone $pid; do
        case $((RANDOM % 3)) in 0) to=home ;; 1) to=n1 ;; 2) to=n2 ;; esac
        "${prefix[@]}" migrate $pid $to 2>>"$tmp/refused"
        sleep 0.05
        now=$(moves_of $pid)
        [ "${now:-0}" -le $moved ] || moved=$now
    done
    wait $pid || got=$?
    echo "# $who: $*: $moved moves in $(($(date +%s%3N) - start)) ms"
    same "status of $* ($(cat "$tmp/err"), $(tail -c 99 "$tmp/out" | tr -d "\0"))" $native $got
    cmp "$tmp/native" "$tmp/out" || fail "output of $*"
    cmp "$tmp/native.err" "$tmp/err" || fail "errors of $*"
    [ ! -e out.py.txt ] || cmp out.py.txt "$tmp/native.file" || fail "file of $*"
    [ "$moved" -ge "$least" ] || fail "$* was moved only $moved times: $(tail -n 5 "$tmp/refused" "$log")"
    total=$((total + moved))
    wait_for 10 none_inside $pid
}
total=0

end=$(($(date +%s) + ${1:-0}))
while :; do
    for who in root user; do
        chaos $who 1 "$top_builddir/tests/migrate/counter" 25 30
        chaos $who 1 gzip -c in
        chaos $who 1 bc -lq in.bc
        chaos $who 1 awk -f in.awk
        chaos $who 1 /usr/bin/python3 in.py
    done
    [ "$(date +%s)" -lt $end ] || break
done
[ $total -ge 30 ] || fail "only $total moves in all"
wait_for 10 sh -c "[ -z \"\$(ls '$MOSIX_RUN/j')\" ]"
