#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-killed.sh: each process of a job is killed in turn, and the link is cut, while the job makes, writes and renames files whose
# changes are on the way. Each time: the end comes soon and with words (or the job goes on, on a new
# connection where it takes one); what is on the head is a beginning of what the job did; nothing but the cache is left on the
# target, nothing at all here; the next job is well.
. "${top_srcdir:-.}/tests/lib/functions.sh"
in_parts 4
. "$top_srcdir/tests/lib/mrc_lab.sh"

lab_up 1
mkdir -m 700 "$tmp/run"
chown "$user:" "$tmp/run"
export XDG_RUNTIME_DIR=$tmp/run MRC_HUB_IDLE=120 MRC_SILENCE=6
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY
limit=60
soon=25 # seconds for an end: silence, the processes' turns, and a busy computer
at_exit 'here mrc stop --jobs >/dev/null 2>&1'
far() { "$lab" --name "$name" link head n1 --delay 15ms --rate 100mbit "$@"; }
far

# ---- who is who ----

# Processes here that belong to this test: "pid parent session name" of each.
ours() { ps -u "$user" -o pid=,ppid=,sid=,comm= | while read -r pid rest; do
    [ "/proc/$pid/ns/mnt" -ef /proc/self/ns/mnt ] && echo "$pid $rest"; done; }
hub() { for pid in $(ours | awk '{ print $1 }'); do
    tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qx -- --hub-process && echo "$pid"; done; }
broker() { ours | awk '$4 == "mrc-leases" { print $1 }'; }
keeper() { ours | awk '$4 == "mrc-view" { is[$1]; up[$1] = $2 } END { for (p in is) if (!(up[p] in is)) print p }'; }
kept_server() { ours | awk '$4 == "mrc-view" { is[$1]; up[$1] = $2 } END { for (p in is) if (up[p] in is) print p }'; }
front() { pgrep -o -u "$user" -f "^mrc -F $conf $how" ; }
# The connection of a kept view is a session of its own; without the hub, mrc has two children: the connection, and the file server,
# which has the broker's socket and the exports.
kept_connection() { local h; h=$(hub); ours | awk -v hub="$h" '$4 == "mrc" && $1 == $3 && $1 != hub { print $1 }'; }
own_child() { local p; for p in $(pgrep -P "$(front)"); do
    if [ -n "$(find "/proc/$p/fd" -lname "$home*" 2>/dev/null)" ]; then echo "server $p"; else echo "connection $p"; fi; done | awk -v what="$1" '$1 == what { print $2 }'; }
own_server() { own_child server; }
own_connection() { own_child connection; }
# On the target: up from the job's shell.
shell() { node pgrep -o -f '^sh job.sh'; }
above() { node sh -c 'p=$(pgrep -o -f "^sh job.sh"); for i in $(seq '"$1"'); do p=$(awk "{ print \$4 }" /proc/$p/stat); done; echo $p'; }
supervisor() { above 1; }
builder() { above 2; }
agent() { above 3; }
view_agent() { node sh -c 'pgrep -o -x mrc-view'; }
view_holder() { node sh -c 'pgrep -P "$(pgrep -o -x mrc-view)"'; }
sshd_there() { node pgrep -o -f '^sshd: alice@notty'; }

here_kill() { kill -9 "$1"; }
there_kill() { node kill -9 "$1"; }

# ---- the job ----

cat >"$dir/job.sh" <<'J'
mkdir "$1" || exit 3
i=0
until [ -e stop ]; do
    i=$((i + 1))
    echo "$i $i $i" >"$1/f$i" && mv "$1/f$i" "$1/g$i" || exit 4
done
echo "made $i"
J
chown "$user:" "$dir/job.sh"

# is_beginning DIRECTORY: what is there are the first files, all of them whole; at most the last has not got its name yet. Sets $count.
is_beginning()
{
    count=0
    while [ -e "$1/g$((count + 1))" ]; do
        count=$((count + 1))
        [ "$(cat "$1/g$count")" = "$count $count $count" ] || fail "$what: g$count is '$(cat "$1/g$count")'"
    done
    local others
    others=$(find "$1" -mindepth 1 ! -name "f$((count + 1))" | wc -l)
    [ "$others" = "$count" ] || fail "$what: $count files in order, of $others: $(find "$1" -mindepth 1 -printf '%f\n' | sort -V | tail -n 5 | paste -sd ' ')"
}

