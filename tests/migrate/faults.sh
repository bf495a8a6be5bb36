#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# faults.sh: at each message of each kind of move the connection is cut, or silent, or one of the processes that make the move is killed or
# stopped: the job runs on, at one place, or it ends with a status that its parent sees and words that say why; nothing of it is left on
# any node. Usage: faults.sh [all]: each message and each fault (stops and silences at every tenth), which takes an hour (make
# soak-faults); without, a few of each. Kinds that begin with team_ are moves of a job of three threads.
# FAULTS_KINDS, FAULTS: only these kinds or faults. A relay between the nodes counts messages and does it (fault_relay.c).
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
is_all=${1:-${FAULTS_ALL:-}}
export FAULTS_ALL=$is_all
in_parts "${FAULTS_PARTS:-7}"
cluster_up
couple=$top_builddir/tests/migrate/couple
cd "$tmp" || exit 99

echo "# part ${TEST_PART:-0}"
node_pid() { cut -d' ' -f1 "/run/mrc-lab-$name/$1/pid"; }
kill_daemon head
printf 'head 10.77.0.254\nn1 10.77.0.254 7801\nn2 10.77.0.254 7802\n' >"$tmp/etc/nodes"
mkfifo relay.in
"$lab" --name $name head -- "$top_builddir/tests/migrate/fault_relay" 7801:10.77.0.1:7722:"$(node_pid n1)" 7802:10.77.0.2:7722:"$(node_pid n2)" \
    >relay.out <relay.in & # in this order: who has found the second finds the first
at_exit "kill $! 2>/dev/null"
exec 7>relay.in 6<relay.out
wait_for 10 grep -q ready relay.out
read -r _ <&6
daemon head
# relay WORDS: its answer
relay() { echo "$*" >&7; answer=; local i=0; until read -r answer <&6; do [ $((i += 1)) -lt 1500 ] || fail "the relay is silent"; sleep 0.02; done; }

# settled PID: where, or nothing
settled() { mosps -aw | awk -v pid="$1" '$1 == pid && /settled|frozen/ { print $2 }'; }
is_settled() { [ "$(settled "$1")" = "$2" ]; }
# prepare KIND FAULT TURNS: a job that is where this kind of move begins. One that has ended before is begun anew, and takes longer.
prepare()
{
    local kind=$1 turns=$3 how=alone ms=20
    case $kind in fetch) how=two ms=40 ;; self) how=back ms=30 ;; team_*) how=team ms=30 ;; esac
    native=native.$how.$turns
    [ -e $native ] || if [ $how = two ]; then
        { "$couple" two $turns 0 & sleep 1; kill -USR1 $!; wait $!; } | sort >$native
    else
        "$couple" $how $turns 0 | sort >$native
    fi
    case $2 in exit | exec) how=$2 ;; esac
    rm -f out ck.* # whoever still writes there is of another case
    mosrun -C"$tmp/ck" "$couple" $how $turns $ms >out 2>err </dev/null & pid=$!
    at_exit "kill -9 $pid 2>/dev/null"
    until [ -s out ]; do is_gone $pid && fail "the job is over: $(cat err)"; sleep 0.01; done
    [ "${kind#team_}" = out ] && return
    migrate $pid n1 2>said || is_gone $pid || fail "$kind: migrate: $(cat said)"
    until is_settled $pid n1; do
        if is_gone $pid; then
            wait $pid
            [ $turns -lt 400 ] || fail "$kind: the job ends before it is away: $(cat err)"
            prepare "$kind" "$2" $((turns * 2))
            return
        fi
        sleep 0.02
    done
    [ $kind != fetch ] || { kill -USR1 $pid; wait_for 10 grep -q '^c 1' out; }
}
begin() # KIND
{
    case ${1#team_} in
    out) migrate $pid n1 ;;
    home | fetch) migrate $pid home ;;
    hop) migrate $pid n2 ;;
    checkpoint) timeout 90 migrate $pid checkpoint ;;
    freeze) migrate $pid freeze ;;
    self) : ;;
    esac >said 2>&1 &
    begun=$!
}
is_done() # KIND: the move has ended well
{
    case ${1#team_} in
    out) is_settled $pid n1 ;;
    home | self | fetch) is_settled $pid home || is_gone $pid ;;
    hop) is_settled $pid n2 ;;
    checkpoint) ! kill -0 $begun 2>/dev/null && is_settled $pid n1 ;;
    freeze) mosps -aw | grep -q "^ *$pid .*frozen" ;;
    esac
}
# The process that was stopped goes on.
let_go()
{
    local stopped
    relay ask
    was=$answer
    stopped=$(echo "$answer" | sed -n 's/.*stop .*pid \([1-9][0-9]*\) .*/\1/p')
    [ -n "$stopped" ] && kill -CONT "$stopped" 2>/dev/null
}
# is_begun FILE: out is how that begins, line by line of each process
is_begun()
{
    grep -v "the child is lost" out >begun
    sort begun | comm -13 "$1" - | grep . && return 1
    awk '$1 != "couple:" && $2 != n[$1]++ { exit 1 }' begun
}
said_why() { grep -q "is lost" err || grep -q "job $pid:* .*lost\|process $pid .*lost" "$log"; }
# finish KIND: the job's end is right, and nothing is left of it. Sets "ended".
finish()
{
    local got=0 stood='' left
    local until=$((SECONDS + ${silence_s:-60}))
    until is_gone $pid; do
        if [ $SECONDS -ge $until ]; then
            [ -z "$stood" ] && { let_go || [ -z "$is_all" ]; } || { mosps -aw; tail -5 "$log"; ps -eo pid,ppid,stat,args | grep "[m]osixd:"; fail "$case: the job does not end: $answer"; }
            stood=", stood still" until=$((SECONDS + 60))
        fi
        [ "$1" != freeze ] || migrate $pid continue 2>/dev/null
        sleep 0.1
    done
    wait "$pid" || got=$?
    wait "$begun" 2>/dev/null
    let_go
    relay arm 0 0 none # what has not been done is not for the next
    answer=$was
    ended=$got$stood
    case "$got $case" in
    7*exit | 7*exec) # if it was told before its end
        [ "$(tail -n 1 out)" != executed ] || sed -i '$d' out
        [ "$(tail -n 1 out)" != "couple: right" ] || sed -i '$d' out
        is_begun $native || fail "$case: its output is not right: $answer" ;;
    7*) sort out | cmp $native - || { cat err; fail "$case: its output is not right: $answer"; } ;;
    137*)
        ended="$ended $(cat err)"
        is_begun $native || fail "$case: the output before its end is not right: $answer"
        case $case in *"kill job") ;; *)
            # Whose hands are killed is gone before anybody can say why.
            (wait_for 5 said_why) 2>/dev/null ||
                { cat err; tail -5 "$log"; fail "$case: it ended without a word: $answer"; } ;;
        esac ;;
    *) cat err; fail "$case: status $got: $answer" ;;
    esac
    left=$((SECONDS + 45))
    until none_inside $pid; do
        [ $SECONDS -lt $left ] || { ps -eo pid,ppid,stat,args | grep "[m]osixd:"; fail "$case: processes are left: $answer"; }
        sleep 0.1
    done
}

