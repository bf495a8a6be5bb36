#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-views.sh: views that outlive their job: what the next job costs and sees, who gets which, who dies with whom.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"

requires python3 unshare setpriv
mkdir "$tmp/full" && mount -t tmpfs -o size=200m,mode=777 none "$tmp/full" && at_exit 'umount -l "$tmp/full"'
lab_up 1
dir_hub=$tmp/run
mkdir -m 700 "$dir_hub"
chown "$user:" "$dir_hub"
export XDG_RUNTIME_DIR=$dir_hub MRC_HUB_IDLE=120
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY
limit=60
at_exit 'here mrc stop --jobs >/dev/null 2>&1'

v() { here timeout $limit mrc -v --consistency lease -F "$conf" "$@"; }
job() { v alice@n1 "$@" 2>"$tmp/err"; }
# Of ours here: keepers, and the hub.
ours() { ps -u "$user" -o pid=,ppid=,comm=,args= | awk -v conf="$conf" -v comm="$1" '$3 == comm && index($0, "-F " conf) { print $1, $2 }'; }
keepers() { ours mrc-view | awk '{ pid[$1]; parent[$1] = $2 } END { for (p in pid) if (!(parent[p] in pid)) print p }'; }
servers() { ours mrc-view | awk '{ pid[$1]; parent[$1] = $2 } END { for (p in pid) if (parent[p] in pid) print p }'; }
# Of the view's on the target: its agent, and the process that holds the namespaces.
there() { node ps -eo pid=,ppid=,comm= | awk -v wants="$1" '$3 == "mrc-view" { pid[$1]; parent[$1] = $2 }
    END { for (p in pid) if ((parent[p] in pid) == (wants == "holder")) print p }'; }
# Of this test: the user may have others.
hub_pid() { for pid in $(ps -u "$user" -o pid=,args= | awk '/ --hub-process/ { print $1 }'); do
    ! tr '\0' '\n' <"/proc/$pid/environ" | grep -qx "XDG_RUNTIME_DIR=$dir_hub" || echo "$pid"; done 2>/dev/null; }
views() { here mrc ps | grep -c ' view '; }
has_views() { [ "$(views)" = "$1" ]; }
is_listed() { here mrc ps | grep -q "$1"; }
shares() { ! grep -q "view of the job's own" "$tmp/err"; }
# asked WORDS: the number before them in the statistics of the last job
asked() { sed -n "s/.*[ :]\([0-9]*\) $1.*/\1/p" "$tmp/err"; }
# fresh: no connection and no view, then one job: a view
fresh()
{
    here mrc stop >/dev/null
    wait_for 20 is_quiet
    job true || fail "first job: $(cat "$tmp/err")"
    wait_for 10 has_views 1
    settle
}
is_quiet() { [ -z "$(ours mrc-view)" ] && [ "$(node sh -c 'ps -eo comm | grep -c "^mrc-view\|^agent-"')" = 0 ]; }
# until a further agent waits for the next job
settle() { wait_for 20 eval '[ "$(node sh -c "ps -eo comm | grep -c ^agent-")" -ge 1 ]'; sleep 0.3; }

echo "1. the second job asks for nothing, and takes one round trip"
mkdir "$dir/many"
for i in $(seq 60); do echo "needle $i" >"$dir/many/f$i"; done
dd if=/dev/urandom of="$dir/big" bs=1M count=8 2>/dev/null
chown -R "$user:" "$dir"
find "$dir" -exec touch -d '1 hour ago' {} +
job true || fail "first: $(cat "$tmp/err")"
shares || fail "the first job has a view of its own: $(cat "$tmp/err")"
wait_for 10 has_views 1
settle
same "lines" 60 "$(job sh -c 'grep -r needle many | wc -l')"
settle
for _ in 1 2 3; do # what was changed just now is asked for again once
    same "lines again" 60 "$(v --stats alice@n1 sh -c 'grep -r needle many | wc -l' 2>"$tmp/err")"
    shares || fail "a further job has a view of its own: $(cat "$tmp/err")"
    [ "$(asked 'round trips waited for')" -gt 2 ] || break
    settle
done
echo "grep again: $(grep 'mrc: files' "$tmp/err")"
[ "$(asked 'round trips waited for')" -le 2 ] || fail "round trips of the second grep: $(cat "$tmp/err")"
[ "$(asked 'bytes of answers')" -lt 1000 ] || fail "data were sent again: $(cat "$tmp/err")"
settle
sum=$(sha256sum <"$dir/big")
same "big" "$sum" "$(job sha256sum <"$dir/big" 2>/dev/null)"
same "big file" "$sum" "$(job sh -c 'sha256sum <big')"
settle
# But for pages that the target's kernel has dropped on its own.
same "big file again" "$sum" "$(v --stats alice@n1 sh -c 'sha256sum <big' 2>"$tmp/err")"
[ "$(asked 'bytes of answers')" -lt 100000 ] || fail "data were sent again: $(cat "$tmp/err")"
settle
v --stats alice@n1 true 2>"$tmp/err" || fail "true: $(cat "$tmp/err")"
same "requests of true" 0 "$(asked 'requests, ')"
same "views" 1 "$(views)"
"$lab" --name "$name" link head n1 --delay 500ms
best=9000000
for _ in 1 2 3; do # TCP has to find out first that the way is long now
    settle
    sleep 2 # the next waiting agent has to be heard of
    began=${EPOCHREALTIME/[.,]/}
    job true || fail "far: $(cat "$tmp/err")"
    took=$((${EPOCHREALTIME/[.,]/} - began))
    shares || fail "far: a view of its own: $(cat "$tmp/err")"
    [ $took -ge 1000000 ] || fail "$took us for a round trip of 1000000 us"
    [ $took -ge $best ] || best=$took
done
echo "true on a live link: $best us, round trip 1000000 us"
[ $best -lt 1500000 ] || fail "true on a live link: $best us for a round trip of 1000000 us"
"$lab" --name "$name" link head n1 --clear
wait_for 20 has_views 1

echo "2. what the head changed before a job began is seen by it, what a job wrote is here when it has ended"
settle
for i in $(seq 12); do
    case $((i % 4)) in
    0) echo "in place $i" >"$dir/changing" ;;
    1) echo "renamed $i" >"$dir/new" && mv "$dir/new" "$dir/changing" ;;
    2) rm -f "$dir/changing" && echo "created $i" >"$dir/changing" ;;
    3) rm -rf "$dir/d" && mkdir "$dir/d" && echo "linked $i" >"$dir/d/x" && ln -f "$dir/d/x" "$dir/changing" ;;
    esac
    same "change $i" "$(cat "$dir/changing")" "$(job sh -c 'cat changing')"
    shares || fail "change $i: a view of its own: $(cat "$tmp/err")"
    job sh -c "echo there $i >written; mkdir -p made/$i; cat written changing >made/$i/both"
    same "written $i" "there $i" "$(cat "$dir/written")"
    same "both $i" "there $i $(cat "$dir/changing")" "$(tr '\n' ' ' <"$dir/made/$i/both" | sed 's/ $//')"
