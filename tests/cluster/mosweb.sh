#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mosweb.sh: what mosweb serves, of a daemon that answers, is not there and comes back; who is refused; who takes too long;
# privilege. Its page in a browser: mosweb-page.sh.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires curl python3
mosweb=$top_builddir/gossip/monitor/mosweb
[ -x "$mosweb" ] || skip "mosweb is not built (--without-mosweb)"
in_parts 2
run=$tmp/run
standin=
web=
at_exit 'kill $standin $web 2>/dev/null'
daemon()
{
    no_daemon
    : >"$tmp/says"
    "$top_builddir/tests/cluster/standin" "$run" "$@" >"$tmp/says" 2>&1 &
    standin=$!
    wait_for 5 grep -q ready "$tmp/says"
}
no_daemon()
{
    [ -z "$standin" ] || { kill "$standin" && wait "$standin" 2>/dev/null; }
    standin=
}
# serve OPTION...: a mosweb, the one before ends; $url
serve()
{
    [ -z "$web" ] || { kill "$web" && wait "$web"; }
    : >"$tmp/url"
    "$mosweb" --run "$run" --listen 127.0.0.1:0 -i 1 "$@" >"$tmp/url" 2>"$tmp/web" &
    web=$!
    wait_for 5 grep -q . "$tmp/url"
    url=$(cat "$tmp/url")
    url=${url%/}
}
get() { curl -s -m 10 "$@"; }
code() { curl -s -m 10 -o /dev/null -w '%{http_code}' "$@"; }
python=$(python3 -c 'import sys; print(sys.executable)') # without what may stand before it
# says EXPRESSION URL: of Python, about j, its JSON
says()
{
    get "$2" >"$tmp/json" || fail "get $2"
    "$python" -IS -c 'import json, sys; j = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$tmp/json" "$1" || fail "$2: $(head -c 300 "$tmp/json")"
}
api() { says "$1" "$url/api/v1/$2"; }

if is_ours 0; then
daemon nodes=300 clusters=3 seed=5
serve
wait_for 5 eval '[ "$(api "j[\"is_answered\"]" overview)" = True ]'
same "nodes of three clusters" "300 100 100 100" "$(api '" ".join(str(c["nodes"]) for c in [j["all"]] + j["clusters"])' overview)"
same "a page of nodes" "100 300 True" "$(api 'len(j["nodes"]), j["chosen"], j["nodes"][0]["load_centi"] >= j["nodes"][99]["load_centi"]' 'nodes?order=load' | tr -d '(),')"
same "what is found" "n77" "$(api 'j["nodes"][0]["name"]' 'nodes?find=N77&count=1')"
same "one cluster" "100 101" "$(api 'j["chosen"], j["nodes"][0]["number"]' 'nodes?cluster=1' | tr -d '(),')"
same "arguments that make no sense" "300" "$(api 'j["chosen"]' 'nodes?cluster=-1&order=x&first=99999999999999999999&count=%00&dead=')"
same "a map" "300" "$(api 'len(j["cells"])' map)"
same "a history" "True" "$(api 'len(j["load_centi"]) >= 1' 'history?cluster=0')"
same "jobs and guests" "8 4" "$(api 'sum(not p["is_guest"] for p in j["processes"]), sum(p["is_guest"] for p in j["processes"])' processes | tr -d '(),')"
same "what mosixd said" "mosix/1" "$(api 'j["schema"]' status)"
get "$url/metrics" >"$tmp/metrics"
"$python" - "$top_srcdir/tests/cluster" "$tmp/metrics" <<'PY' || fail "metrics"
import sys
sys.path.insert(0, sys.argv[1])
from openmetrics import parse
samples, types = parse(open(sys.argv[2], newline='').read())
assert samples['mosix_up'][()] == 1
assert samples['mosix_node_memory_bytes'] and all(v % (1 << 20) == 0 for v in samples['mosix_node_memory_bytes'].values())
assert sum(samples['mosix_cluster_nodes'].values()) == 300
assert sum(samples['mosix_node_state'].values()) == 300
assert samples['mosix_gossip_bytes_total'][(('direction', 'sent'),)] == 900000
assert samples['mosix_gossip_refused_datagrams_total'][(('reason', 'forged'),)] == 3
assert types['mosix_board_entry_age_seconds'] == 'gaugehistogram'
PY
same "two events" 2 "$(curl -sN -m 4 "$url/api/v1/events" | grep -m 2 -c '^data: {"schema":"mosweb/1","kind":"overview"')"

