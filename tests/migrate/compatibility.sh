#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# compatibility.sh: the programs of tests/migrate/programs, root's and an ordinary user's, are moved between three nodes at random every
# 50 ms while they run: what they print, how they end and the files that they write are those of a native run.
# Usage: compatibility.sh [-o TABLE] [all | NAME...]
#     all: each, as root and as an ordinary user; -o: a line of a table in Markdown for each. Without arguments: the quick ones, as root.
# Exit status: 1 when one differs; the others are tried all the same.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/migrate/cluster.sh"
requires cc
table=
[ "${1:-}" != -o ] || { table=$2; shift 2; : >"$table"; }
wanted=("$@")
cluster_up
user=$(test_user)
close_inherited # of whoever runs the tests

adversary_c=$top_srcdir/tests/migrate/adversary.c examples=$top_srcdir/examples adversary=$top_builddir/tests/migrate/adversary
export adversary_c examples
mkdir "$tmp/in" && cd "$tmp/in" || exit 99
seq 1 1700000 >in.big
head -c 600000 in.big >in.small

limit_s=120 job=100 worst=0

# run WHO DIRECTORY COMMAND...: in a directory like "in"; its output, errors and status are beside it
prepare_run()
{
    prefix=()
    [ "$1" = root ] || prefix=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups --inh-caps=-all)
    rm -rf "$tmp/run" && mkdir "$tmp/run" && cp -a "$tmp"/in/. "$tmp/run" || exit 99
    [ "$1" = root ] || chown -R "$user:" "$tmp/run"
    cd "$tmp/run" || exit 99
}
made() { find . -path './out*' -type f -print0 | sort -z | xargs -0r sha256sum; }

# chaos: $pid of job $job is moved until it has ended
chaos()
{
    local end=$(($(date +%s) + limit_s)) to
    while ! is_gone $pid; do
        case $((RANDOM % 3)) in 0) to=home ;; 1) to=n1 ;; 2) to=n2 ;; esac
        "${prefix[@]}" migrate -j$job $to >/dev/null 2>>"$tmp/refused"
        sleep 0.05
        if [ "$(date +%s)" -ge $end ]; then
            hung="does not end within $limit_s s"
            "${prefix[@]}" moskillall -KILL -j$job
            kill -9 $pid 2>/dev/null
        fi
    done
}

# differs: says how, if it does
differs()
{
    [ -z "$hung" ] || { echo "$hung"; return; }
    [ $native = $got ] || { echo "status $got instead of $native: $(tail -n 1 "$tmp/err" | cut -c1-150)"; return; }
    cmp -s "$tmp/native" "$tmp/out" || { echo "other output: $(cmp "$tmp/native" "$tmp/out" 2>&1 | sed 's/.*: //; s/.*EOF/EOF/' | cut -c1-60)"; return; }
    cmp -s "$tmp/native.err" "$tmp/err" || { echo "other errors: $(tail -n 1 "$tmp/err" | cut -c1-150)"; return; }
    cmp -s "$tmp/native.made" "$tmp/made" || echo "other files"
}

# Why it came home or stayed, each once.
reasons()
{
    { tail -n +$((seen + 1)) "$log"; cat "$tmp/refused"; } |
        sed -n 's/.* came home because it //p; s/^mosixd: job [0-9]* stays at [^:]*: //p; s/^migrate: //p' |
        grep -v "No such\|job has ended\|has none\|is gone\|not yet gone\|ended the connection\|is moving\|there is no process\|you have no process\|away too\|is away with it\|migrate: trace" |
        sed 's/process [0-9][0-9]*/it/g; s/^it //; s/has [0-9]* threads/has several threads/; s/descriptor [0-9]*/a descriptor/; s/ (.*//' |
        sort | uniq -c | sort -rn | head -n 3 | sed 's/^ *[0-9]* //' | paste -sd ';' | sed 's/;/; /g'
}

# as WHO NAME COMMAND...: sets "result" and "why"
as()
{
    local who=$1 what=$2 start
    shift 2
    prepare_run "$who"
    native=0 got=0 hung=
    "${prefix[@]}" timeout $limit_s "$@" >"$tmp/native" 2>"$tmp/native.err" </dev/null || native=$?
    made >"$tmp/native.made"
    prepare_run "$who"
    job=$((job + 1)) seen=$(wc -l <"$log") start=$(date +%s%3N)
    : >"$tmp/refused"
    chmod 666 "$tmp/refused"
    "${prefix[@]}" mosrun -J$job "$@" >"$tmp/out" 2>"$tmp/err" </dev/null & pid=$!
    chaos
    wait $pid 2>/dev/null || got=$?
    local ms=$(($(date +%s%3N) - start))
    made >"$tmp/made"
    moves=$(tail -n +$((seen + 1)) "$log" | grep -c " is at \| came home because")
    result=$(differs)
    why=$(reasons)
    echo "# $who: $what: ${result:-equal}, $moves moves in $ms ms${why:+ ($why)}"
    [ -z "$result" ] || { worst=1; tail -n +$((seen + 1)) "$log" | tail -n 12; tail -n 5 "$tmp/err"; tail -c 300 "$tmp/out"; }
    "${prefix[@]}" moskillall -KILL -j$job 2>/dev/null
    result=${result:-equal, $moves}
}

is_wanted() # NAME KIND
{
    local w
    [ ${#wanted[@]} -gt 0 ] || { [ "$2" = quick ]; return; }
    for w in "${wanted[@]}"; do [ "$w" = all ] || [ "$w" = "$1" ] && return; done
    return 1
}

try() # KIND NAME PACKAGES NEEDS PREPARE COMMAND...
{
    local kind=$1 title=$2 needs=$4 prepare=$5
    is_wanted "$title" "$kind" || return 0
    shift 5
    if [ -n "$needs" ] && ! command -v $needs >/dev/null; then
        echo "# $title: is not installed"
        return 0
    fi
    if ! (cd "$tmp/in" && bash -c "$prepare" >"$tmp/prepared" 2>&1); then
        echo "# $title: can't be prepared: $(tail -n 1 "$tmp/prepared")"
        return 0
    fi
    as root "$title" "$@"
    local as_root=$result why_root=$why
    if [ ${#wanted[@]} -gt 0 ]; then
        as user "$title" "$@"
    else
        result=-
    fi
    [ "$why" = "$why_root" ] || why="$why_root${why:+${why_root:+; }$why}"
    [ -z "$table" ] || echo "| $title | $as_root | $result | $(echo "$why" | sed 's/; /\n/g' | sort -u | paste -sd ';' | sed 's/;/; /g; s/^; //') |" >>"$table"
}
program() { try program "$@"; }
quick() { try quick "$@"; }

cd "$tmp" || exit 99
. "$top_srcdir/tests/migrate/programs"
cd "$tmp" || exit 99
exit $worst
