#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# onto.sh: mrc onto a cluster: a job there is started by mosrun, its home is the target, its files are the head's; it moves on to
# another node of the cluster, prints and ends as it would here, and gets its signals.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
lab_up 2
on_node() { local n=$1; shift; "$lab" --name "$name" run "$n" -- "$@"; }
mkdir "$tmp/etc"
printf 'n1 10.77.0.1\nn2 10.77.0.2\n' >"$tmp/etc/nodes"
od -An -tx1 -N32 /dev/urandom | tr -d ' \n' >"$tmp/etc/key"
chmod 600 "$tmp/etc/key"
for n in n1 n2; do
    tar -C "$tmp/etc" -c . | on_node $n sh -c 'mkdir -p /etc/mosix && tar -C /etc/mosix -x --no-same-owner' || fail "files on $n"
    on_node $n sh -c 'cat >/usr/local/sbin/mosixd && chmod +x /usr/local/sbin/mosixd' <"$top_builddir/mosix-core/mosixd/mosixd" || fail "mosixd on $n"
    for program in mosrun migrate mosps; do
        on_node $n sh -c "cat >/usr/local/bin/$program && chmod +x /usr/local/bin/$program" <"$top_builddir/mosix-core/cmd/$program" || fail "$program on $n"
    done
    : >"$tmp/log.$n"
    on_node $n /usr/local/sbin/mosixd -v >>"$tmp/log.$n" 2>&1 </dev/null &
    disown $!
    wait_for 10 grep -q listens "$tmp/log.$n"
done
cp "$top_builddir/tests/migrate/counter" "$dir/counter"
chown "$user:" "$dir/counter"

there() { on_node n1 mosps -a | awk '$1 ~ /^[0-9]+$/ { print $1; exit }'; }
is_there() { [ -n "$(there)" ]; }
is_gone() { ! is_there; }
is_at() { [ "$(on_node n1 mosps -a | awk -v pid="$1" '$1 == pid { print $2 }')" = "$2" ]; }
has_line() { [ -s "$tmp/out" ]; }
# away COMMAND...: starts it by mosrun in a job on n1, and moves it to n2; $pid is mrc
away()
{
    : >"$tmp/out"
    m alice@n1 -- mosrun "$@" >"$tmp/out" 2>"$tmp/err" </dev/null & pid=$!
    wait_for 20 is_there
    local job
    job=$(there)
    on_node n1 migrate "$job" n2 || fail "migrate: $(cat "$tmp/log.n1")"
    wait_for 20 is_at "$job" n2
}
ends()
{
    local got=0
    wait $pid || got=$?
    same "status of $1 ($(tail -3 "$tmp/err"))" "$2" $got
    wait_for 10 is_gone
}

here ./counter 150 20 >"$tmp/native" 2>&1
native=$?
away ./counter 150 20
"$lab" --name "$name" link head n1 --cut 2s
ends counter $native
cmp "$tmp/native" "$tmp/out" || fail "output of counter"
echo "ok: a job that moves on to another node, and whose connection to the head is cut for two seconds"

here sh -c 'seq 1500000 >numbers'
away gzip -9 -n -k numbers
ends gzip 0
here sh -c 'gzip -9 -n <numbers' | cmp - "$dir/numbers.gz" || fail "what gzip wrote"
echo "ok: it reads and writes the head's files there"

away ./counter 100000 20
wait_for 10 has_line
kill -INT "$(pgrep -P $pid | head -1)" || fail "no mrc to interrupt"
ends "what was interrupted" 130
echo "ok: it gets its signals there"