# The page is one file, and may load nothing else; each time under another nonce.
get -D "$tmp/head" "$url/" >"$tmp/page"
grep -qi "^Content-Security-Policy: default-src 'none'; script-src 'nonce-[0-9a-f]\{32\}'; " "$tmp/head" || fail "policy: $(cat "$tmp/head")"
grep -qi '^X-Content-Type-Options: nosniff' "$tmp/head" || fail "nosniff"
nonce=$(sed -n "s/.*script-src 'nonce-\([0-9a-f]*\).*/\1/p" "$tmp/head")
same "the nonce in the page" 2 "$(grep -c "nonce=\"$nonce\"" "$tmp/page")"
[ "$(get "$url/" | cksum)" != "$(cksum <"$tmp/page")" ] || fail "two pages with one nonce"
grep -qE '(src|href)="(https?:)?//' "$tmp/page" && fail "the page loads something from elsewhere"

# Who is refused.
same "another name" 403 "$(code -H 'Host: evil.example' "$url/")"
same "a page elsewhere" 403 "$(code -H 'Sec-Fetch-Site: cross-site' "$url/api/v1/status")"
same "a link from elsewhere" 200 "$(code -H 'Sec-Fetch-Site: cross-site' "$url/")"
same "to change something" 405 "$(code -X DELETE "$url/api/v1/nodes")"
same "to send something" 413 "$(code -d x=y "$url/")"
same "nothing there" 404 "$(code "$url/../../etc/passwd" --path-as-is)"
same "only the head" "200" "$(code -I "$url/metrics")"
case $(code -H "X: $(head -c 40000 /dev/zero | tr '\0' a)" "$url/") in 431 | 413 | 000) ;; *) fail "a head of 40,000 bytes" ;; esac
for _ in $(seq 1 24); do curl -sN -m 8 -o /dev/null "$url/api/v1/events" & streams="${streams-} $!"; done
wait_for 5 eval '[ "$(code -m 1 "$url/api/v1/events")" = 503 ]'
same "others while many follow" 200 "$(code "$url/api/v1/overview")"
# shellcheck disable=SC2086
kill $streams 2>/dev/null
wait_for 5 eval '[ "$(code -m 1 "$url/api/v1/events")" = 200 ]'

# mosixd goes, talks nonsense, and comes back: said, and what was known stays.
no_daemon
wait_for 5 eval '[ "$(api "j[\"words\"]" overview)" = "no mosixd runs on this node ('"$run"'/control)" ]'
same "what was known" 300 "$(api 'j["all"]["nodes"]' overview)"
grep -q '^mosix_up 0$' <(get "$url/metrics") || fail "mosix_up"
daemon bad=garbage
wait_for 5 eval '[ "$(api "j[\"words\"]" overview)" = "mosixd'"'"'s answer makes no sense" ]'
daemon nodes=8 bad=hostile
wait_for 5 eval '[ "$(api "j[\"is_answered\"]" overview)" = True ]'
get "$url/api/v1/nodes" | grep -q '[<>]' && fail "marks in JSON"
get "$url/metrics" >"$tmp/metrics"
"$python" "$top_srcdir/tests/cluster/openmetrics.py" "$tmp/metrics" >/dev/null || fail "metrics of hostile names"

fi

is_ours 1 || exit 0
# Who takes too long; who doesn't show processes; a name of ours; what root's becomes.
daemon nodes=4000 clusters=18
serve --patience 2 --no-processes --host mon.example
same "a name of ours" 200 "$(code -H 'Host: mon.example:80' "$url/")"
same "no processes" 404 "$(code "$url/api/v1/processes")"
wait_for 5 eval '[ "$(api "j[\"is_answered\"]" overview)" = True ]'
"$python" - "${url##*:}" <<'PY' || fail "slow clients"
import socket, sys, time
def client(said):
    s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    s.sendall(said)
    return s
slow = {'half a request': client(b'GET / HT'), 'nothing': client(b''), 'an answer unread': client(b'GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n')}
began, trickle = time.time(), slow['half a request']
while time.time() - began < 4:
    try:
        trickle.sendall(b'A')
    except OSError:
        break
    time.sleep(0.3)
else:
    sys.exit('a request of a byte at a time is waited for')
for name, s in slow.items():
    s.settimeout(3)
    try:
        got = 0
        while piece := s.recv(1 << 20):
            got += len(piece)
        assert got < 1500000, name + ': had all'
    except ConnectionError:
        pass
PY
same "after them" 200 "$(code "$url/")"
if [ "$(id -u)" = 0 ]; then
    same "user and group" "65534 65534" "$(awk '/^[UG]id:/ { print $2 }' "/proc/$web/status" | xargs)"
    grep -Eq '^CapEff:\s*0+$' "/proc/$web/status" || fail "capabilities"
fi
grep -Eq '^NoNewPrivs:\s*1' "/proc/$web/status" || fail "new privileges"
kill "$web"
wait "$web"
same "its end" 0 $?
web=
: >"$tmp/url"
"$mosweb" --listen 0.0.0.0:0 --run "$run" 2>"$tmp/words" >"$tmp/url" &
web=$!
wait_for 5 grep -q . "$tmp/url"
grep -q 'there is no password, and nothing is encrypted' "$tmp/words" || fail "no words about listening for all: $(cat "$tmp/words")"