done
rm "$dir/changing"
same "removed" 1 "$(status job cat changing 2>/dev/null)"
job sh -c 'dd if=/dev/zero of=zeros bs=64k count=200 2>/dev/null'
same "size of what was written" 13107200 "$(stat -c %s "$dir/zeros")"
job flock written true
flock -n "$dir/written" true || fail "a lock of a job that has ended"

echo "3. two at once in one view; one is killed; many"
job sh -c 'until [ -e go ]; do sleep 0.1; done; cat go' >"$tmp/first" &
first=$!
wait_for 10 is_listed 'running .*cat go'
v alice@n1 sleep 1000 2>/dev/null &
wait_for 10 is_listed 'running .*sleep 1000'
wait_for 5 is_listed 'view .*(jobs: 2)'
kill -9 "$(here mrc ps | awk '/running .*sleep 1000/ { print $2 }')"
wait_for 10 node sh -c '! ps -eo args | grep -q "^sleep 1000"'
echo gone >"$dir/go"
wait $first || fail "the other job: $(cat "$tmp/err")"
same "the other job" gone "$(cat "$tmp/first")"
wait_for 5 is_listed 'view .*(jobs: 0)'
pids=
for i in 1 2 3 4 5; do
    (v alice@n1 sh -c "echo many-$i; cat >many/in-$i; cat many/in-$i" <<<"in-$i" >"$tmp/many.$i" 2>&1) &
    pids="$pids $!"
