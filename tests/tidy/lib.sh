# shellcheck shell=sh
# lib.sh: what every tidy check begins with.
# top_srcdir may name another tree than this one: self-test plants its violations there.
# Must not know: the checks.
top=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$top" || exit 99
bad=0

# complain FILE:LINE WORDS
complain()
{
    echo "$1: $2"
    bad=$((bad + 1))
}

# complain_all LINES: complaints that a program has already written; none if empty
complain_all()
{
    [ -n "$1" ] || return 0
    printf '%s\n' "$1"
    bad=$((bad + $(printf '%s\n' "$1" | wc -l)))
}

# sources PATTERN...: our files with these names, one a line; nothing that a build made
sources()
{
    set -f
    names=
    for pattern; do
        names="$names${names:+ -o }-name $pattern"
    done
    # shellcheck disable=SC2086
    find . \( -path ./.git -o -path ./autom4te.cache -o -path './build' -o -path './build-*' ! -path ./build-aux \
        -o -name 'mrc-[0-9]*' -o -path './debian/*' -type d \) -prune \
        -o -type f \( $names \) ! -path './config.h*' ! -path ./configure -print | sed 's,^\./,,' | LC_ALL=C sort
    set +f
}

# finish WORDS: the end of every check
finish()
{
    if [ "$bad" -gt 0 ]; then
        echo "$bad violations: $1"
        exit 1
    fi
    exit 0
}
