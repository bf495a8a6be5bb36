#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What programs cost in round trips that are waited for, on a local mount, where they are exact: git in a repository of 5,000 files,
# python with modules that it compiles; the second time nearly nothing.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrcfs.sh"
own_mounts "$@"
set -u
. "$top_srcdir/tests/bench/workloads.sh"
served=$tmp/served
mnt=$tmp/mnt
mkdir "$served" "$mnt"
unset PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX
PATH=/usr/bin:/bin:$PATH

# trips FILE: round trips waited for, the last count there
trips()
{
    awk '/ round trips waited for$/ { n = $1 } END { print n + 0 }' "$1"
}
# twice COMMAND COMMAND: runs one after the other in one fresh mount; $first and $again are the round trips that they waited for
twice()
{
    mrcfs -f --stats "local:$served" "$mnt" 2> "$tmp/stats" &
    pid=$!
    wait_for 10 mounted "$mnt"
    (cd "$mnt" && timeout 100 sh -c "$1") > "$tmp/out" 2>&1 || fail "$1: $(tail -n 3 "$tmp/out")"
    : > "$tmp/stats"
    kill -USR1 $pid
    wait_for 10 grep -q ' round trips waited for$' "$tmp/stats"
    first=$(trips "$tmp/stats")
    (cd "$mnt" && timeout 100 sh -c "$2") > "$tmp/out" 2>&1 || fail "$2 again: $(tail -n 3 "$tmp/out")"
    mrcfs -u "$mnt" || fail "unmount"
    wait $pid || fail "end: $(cat "$tmp/stats")"
    again=$(($(trips "$tmp/stats") - first))
}
# at_most NUMBER TRIPS WHAT
at_most()
{
    [ "$2" -le "$1" ] || fail "$3: $2 round trips, not $1: $(cat "$tmp/stats")"
    echo "ok: $3: $2 round trips"
}

# Files are older than git's index, or it would read them all.
(cd "$served" && git_prepare && find . -name .git -prune -o -type f -exec touch -d '1 hour ago' {} + &&
    git update-index -q --refresh) > "$tmp/out" 2>&1
[ -e "$served/.git/index" ] || fail "prepare git: $(tail -n 3 "$tmp/out")"
twice "$(git_command)" :
(cd "$served" && git_check) || fail "result of git"
at_most 60 $first "git status and git log -p of 5,000 files, cold"
# More files are opened than are kept open: those that were opened last count.
twice "cat d*/* | cksum; $(git_command)" "$(git_command)"
(cd "$served" && git_check) || fail "result of git"
at_most 11 $again "git status and git log -p again, 5,000 files"
find "$served" -mindepth 1 -delete

# What is on the way already when a module is asked for depends on the load: 13 to 26 and 5 to 10 round trips were seen; one for each module
# would be 100.
# Modules that are compiled when they are imported, beside their sources; then from what was compiled.
if command -v python3 > /dev/null; then
    (cd "$served" && python_prepare && find . -exec touch -d '1 hour ago' {} +) > "$tmp/out" 2>&1 || fail "prepare python: $(tail -n 3 "$tmp/out")"
    twice "$(python_command)" "$(python_command)"
    (cd "$served" && python_check) || fail "result of python"
    same "modules that were compiled" 101 "$(find "$served/package/__pycache__" -name '*.pyc' | wc -l)"
    at_most 32 $first "python3, imports of 100 modules, cold"
    at_most 20 $again "python3, the same again"
fi

# 1,000 small files that the kernel had, and whose pages it has dropped: one of the first few tells that the others' are gone too.
if command -v python3 > /dev/null; then
    find "$served" -mindepth 1 -delete
    (cd "$served" && sources 1000 20 4600 && find . -exec touch -d '1 hour ago' {} +) > "$tmp/out" 2>&1 || fail "prepare files"
    cat > "$tmp/drop.py" << 'END'
import os
for where, _, names in os.walk("."):
    for name in names:
        f = os.open(os.path.join(where, name), os.O_RDONLY)
        os.posix_fadvise(f, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(f)
END
    twice 'grep -rc needle . | wc -l' 'grep -rc needle . | wc -l'
    at_most 3 $again "grep -r in 1,000 files, the same again"
    same "files that were read" 1000 "$(cat "$tmp/out")"
    twice "grep -rc needle . | wc -l; python3 $tmp/drop.py" 'grep -rc needle . | wc -l'
    at_most 20 $again "grep -r in 1,000 files, the same again when their pages were dropped"
    same "files that were read" 1000 "$(cat "$tmp/out")"
fi
