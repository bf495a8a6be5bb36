# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2154 # of functions.sh
# mrc_lab.sh: a head with an ordinary user, nodes, and mrc between them; after functions.sh in a test in bash.
#     lab_up NODES [OPTION OF LAB UP...]
# Afterwards $home is the user's home here (with proj/ in it), $user the name, $conf an ssh_config, and:
#     here COMMAND...      on the head as that user, in directory $dir (default $home/proj)
#     m OPTION... HOST...  mrc on the head
#     job COMMAND...       mrc alice@n1
#     node COMMAND...      as root on n1, without mrc

# Root's tests run in a mount namespace of their own where the places in which a user's programs meet (/tmp/mrc-UID: the broker
# of leases) are the test's: what it does to them is nothing to others that run at the same time.
if [ "$(id -u)" = 0 ] && [ -z "${MRC_OWN_MEETING:-}" ]; then
    unshare -m true 2>/dev/null || skip "root may not make mount namespaces here"
    rmdir "$tmp"
    MRC_OWN_MEETING=1 exec unshare -m "$BASH" "$0" "$@"
fi
own_meeting()
{
    unset MRC_OWN_MEETING
    local id
    for id in 0 "$(id -u "$1")"; do
        [ -d "/tmp/mrc-$id" ] || install -d -m 700 -o "$id" "/tmp/mrc-$id" || fail "make /tmp/mrc-$id"
        install -d -m 700 -o "$id" "$tmp/meeting.$id"
        mount --bind "$tmp/meeting.$id" "/tmp/mrc-$id" || fail "bind /tmp/mrc-$id"
    done
}

lab_up()
{
    requires root fuse ssh
    chmod 666 /dev/fuse
    own_meeting "$(test_user)"
    lab=$top_srcdir/examples/lab/lab
    name=$(basename "$0" .sh | sed "s,.*-,," | cut -c1-6)-$$
    at_exit '"$lab" --name $name down'
    "$lab" --name "$name" up "$@" --for $$ >/dev/null || fail "lab up"
    user=$(test_user)
    home=$tmp/home
    dir=$home/proj
    mkdir -p "$dir"
    conf=$("$lab" --name "$name" conf -u "$user") || fail "lab conf"
    chown -R "$user:" "$home"
}

limit=60 # seconds for one command
here() { (cd "$dir" && "$lab" --name "$name" head -u "$user" -- env HOME="$home" "$@"); }
m() { here timeout $limit mrc -q -F "$conf" "$@"; }
job() { m alice@n1 "$@"; }
node() { "$lab" --name "$name" run n1 -- "$@"; }

# alike WHAT COMMAND...: standard output and status of the command are the same here and in a job, run one after the other
alike()
{
    local what=$1
    shift
    here timeout $limit "$@" >"$tmp/alike.here" 2>"$tmp/alike.here.err"
    local status_here=$?
    job "$@" >"$tmp/alike.there" 2>"$tmp/alike.there.err"
    local status_there=$?
    if ! cmp -s "$tmp/alike.here" "$tmp/alike.there" || [ $status_here != $status_there ]; then
        diff "$tmp/alike.here" "$tmp/alike.there" | head -20 >&2
        head -5 "$tmp/alike.there.err" >&2
        fail "$what: status $status_there, locally $status_here, or other output"
    fi
}

# listing DIRECTORY: everything in it: kinds, modes, sizes, times, link targets, checksums of contents
listing()
{
    (cd "$1" && find . -printf '%y %m %p %l %u\n' | sort && find . -type f -print0 | sort -z | xargs -0 sha256sum)
}

# bad WHAT STATUS REGEX COMMAND...: COMMAND ends soon with STATUS and says what is wrong in one sentence that matches REGEX. The
# test goes on when it doesn't, and fails at the end by bad_end.
bad_count=0
complain()
{
    echo "WRONG: $*" >&2
    bad_count=$((bad_count + 1))
}
bad()
{
    local what=$1 expected=$2 regex=$3 start status_got=0
    shift 3
    start=$(date +%s)
    "$@" >"$tmp/bad.out" 2>"$tmp/bad.err" </dev/null || status_got=$?
    echo "# $what: $(head -3 "$tmp/bad.err")"
    [ "$status_got" = "$expected" ] || complain "$what: status $status_got instead of $expected"
    grep -Eiq -- "$regex" "$tmp/bad.err" || complain "$what: should say '$regex'"
    [ "$(wc -l <"$tmp/bad.err")" -le "${lines:-1}" ] || complain "$what: more than one sentence: $(cat "$tmp/bad.err")"
    [ $(($(date +%s) - start)) -le "${seconds:-20}" ] || complain "$what: took $(($(date +%s) - start)) s"
}
bad_end()
{
    [ $bad_count = 0 ] || fail "$bad_count wrong"
}