done
for pid in $pids; do wait "$pid" || fail "one of five: $(cat "$tmp"/many.*)"; done
for i in 1 2 3 4 5; do grep -q "^in-$i" "$tmp/many.$i" || fail "many: $(cat "$tmp/many.$i")"; done
same "job's own mounts and processes" "1" "$(job sh -c 'ls -d /proc/[0-9]* | wc -l' | awk '{ print $1 <= 4 }')"

echo "4. other options, another view; other eyes, another view"
same "hidden" 1 "$(status v --hide 'go' alice@n1 cat go 2>/dev/null)"
wait_for 5 has_views 2
same "not hidden" gone "$(job cat go)"
same "views" 2 "$(views)"
mkdir "$dir/other" && echo "hidden below" >"$dir/go.other"
cat >"$tmp/elsewhere" <<END
mount --bind "$dir/go.other" "$dir/go" && exec setpriv --reuid=$user --regid=$(id -g "$user") --init-groups \
    timeout 60 mrc -v --consistency lease -F "$conf" alice@n1 cat go
END
same "in another mount namespace" "hidden below" "$(cd "$dir" && "$lab" --name "$name" head -- env HOME="$home" unshare -m sh "$tmp/elsewhere" 2>"$tmp/err")"
shares || fail "in another mount namespace: $(cat "$tmp/err")"
wait_for 5 has_views 3
same "in this one" gone "$(job cat go)"
same "confined" gone "$(here setpriv --no-new-privs timeout 60 mrc -v --consistency lease -F "$conf" alice@n1 cat go 2>"$tmp/err")"
same "views with a confined one" 3 "$(views)"
for p in a b c d; do
    same "one of many views" gone "$(v --hide "nothing-$p" alice@n1 cat go 2>"$tmp/err")"
    settle
done
[ "$(views)" -le 4 ] || fail "more views than are allowed: $(here mrc ps)"
same "--scratch is not kept" "$(views) gone" "$(v --scratch "$dir/many" alice@n1 cat go 2>"$tmp/err" | sed "s/^/$(views) /")"

echo "5. an error that nobody was told is told at the end, and not again"
fresh
dir=$tmp/full
settle
"$lab" --name "$name" link head n1 --delay 200ms
sleep 2 # what is written is on its way when the job has ended
job sh -c "exec 3>big; : >$home/proj/opened; until [ -e $home/proj/filled ]; do sleep 0.1; done
    dd if=/dev/zero bs=64k count=16 2>/dev/null >&3; true" &
first=$!
wait_for 20 [ -e "$home/proj/opened" ]
here dd if=/dev/zero of=filler bs=64k 2>/dev/null
touch "$home/proj/filled"
rc=0
wait $first || rc=$?
"$lab" --name "$name" link head n1 --clear
same "a write that is lost" 255 $rc
grep -q '^mrc: n1: what was written last.* is lost: No space left' "$tmp/err" || fail "a write that is lost: $(cat "$tmp/err")"
rm "$tmp/full/filler"
settle
job sh -c 'rm big' || fail "a job after that: $(cat "$tmp/err")"
settle
job sh -c 'echo fine >small' || fail "after a lost write: $(cat "$tmp/err")"
shares || fail "after a lost write: a view of its own"
same "small" fine "$(cat "$tmp/full/small")"
# What is removed here is gone, although the view knows it.
here dd if=/dev/zero of=read bs=1M count=50 2>/dev/null
here dd if=/dev/zero of=found bs=1M count=50 2>/dev/null
here dd if=/dev/zero of=replaced bs=1M count=50 2>/dev/null
sleep 2
job sh -c 'cat read >/dev/null; ls -l found replaced >/dev/null'
free_mb() { df -m --output=avail "$tmp/full" | tail -1; }
[ "$(free_mb)" -lt 60 ] || fail "the disk is not as full as it should be: $(free_mb)"
rm "$tmp/full/read" "$tmp/full/found"
touch "$tmp/full/new"
mv "$tmp/full/new" "$tmp/full/replaced"
wait_for 10 eval '[ "$(free_mb)" -gt 190 ]'
dir=$home/proj