# one KIND NUMBER WHAT...: in a shell of its own: others follow when it fails
one()
{
    local kind=$1 number=$2
    shift 2
    prepare $kind "$1" 24
    case $1 in exit | exec) set -- tell job ;; esac
    relay arm $number $pid "$@"
    begin $kind
    finish $kind
    case $answer in *" -") did=no ;; *" pid 0 "*) did=nobody ;; *) did=yes ;; esac
    echo "$case: $did: $ended: ${answer#* }"
}

# Longer than any silence is borne; or, without all, than a copy runs without leave.
silence_s=35
[ -n "$is_all" ] || silence_s=5
faults=(cut cutall hush6000 hushall6000 garble exit exec "kill job")
for who in home host keeper hands collector guest namespaces supervisor; do faults+=("kill $who" "stop $who"); done
[ -z "${FAULTS:-}" ] || IFS=, read -ra faults <<<"$FAULTS"
snapshot >before
turn=0 failed=0
for kind in ${FAULTS_KINDS:-out home hop fetch self checkpoint freeze team_out team_home team_hop}; do
    case="$kind, no fault"
    for turns in 100 400 1600; do # on a busy computer it may end before it is there
        prepare $kind none $turns
        relay arm 0 $pid none
        begin $kind
        wait_for 60 eval "is_done $kind || is_gone $pid"
        relay ask
        count=${answer%% *}
        is_gone $pid && is_late=yes || is_late=
        finish $kind
        case ${kind#team_}$is_late in outyes | hopyes | checkpointyes | freezeyes) ;; *) [ "$count" -le 5 ] || break ;; esac
    done
    [ "$count" -gt 5 ] || fail "$kind: only $count messages"
    same "$kind without a fault ($(cat err))" 7 "${ended%%,*}"
    echo "$kind: $count messages"
    step=1
    [ -n "$is_all" ] || step=$((count * ${#faults[@]} / 4 | 1))
    for ((i = 0; i < count * ${#faults[@]}; i += step)); do
        turn=$((turn + 1))
        is_ours $turn || continue
        number=$((i / ${#faults[@]} + 1)) fault=${faults[i % ${#faults[@]}]}
        case $kind$fault in fetchexit | fetchexec | team_*exit | team_*exec) continue ;; esac # a job of two or three does neither
        # Those that take long at every tenth message, each at others.
        case $is_all$fault in allstop* | allhush*) [ $(((number + i % ${#faults[@]}) % 10)) = 0 ] || continue ;; esac
        case="$kind, message $number, $fault"
        # shellcheck disable=SC2086 # words
        (one $kind $number $fault) || failed=$((failed + 1))
    done
    # The new connection for calls fails on its way.
    [ $kind$is_all = hop ] && for number in 12 19 31; do
        turn=$((turn + 1))
        is_ours $turn || continue
        case="$kind, message $number, garble"
        (one $kind $number garble) || failed=$((failed + 1))
    done
done
[ $failed = 0 ] || fail "$failed cases"
snapshot >after
diff before after || fail "something is left"
