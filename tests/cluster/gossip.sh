#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# gossip.sh: a certified cluster of five nodes in the lab: they find each other; one that is killed is suspected by all within three
# seconds, then dead, refused at once, and back in a greater life; one that stands still for three seconds is not declared dead; a
# job goes on when its home's daemon is killed; a wrong map changes nothing and is said; keys are rotated while a node sleeps; a
# revoked node is refused; what strangers send changes nothing. Two clusters, side by side.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires root python3
in_parts 2
. "$top_srcdir/tests/cluster/lab.sh"
counter=$top_builddir/tests/migrate/counter
nodes='head n1 n2 n3 n4'
now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
pid_of() { if [ "$1" = head ]; then cat "$dir/pid.head"; else cluster run "$1" cat /run/mosixd.pid; fi; }
signal() { if [ "$1" = head ]; then kill "-$2" "$(pid_of head)"; else cluster run "$1" kill "-$2" "$(pid_of "$1")"; fi; }
life_of() { json head status "[n['life'] for n in d['nodes'] if n['name'] == '$1'][0]"; }

lab_up 4
# shellcheck disable=SC2086 # a list
wait_for 15 is_whole 5 $nodes

if is_ours 0; then
    echo '# one is killed'
    before=$(life_of n4)
    # When it is killed, and when each of the others came to suspect it, both to the millisecond: neither the start of the killer nor
    # that of who asks is counted.
    killed=$(cluster run n4 python3 -c '
import os, time
pid = int(open("/run/mosixd.pid").read())
now = time.time()
os.kill(pid, 9)
print(int(now * 1000))') || fail "kill n4"
    # When it came to that, as the node itself says; if it was found dead already, it was suspected three seconds before at least.
    took()
    {
        local tries ms=99999
        for ((tries = 0; tries < 50 && ms == 99999; tries++)); do
            ms=$(json "$1" status "[d['time_ms'] - $killed - n['since_ms'] - (3000 if n['state'] == 'dead' else 0)
                if n['state'] in ('suspect', 'dead') else 99999 for n in d['nodes'] if n['name'] == 'n4'][0]")
        done
        echo "$ms" >"$tmp/took.$1"
    }
    sleep 1 # few are so fast
    for n in head n1 n2 n3; do
        took $n &
        took_pids="${took_pids-} $!"
    done
    # shellcheck disable=SC2086 # a list
    wait $took_pids
    for n in head n1 n2 n3; do
        echo "  $n suspects it after $(cat "$tmp/took.$n") ms"
        [ "$(cat "$tmp/took.$n")" -le 3000 ] || fail "$n suspected n4 after $(cat "$tmp/took.$n") ms"
    done
    wait_for 20 all_say dead n4 head n1 n2 n3
    echo '# who is dead is refused, at once'
    started=$(now_ms)
    words=$(cluster run head mosrun -rn4 true 2>&1) && fail "mosrun went to a dead node"
    [[ $words == *'node n4 is dead'* ]] || fail "mosrun says: $words"
    [ $(($(now_ms) - started)) -le 2000 ] || fail "the refusal took $(($(now_ms) - started)) ms"
    words=$(ask head status n4 2>&1 >/dev/null) && fail "status of a dead node succeeds"
    same 'status' 'mosctl: node n4 is dead' "$words"
    echo '# it comes back, in a greater life'
    cluster start n4 || fail "start n4"
    # shellcheck disable=SC2086
    wait_for 10 is_whole 5 $nodes
    [ "$(life_of n4)" -gt "$before" ] || fail "n4 is in life $(life_of n4), and was in $before"

    echo '# one stands still for three seconds'
    signal n3 STOP
    sleep 3 # that is the case
    signal n3 CONT
    # shellcheck disable=SC2086
    wait_for 10 is_whole 5 $nodes
    sleep 1 # it would be declared dead a moment later
    for n in head n1 n2 n4; do
        ! grep -q 'node n3 is dead' "$dir/log.$n" || fail "$n has declared n3 dead"
    done

    echo '# what strangers send changes nothing'
    before=$(json head status "[[n['number'], n['state'], n['life']] for n in d['nodes']]")
    cluster run n1 python3 -c '
import os, random, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(3000):
    head = b"MX\x01\x01" + os.urandom(4) if i % 3 else b"XM\x01" + bytes([random.randrange(256)])
    s.sendto(head + os.urandom(random.randrange(0, 1400 - len(head))), ("10.77.0.254", 7722))
'
    sleep 1 # longer than a suspicion takes
    same 'nodes' "$before" "$(json head status "[[n['number'], n['state'], n['life']] for n in d['nodes']]")"
    counts=$(json head localstatus "[d['gossip'][k] for k in ('malformed', 'forged', 'suspected', 'wrong')]")
    python3 -c "c = $counts; assert c[0] >= 2000 and c[1] == 0 and c[3] == 0, c" || fail "counts of the head: $counts"

    echo '# one that leaves says so'
    signal n2 TERM
    wait_for 5 all_say left n2 head n1 n3 n4
fi

if is_ours 1; then
    echo '# a daemon is killed while a job is away'
    cluster run head mosrun "$counter" 2000000000 20 >"$tmp/out" 2>"$tmp/err" &
    runner=$!
    job_of() { cluster run head mosps -a | awk '$NF ~ /counter/ { print $1; exit }'; }
    has_job() { [ -n "$(job_of)" ]; }
    wait_for 10 has_job
    job=$(job_of)
    place() { cluster run head mosps -a | awk -v p="$job" '$1 == p { print $2, $3 }'; }
    is_at() { [ "$(place)" = "$1 settled" ]; }
    cluster run head migrate "$job" n1 || fail "migrate to n1"
    wait_for 15 is_at n1
    has_guest() { [ "$(json n1 localstatus "d['node']['guests']")" = 1 ]; }
    wait_for 5 has_guest
    cluster kill head
    cluster start head || fail "start head"
    # shellcheck disable=SC2086
    wait_for 15 is_whole 5 $nodes
    is_at n1 || fail "the job is at $(place)"
    cluster run head mosctl localstatus >/dev/null || fail "localstatus"
    same 'processes' "[['n1', 'settled']]" "$(cluster run head python3 -c '
import json, os, socket
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["MOSIX_RUN"] + "/control")
s.sendall(b"processes\n")
s.shutdown(socket.SHUT_WR)
d = json.loads(s.makefile().read())
print([[j["where_name"], j["phase"]] for j in d["jobs"]])')"
    cluster run head migrate "$job" home || fail "migrate home"
    wait_for 15 is_at home
    kill "$job"
    wait $runner 2>/dev/null

    echo '# a map with an error'
    cp "$dir/head/mosix.map" "$tmp/good"
    echo '7 ant nowhere' >>"$dir/head/mosix.map"
    signal head HUP
    refused() { [[ $(json head localstatus "d['config']['error']") == *'mosix.map, line 6: numbers must ascend'* ]]; }
    wait_for 5 refused
    # shellcheck disable=SC2086
    is_whole 5 $nodes || fail "nodes were lost with a wrong map"
    cp "$tmp/good" "$dir/head/mosix.map"
    words=$(cluster run head setpe -w -d "$dir/head" -f /dev/null 2>&1) && fail "setpe takes no map at all"
    sed 's/10.77.0.254/10.77.0.253/' "$tmp/good" >"$tmp/moved"
    words=$(cluster run head setpe -w -d "$dir/head" -f "$tmp/moved" 2>&1) && fail "setpe takes another address"
    [[ $words == *'needs a new start'* ]] || fail "setpe says: $words"
    cmp "$tmp/good" "$dir/head/mosix.map" || fail "the map is not as it was"
    { cat "$tmp/good"; echo '300 far 10.77.0.200'; } >"$tmp/more"
    cluster run head setpe -w -d "$dir/head" -f "$tmp/more" 2>/dev/null || fail "setpe -w"
    cluster run head setpe -r | cmp - "$tmp/more" || fail "setpe -r"
    same 'config.error' None "$(json head localstatus "d['config']['error']")"
    cluster run head setpe -w -d "$dir/head" -f "$tmp/good" 2>/dev/null || fail "setpe -w"
    # shellcheck disable=SC2086
    is_whole 5 $nodes || fail "nodes were lost with a new map"

    echo '# keys are rotated while a node sleeps'
    signal n2 STOP
    cluster run head mosctl rotate -d "$dir/owner" >"$tmp/words" || fail "rotate"
    grep -q 'was given to this node' "$tmp/words" || fail "rotate says: $(cat "$tmp/words")"
    epoch_is() { local n; for n in "${@:2}"; do [ "$(json "$n" localstatus "d['gossip']['epoch']")" = "$1" ] || return 1; done; }
    wait_for 10 epoch_is 2 head n1 n3 n4
    signal n2 CONT
    wait_for 10 epoch_is 2 n2
    # shellcheck disable=SC2086
    wait_for 10 is_whole 5 $nodes

    echo '# a node is revoked'
    cluster run head mosctl revoke -d "$dir/owner" n3 >/dev/null || fail "revoke"
    wait_for 10 all_say dead n3 head n1 n2 n4
    words=$(cluster run head mosrun -rn3 true 2>&1) && fail "mosrun went to a revoked node"
    [[ $words == *'certificate was revoked'* ]] || fail "mosrun says: $words"
    # It would still send its own, and does not know: the others refuse the connection.
    cluster run n3 mosrun -rhead true >/dev/null 2>&1 && fail "a revoked node sent a process"
    said() { grep -q 'refused a connection: .*certificate was revoked' "$dir/log.head"; }
    # Who is refused may know it before the one that has refused has written so.
    refused_it() { said || [ "$(state n3 head)" != alive ]; }
    wait_for 5 refused_it
    # A restart forgets nothing.
    cluster kill n1
    cluster start n1 || fail "start n1"
    same 'n3 on n1' dead "$(state n1 n3)"
    same 'epoch on n1' 2 "$(json n1 localstatus "d['gossip']['epoch']")"
    # With a new certificate it is back.
    cluster run head mosctl certify -d "$dir/owner" -o "$dir/n3" n3 >/dev/null || fail "certify"
    cluster kill n3
    tar -C "$dir/n3" -c . | cluster run n3 tar -C /etc/mosix -x --no-same-owner
    cluster start n3 || fail "start n3"
    # shellcheck disable=SC2086
    wait_for 10 is_whole 5 $nodes
fi
