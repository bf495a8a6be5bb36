#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-broker.sh: the broker of leases is killed: jobs go on, changes are seen, and a kept view answers from what it knows again when
# another broker has taken its place.
if [ "$(id -u)" = 0 ] && [ -z "${MRC_OWN_MEETING:-}" ]; then # a broker of its own: the user's may serve others
    MRC_OWN_MEETING=1 exec unshare -m --propagation private bash "$0" "$@"
fi
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"

requires unshare
lab_up 1
uid=$(id -u "$user")
mkdir -p "/tmp/mrc-$uid" "$tmp/meeting"
chmod 700 "$tmp/meeting"
chown "$user:" "/tmp/mrc-$uid" "$tmp/meeting"
mount --bind "$tmp/meeting" "/tmp/mrc-$uid" || fail "bind"
at_exit 'umount -l "/tmp/mrc-$uid"'
dir_hub=$tmp/run
mkdir -m 700 "$dir_hub"
chown "$user:" "$dir_hub"
export XDG_RUNTIME_DIR=$dir_hub MRC_HUB_IDLE=120
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY
at_exit 'here mrc stop --jobs >/dev/null 2>&1'

v() { here timeout $limit mrc -v --consistency lease -F "$conf" "$@"; }
job() { v --stats alice@n1 "$@" 2>"$tmp/err"; }
asked() { sed -n "s/.*[ :]\([0-9]*\) $1.*/\1/p" "$tmp/err"; }
# Ours: in this mount namespace.
ours() { for pid in $(ps -u "$user" -o pid=,comm= | awk -v c="$1" '$2 == c { print $1 }'); do
    [ "$(readlink "/proc/$pid/ns/mnt")" != "$(readlink /proc/$$/ns/mnt)" ] || echo "$pid"; done 2>/dev/null; }
is_view() { here mrc ps | grep -q ' view '; }
needles() { same "$1" "${2:-60}" "$(job sh -c 'grep -r needle many | wc -l')"; }
is_fast() { needles "lines" "$lines" && [ "$(asked 'round trips waited for')" -le 2 ]; }

mkdir "$dir/many"
for i in $(seq 60); do echo "needle $i" >"$dir/many/f$i"; done
chown -R "$user:" "$dir"
find "$dir" -exec touch -d '1 hour ago' {} +
lines=60
needles "first"
wait_for 10 is_view
wait_for 20 is_fast

echo "1. killed between jobs"
[ "$(ours mrc-leases | wc -w)" = 1 ] || fail "brokers: $(ours mrc-leases)"
began=${EPOCHREALTIME/[.,]/}
kill -9 "$(ours mrc-leases)"
needles "without a broker"
cold=$(asked 'round trips waited for')
[ "$cold" -gt 2 ] || fail "it goes on as if there were a broker: $(cat "$tmp/err")"
echo "needle more" >"$dir/many/more"
lines=61
wait_for 40 is_fast
echo "   $cold round trips without a broker; at most 2 again after $(((${EPOCHREALTIME/[.,]/} - began) / 1000)) ms"
[ $((${EPOCHREALTIME/[.,]/} - began)) -ge 10000000 ] || fail "too early"
[ "$(ours mrc-leases | wc -w)" = 1 ] || fail "brokers: $(ours mrc-leases)"
echo "needle less" >"$dir/many/f1"
rm "$dir/many/f2"
lines=60
needles "after a change here" 60

echo "2. killed while a job writes and reads"
v alice@n1 sh -c 'for i in $(seq 400); do echo "line $i" >>log; [ "$(wc -l <log)" = "$i" ] || exit 9; mkdir d$i || exit 8; done; wc -l <log' \
    >"$tmp/out" 2>"$tmp/err" &
pid=$!
wait_for 10 [ -s "$dir/log" ]
kill -9 "$(ours mrc-leases)"
wait $pid || fail "a job while the broker is killed: $(cat "$tmp/err")"
same "what it read" 400 "$(cat "$tmp/out")"
same "what it wrote" "$(seq -f 'line %g' 400 | sha256sum)" "$(sha256sum <"$dir/log")"
same "what it made" 400 "$(find "$dir" -maxdepth 1 -name 'd[0-9]*' | wc -l)"
wait_for 40 is_fast

echo "3. nobody can find another one"
# shellcheck disable=SC2046
kill -9 $(ours mrc-finder)
kill -9 "$(ours mrc-leases)"
needles "without a finder"
sleep 12
needles "later"
[ "$(asked 'round trips waited for')" -gt 2 ] || fail "it believes without a broker: $(cat "$tmp/err")"

here mrc stop >/dev/null
wait_for 20 eval '[ -z "$(ours mrc-finder)$(ours mrc-view)" ]'
wait_for 20 eval '[ -z "$(ours mrc-leases)" ]'
echo "mrc-broker: ok"