gone_there()
{
    node sh -c '! ps -eo comm= | grep -q "^agent-\|^mrc-view" && ! pgrep -f "^sh job.sh" >/dev/null && ! grep -q mrcfs /proc/mounts'
}
# Empty directories that were mounted on are removed by the next agent if the one that made them was killed, or ended before its jobs.
nothing_there()
{
    gone_there && node sh -c '[ -z "$(ls -A /tmp)" ] && [ "$(ls -A /home/alice | grep -v "^\.ssh$")" = .cache ] &&
        [ -z "$(ls -A /home/alice/.cache/mrc/views 2>/dev/null)" ]'
}
nothing_here() { [ -z "$(ours | awk '$4 != "mrc-leases"')" ]; }

cases=0
# case_of HOW WHAT SIDE STATUS: HOW options of mrc, "" with a kept view that is there already; WHAT one of the functions above; STATUS of mrc, 0: the job goes on
case_of()
{
    how=$1
    what="$2 ${1:-(kept view)}"
    local side=$3 expected=$4 pid rc=0 began victim where=d$cases
    cases=$((cases + 1))
    if [ -z "$how" ]; then
        m alice@n1 true || fail "$what: before it"
        wait_for 10 eval 'here mrc ps | grep -q " view "'
    fi
    # shellcheck disable=SC2086
    here timeout "$limit" mrc -F "$conf" $how alice@n1 sh job.sh "$where" >"$tmp/out" 2>"$tmp/err" </dev/null &
    pid=$!
    wait_for 20 test -e "$dir/$where/g30"
    if [ "$side" = link ]; then
        far --cut 15s
    else
        victim=$($2)
        [ "$(echo "$victim" | wc -w)" = 1 ] || fail "$what: which is it: '$victim'"
        "${side}_kill" "$victim" || fail "$what: kill $victim"
    fi
    began=$(date +%s)
    if [ "$expected" = 0 ]; then
        sleep 1
        here touch stop
    fi
    wait $pid || rc=$?
    [ $(($(date +%s) - began)) -le $soon ] || fail "$what: the end took $(($(date +%s) - began)) s"
    same "$what: status, $(cat "$tmp/err")" "$expected" $rc
    if [ "$expected" = 255 ]; then
        [ "$(grep -c '^mrc: .*n1' "$tmp/err")" -ge 1 ] && [ "$(wc -l <"$tmp/err")" -le 2 ] || fail "$what: words: '$(cat "$tmp/err")'"
    fi
    wait_for $soon eval '! node pgrep -f "^sh job.sh" >/dev/null'
    is_beginning "$dir/$where"
    [ "$expected" != 0 ] || same "$what: files" "made $count" "$(cat "$tmp/out")"
    rm -f "$dir/stop"
    [ "$expected" = 0 ] || [ "$count" -ge 30 ] || fail "$what: only $count files"
    here mrc stop >/dev/null
    wait_for $soon nothing_here
    wait_for $soon gone_there
    # shellcheck disable=SC2086
    same "$what: the next job" "$count" "$(m $how alice@n1 sh -c "ls $where | grep -c ^g")"
    here mrc stop >/dev/null
    wait_for $soon nothing_there
    echo "ok: $what: status $rc, $count files; $(grep -m 1 '^mrc: ' "$tmp/err")"
}

rows=0
while read -r what side expected how; do
    ! is_ours $rows || case_of "$how" "$what" "$side" "$expected"
    rows=$((rows + 1))
done <<'TABLE'
hub             here  0
broker          here  0
keeper          here  255
kept_server     here  255
kept_connection here  0
front           here  137
view_agent      there 255
sshd_there      there 0
agent           there 255
builder         there 255
supervisor      there 255
shell           there 137
cut             link  0
cut             link  255  --reconnect-for 0
own_server      here  255  --no-hub
own_connection  here  0    --no-hub
front           here  137  --no-hub
agent           there 255  --no-hub
supervisor      there 255  --no-hub
cut             link  0    --no-hub
TABLE
same "cases" "20 5" "$rows $cases"
echo "mrc-killed: ok"
