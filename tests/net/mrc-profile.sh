#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-profile.sh: launch profiles: what a command asked for last time doesn't cost it a round trip each on a fresh connection; they
# are kept as they should be, and wrong ones do no harm.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"

lab_up 1
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY
dir_hub=$tmp/run
mkdir -m 700 "$dir_hub"
export XDG_RUNTIME_DIR=$dir_hub XDG_CACHE_HOME=$home/cache
mkdir -m 700 "$XDG_CACHE_HOME"
at_exit 'here mrc stop --jobs >/dev/null 2>&1'
profiles=$XDG_CACHE_HOME/mrc/profiles

# Files in an order that nothing but memory tells, in directories of which each is only known when its parent is.
for i in $(seq 0 39); do
    d=$dir/t/$((i % 5))/a$((i % 8))/b
    mkdir -p "$d"
    echo "contents $i" > "$d/f$i"
    echo "t/$((i % 5))/a$((i % 8))/b/f$i"
done | sort -R --random-source=/bin/sh > "$tmp/order"
ln -s f3 "$dir/t/3/a3/b/link"
# The command's words don't tell (what they name would be asked for at its first start).
{ cat "$tmp/order"; echo t/3/a3/b/link; } > "$dir/order"
chown -R "$user:" "$dir" "$dir_hub" "$XDG_CACHE_HOME"
find "$dir" -exec touch -h -d '1 hour ago' {} +
command="while read -r f; do test ! -e \$f.absent && cat \$f || exit 1; done < order"
(cd "$dir" && sh -c "$command") > "$tmp/want"

# counted WHAT [OPTION...]: the job in a fresh view; $trips
counted()
{
    local what=$1
    shift
    m --stats "$@" alice@n1 sh -c "$command" > "$tmp/out" 2> "$tmp/stats" || fail "$what: $(cat "$tmp/stats")"
    cmp "$tmp/want" "$tmp/out" || fail "$what: other output"
    trips=$(sed -n 's/^mrc: files: .* \([0-9]*\) round trips waited for.*/\1/p' "$tmp/stats")
    echo "# $what: $trips round trips"
}
at_most() { [ "$trips" -le "$1" ] || fail "$trips round trips, not $1: $(cat "$tmp/stats")"; }

for way in "a view of its own" "a kept view"; do
    [ "$way" = "a kept view" ] && export MRC_HUB_IDLE=60 || export MRC_HUB_IDLE=0
    rm -rf "$profiles"
    counted "without a profile, $way"
    [ "$trips" -ge 30 ] || fail "$trips round trips are few: what is tested?"
    same "files" 2 "$(ls "$profiles" | wc -l)"
    same "modes" "700 600 600" "$(stat -c %a "$profiles" "$profiles"/* | tr '\n' ' ' | sed 's/ $//')"
    here mrc stop > /dev/null
    # The greeting and the trees' roots, or the hub's view's; all names; all files. One less when the roots were there before anybody
    # asked for them.
    [ "$way" = "a kept view" ] && want=3 || want=4
    counted "with one, $way"
    at_most $want
    here mrc stop > /dev/null
    counted "once more, $way"
    at_most $want
    here mrc stop > /dev/null
    counted "with --no-profile, $way" --no-profile
    [ "$trips" -ge 30 ] || fail "$trips round trips with --no-profile"
    here mrc stop > /dev/null
done

# What it says is not so any more.
export MRC_HUB_IDLE=0
rm "$dir/t/0/a0/b/f0"
ln -s ../../../1/a1/b/f1 "$dir/t/0/a0/b/f0"
echo "other contents" > "$dir/t/2/a2/b/f2"
mkdir "$dir/elsewhere"
mv "$dir/t/4" "$dir/elsewhere/4"
ln -s ../elsewhere/4 "$dir/t/4"
(cd "$dir" && sh -c "$command") > "$tmp/want"
counted "after changes"
counted "then"
at_most 5

# It is damaged.
for file in "$profiles"/*; do
    head -c 300 "$file" > "$tmp/part"
    cat "$tmp/part" /bin/true | head -c 20000 > "$file"
done
counted "damaged"
counted "then"
at_most 5

# One of another command of the same program, which reads a file more in a directory that the search path leads to as well: that
# file, and nothing before it, is waited for.
echo other > "$dir/other"
chown "$user:" "$dir/other"
touch -d '1 hour ago' "$dir/other"
MRC_HUB_IDLE=0 m --stats alice@n1 sh -c "cat other" > "$tmp/out" 2> "$tmp/stats" || fail "another command: $(cat "$tmp/stats")"
same "another command" other "$(cat "$tmp/out")"
trips=$(sed -n 's/^mrc: files: .* \([0-9]*\) round trips waited for.*/\1/p' "$tmp/stats")
echo "# another command of the program: $trips round trips"
at_most 4
! grep -q '^mrc: waited for: .*\<list\>' "$tmp/stats" || fail "a list was waited for: $(cat "$tmp/stats")"

# The job didn't end by itself: what it asked for is not all.
before=$(cat "$profiles"/* | cksum)
m alice@n1 sh -c "cat t/1/a1/b/f1; kill -9 \$\$" > "$tmp/out" 2>&1
same "profiles after a job that was killed" "$before" "$(cat "$profiles"/* | cksum)"

# Nothing is kept where nothing may be.
chmod 755 "$profiles"
counted "in a directory that others may read"
same "profiles then" "$before" "$(cat "$profiles"/* | cksum)"