echo "6. each of its processes is killed while jobs run: one sentence, soon; then all is well again"
# dies WHAT COMMAND: a job runs, COMMAND is executed
dies()
{
    fresh
    v alice@n1 sleep 1000 >/dev/null 2>"$tmp/dies" &
    local pid=$! began rc=0
    wait_for 10 is_listed 'running .*sleep 1000'
    began=$(date +%s)
    eval "$2"
    wait $pid || rc=$?
    same "status: $1" 255 $rc
    [ $(($(date +%s) - began)) -le 15 ] || fail "$1: $(($(date +%s) - began)) s"
    grep '^mrc: n1: ' "$tmp/dies" | grep -v "hub keeps\|started, process" >"$tmp/words"
    same "sentences: $1: $(cat "$tmp/words")" 1 "$(wc -l <"$tmp/words")"
    wait_for 15 node sh -c '! ps -eo args | grep -q "^sleep 1000"'
    wait_for 15 eval '[ -z "$(there agent)" ]'
    job true || fail "after $1: $(cat "$tmp/err")"
    echo "   $1: $(cat "$tmp/words")"
}
dies "the file server" 'kill -9 $(servers)'
dies "the keeper" 'kill -9 $(keepers)'
dies "the view's agent" 'node kill -9 $(there agent)'
fresh
v alice@n1 sh -c 'until [ -e go2 ]; do sleep 0.1; done; cat go2; echo last >last' >"$tmp/first" 2>"$tmp/err" &
first=$!
wait_for 10 is_listed 'running .*go2'
kill -9 "$(hub_pid)"
sleep 0.5
echo "after the hub" >"$dir/go2"
wait $first || fail "a job when the hub is killed: $(cat "$tmp/err")"
same "a job when the hub is killed" "after the hub last" "$(cat "$tmp/first" "$dir/last" | tr '\n' ' ' | sed 's/ $//')"
wait_for 20 is_quiet
fresh
v alice@n1 sleep 1000 >/dev/null 2>"$tmp/dies" &
pid=$!
wait_for 10 is_listed 'running .*sleep 1000'
node kill -9 "$(there holder)"
wait_for 10 eval '[ -z "$(there holder)" ]'
kill -9 "$(here mrc ps | awk '/running .*sleep 1000/ { print $2 }')"
wait $pid
wait_for 15 node sh -c '! ps -eo args | grep -q "^sleep 1000"'

echo "7. a view that does not let anybody in"
fresh
node kill -STOP "$(there agent)"
same "a stopped view" fine "$(job sh -c 'echo fine')"
grep -q "view of the job's own: the view was not there in time" "$tmp/err" || fail "a stopped view: $(cat "$tmp/err")"
node kill -CONT "$(there agent)"

echo "8. idle, and nothing left"
here mrc stop >/dev/null
wait_for 20 is_quiet
same "idle" fine "$(MRC_HUB_IDLE=2 job sh -c 'echo fine')"
wait_for 20 is_quiet
same "nothing left there" "" "$(node sh -c 'ls -A /tmp; grep mrcfs /proc/mounts; ls -A /home/alice/.cache/mrc/views 2>/dev/null')"
same "no hub, no view" fine "$(MRC_HUB_IDLE=0 job sh -c 'echo fine')"
is_quiet || fail "a view without a hub"
echo "mrc-views: ok"
