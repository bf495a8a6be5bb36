#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# monitors.sh: mon and mosweb of a real cluster: who is there, who dies, who comes back; a job; mosixd of this node killed and
# started again under both.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/cluster/lab.sh"
requires curl python3
mosweb=$top_builddir/gossip/monitor/mosweb
[ -x "$mosweb" ] || skip "mosweb is not built (--without-mosweb)"
lab_up 2
at_exit 'kill $job $web 2>/dev/null'
job=
web=
on_head() { cluster run head "$@"; }
list() { on_head env COLUMNS=100 "$top_builddir/gossip/monitor/mon" --once >"$tmp/list" 2>"$tmp/words"; }
# line NODE REGEX: what mon says of it
line() { list && grep -Eq "^ *[0-9]+ $1 +$2" "$tmp/list"; }
metric() { on_head curl -s -m 5 "${url}metrics" >"$tmp/metrics" && grep -Eq "$1" "$tmp/metrics"; }
wait_for 20 line n2 'alive +[^ ]+ +[0-9]+[.][0-9]+ '
wait_for 20 line n1 alive
grep -q ' 3 nodes: 3 alive' "$tmp/list" || fail "the title: $(head -n 1 "$tmp/list")"

: >"$tmp/url"
on_head "$mosweb" --listen 127.0.0.1:0 -i 1 >"$tmp/url" 2>"$tmp/web" &
web=$!
wait_for 10 grep -q . "$tmp/url"
url=$(cat "$tmp/url")
wait_for 10 metric '^mosix_cluster_nodes\{cluster="main",number="[0-9]+",state="alive"\} 3$'
python3 "$top_srcdir/tests/cluster/openmetrics.py" "$tmp/metrics" >/dev/null || fail "metrics"
metric '^mosix_gossip_bytes_total\{direction="sent"\} [1-9]' || wait_for 10 metric '^mosix_gossip_bytes_total\{direction="sent"\} [1-9]'

on_head mosrun sleep 60 &
job=$!
wait_for 10 eval 'on_head curl -s -m 5 "${url}api/v1/processes" | grep -q "\"command\":\"sleep\",\"where\":\"home\""'
kill "$job"

cluster kill n2
wait_for 15 line n2 'DEAD +no answer for'
wait_for 5 metric '^mosix_node_state\{node="2",name="n2",cluster="main",mosix_node_state="dead"\} 1$'
cluster start n2
wait_for 15 line n2 alive

cluster kill head
wait_for 5 eval '! list'
same "without a daemon" "mon: no mosixd runs on this node" "$(sed 's/ (.*//' "$tmp/words")"
wait_for 5 metric '^mosix_up 0$'
cluster start head
wait_for 15 line n2 alive
wait_for 5 metric '^mosix_up 1$'
kill "$web"
wait "$web" 2>/dev/null
web=
