# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# functions.sh: what integration tests in sh or bash begin with:
#     . "${top_srcdir:-.}/tests/lib/functions.sh"
# Afterwards $tmp is an empty directory that is removed at the end, $top_srcdir and $top_builddir are absolute, the
# programs of the build tree are first in PATH. Exit status: 0 passed, 77 skipped (the reason is the last line), 99 the
# test itself is broken, else failed. Must not know: what is tested.

top_srcdir=$(cd "${top_srcdir:-.}" && pwd) || exit 99
top_builddir=$(cd "${top_builddir:-$top_srcdir/build}" && pwd) || exit 99
export top_srcdir top_builddir
# A hub would outlive the test: tests that want it say so.
MRC_HUB_IDLE=0
export MRC_HUB_IDLE
PATH=$top_builddir/mrc:$top_builddir/mrcfs:$PATH
export PATH

tmp=$(mktemp -d "${TMPDIR:-/tmp}/mrc-test.XXXXXX") || exit 99
chmod 755 "$tmp"
functions_cleanups=

# at_exit COMMAND: runs it (by eval) when the test ends in whichever way; the last given runs first
at_exit()
{
    functions_cleanups="$1
$functions_cleanups"
}

functions_end()
{
    functions_rc=$?
    trap - EXIT
    trap '' HUP INT TERM
    set +e
    eval "$functions_cleanups"
    # Nothing of ours may be mounted below $tmp when it is removed.
    while read -r _ functions_mount _; do
        case $functions_mount in "$tmp"/*) umount -l "$functions_mount" 2>/dev/null || fusermount3 -uz "$functions_mount" ;; esac
    done < /proc/self/mounts
    rm -rf --one-file-system "$tmp"
    exit $functions_rc
}
trap functions_end EXIT
trap 'exit 99' HUP INT TERM

# fail WORDS: ends the test
fail()
{
    echo "FAIL: $*" >&2
    exit 1
}

# skip WORDS: ends the test; it can't run here
skip()
{
    echo "SKIP: $*"
    exit 77
}

# same WHAT EXPECTED GOT
same()
{
    [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}

# in_parts COUNT: this test is run COUNT times at once, each time with a part of its cases; in each, this returns. For tests that wait
# more than they compute; before anything is set up.
in_parts()
{
    [ -z "${TEST_PART:-}" ] || return 0
    functions_parts=
    functions_rc_parts=0
    at_exit 'kill $functions_parts 2>/dev/null; wait' # each cleans up after itself
    for functions_part in $(seq 0 $(($1 - 1))); do
        TEST_PART=$functions_part TEST_PARTS=$1 "${BASH:-/bin/sh}" "$0" >"$tmp/part.$functions_part" 2>&1 </dev/null &
        functions_parts="$functions_parts $!"
    done
    for functions_part in $functions_parts; do
        wait "$functions_part" || functions_rc_parts=$?
    done
    cat "$tmp"/part.*
    exit $functions_rc_parts
}

# is_ours NUMBER: does the case of this number, from 0 on, belong to this part?
is_ours()
{
    [ $(($1 % ${TEST_PARTS:-1})) = "${TEST_PART:-0}" ]
}

# requires root | fuse | userns | COMMAND...: ends the test with the reason if something is not there
requires()
{
    for functions_need; do
        case $functions_need in
        root) [ "$(id -u)" = 0 ] || skip "needs root" ;;
        fuse) [ -w /dev/fuse ] || skip "needs /dev/fuse" ;;
        userns) as_user unshare -Urm true 2>/dev/null || skip "needs user namespaces for ordinary users" ;;
        *) command -v "$functions_need" >/dev/null || skip "needs the command $functions_need" ;;
        esac
    done
}

# wait_for SECONDS COMMAND...: until it succeeds, else the test fails
wait_for()
{
    functions_until=$(($(date +%s) + $1))
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$functions_until" ] || fail "waited too long for: $*"
        sleep 0.05
    done
}

# close_inherited: descriptors of whoever runs the tests, pipes mostly, which programs under test would have too; for tests in bash, which
#   keeps the script at 255
close_inherited()
{
    for functions_fd in /proc/self/fd/*; do
        functions_fd=${functions_fd##*/}
        [ "$functions_fd" -le 2 ] || [ "$functions_fd" = 255 ] || eval "exec $functions_fd>&-"
    done
}

# is_gone PID: no such process, or only its zombie
is_gone()
{
    ! kill -0 "$1" 2>/dev/null || grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null
}

# status COMMAND...: prints the exit status
status()
{
    functions_status=0
    "$@" || functions_status=$?
    echo $functions_status
}

# test_user: prints the name of an ordinary user with a home; root makes user mrctest if it is missing
test_user()
{
    if [ "$(id -u)" != 0 ]; then
        id -un
        return
    fi
    id mrctest >/dev/null 2>&1 || useradd --create-home --shell /bin/sh mrctest >&2 || skip "can't make the user mrctest"
    echo mrctest
}

# as_user COMMAND...: runs it as test_user, with that user's HOME and nothing else of root's
as_user()
{
    if [ "$(id -u)" != 0 ]; then
        "$@"
        return
    fi
    functions_user=$(test_user)
    setpriv --reuid "$(id -u "$functions_user")" --regid "$(id -g "$functions_user")" --clear-groups \
        --inh-caps=-all --reset-env env PATH="$PATH" MRC_HUB_IDLE="$MRC_HUB_IDLE" top_srcdir="$top_srcdir" top_builddir="$top_builddir" \
        LC_ALL="${LC_ALL:-C.UTF-8}" "$@"
}

# as_uid UID COMMAND...: root only: runs it as an identity that no passwd line knows
as_uid()
{
    functions_uid=$1
    shift
    setpriv --reuid "$functions_uid" --regid "$functions_uid" --clear-groups --inh-caps=-all \
        env HOME="$tmp" USER="$functions_uid" LOGNAME="$functions_uid" "$@"
}
