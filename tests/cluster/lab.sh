# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2034,SC2154 # for the test, and of functions.sh
# lab.sh: a certified cluster in the lab, after functions.sh in a test in bash:
#     lab_up N
# Afterwards $dir has the owner's keys, configurations and logs, and:
#     cluster COMMAND...     lab-mosix of that cluster
#     ask NODE VERB...       mosctl there
#     state NODE OF          what NODE takes OF for
lab_up()
{
    requires root python3
    name=c$$
    at_exit 'cluster down >/dev/null 2>&1'
    cluster up "$1" --for $$ >"$tmp/up" || fail "lab-mosix up"
    dir=$(cluster dir)
}

cluster() { "$top_srcdir/examples/lab/lab-mosix" --name $name --programs "$top_builddir/mosix-core" "$@"; }
ask() { cluster run "$1" mosctl "${@:2}"; }
state() { ask "$1" rstatus 2>/dev/null | awk -F'\t' -v of="$2" '$2 == of { print $4 }'; }
is_in() { [ "$(state "$1" "$2")" = "$3" ]; }
# All nodes that are given take the first one for that state.
all_say()
{
    local want=$1 of=$2 n
    shift 2
    for n; do is_in "$n" "$of" "$want" || return 1; done
}
is_whole()
{
    local n count=$1
    shift
    for n; do [ "$(ask "$n" rstatus 2>/dev/null | awk -F'\t' '$4 == "alive" && $5 != "-"' | wc -l)" = "$count" ] || return 1; done
}
# A number of mosctl --json localstatus or status: json NODE VERB PYTHON-EXPRESSION of d
json() { ask "$1" "$2" --json | python3 -c "import json,sys; d=json.load(sys.stdin); print($3)" 2>&1 | tail -n 1; }
