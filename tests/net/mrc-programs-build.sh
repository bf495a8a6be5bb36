#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# make -j4 of a C project in a job gives the bytes that it gives here; tar and rsync carry trees; make with mrc as its shell.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
requires make gcc tar rsync
sources=${XDG_CACHE_HOME:-$HOME/.cache}/mrc-tests/sources
lua=$(ls "$sources"/lua5.4_*.orig.tar.gz 2>/dev/null) || skip "needs the sources that .ci/deps fetches"
lab_up 1
limit=100
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

echo "# make -j4"
mkdir "$home/proj/lua" && tar -xzf "$lua" --strip-components=1 -C "$home/proj/lua" || fail "unpack"
chown -R "$user:" "$home/proj/lua"
build='cd lua/src && make -s -j4 linux 2>&1 && ls && sha256sum *.o *.a lua luac && ./lua -e "print(_VERSION, 2^53)"'
here sh -c "$build" >"$tmp/here" || fail "make here: $(tail -3 "$tmp/here")"
here make -s -C lua/src clean
job sh -c "$build" >"$tmp/there" || fail "make in a job: $(tail -3 "$tmp/there")"
diff "$tmp/here" "$tmp/there" >&2 || fail "built otherwise in a job"
(cd "$home/proj/lua/src" && sha256sum -- *.o *.a lua luac) | cmp -s - <(grep -E '^[0-9a-f]{64} ' "$tmp/there") || fail "what is here is not what was built there"
same "built there, runs here" "Lua 5.4" "$(here lua/src/lua -e 'print(_VERSION)')"
same "nothing to do there" "" "$(job make -s -C lua/src linux)"
same "nothing to do here" "" "$(here make -s -C lua/src linux)"
job touch lua/src/lapi.c
same "a newer source is seen here" 1 "$(here make -n -C lua/src o 2>&1 | grep -c 'lapi.o')"

echo "# tar"
job tar -cf t1.tar --sort=name --owner=0 --group=0 lua || fail "tar in a job"
here tar -cf t2.tar --sort=name --owner=0 --group=0 lua
cmp "$home/proj/t1.tar" "$home/proj/t2.tar" || fail "archives differ"
job sh -c 'mkdir x1 && tar -xpf t2.tar -C x1' && here sh -c 'mkdir x2 && tar -xpf t2.tar -C x2' || fail "unpack"
diff <(listing "$home/proj/x1") <(listing "$home/proj/x2") >&2 || fail "unpacked otherwise in a job"
same "times" "" "$(cd "$home/proj" && diff <(cd x1 && find . -type f -printf '%p %T@\n' | sort) <(cd x2 && find . -type f -printf '%p %T@\n' | sort))"
same "a tree through pipes" "$(listing "$home/proj/x2" | sha256sum)" \
    "$(mkdir "$tmp/x3"; here tar -C x2 -cf - . | m --directory / alice@n1 sh -c 'mkdir -p /tmp/t && cd /tmp/t && tar -xpf - && tar -cf - .' | tar -C "$tmp/x3" --no-same-owner -xpf - && chown -R "$user:" "$tmp/x3" && listing "$tmp/x3" | sha256sum)"

echo "# rsync"
job rsync -a --delete x1/ x4 || fail "rsync in a job"
diff <(listing "$home/proj/x4") <(listing "$home/proj/x2") >&2 || fail "rsync"
job sh -c 'echo more >> x4/lua/README; rsync -aci x1/ x4/' >"$tmp/o" || fail "rsync again"
same "one file differs" "lua/README" "$(awk '{print $2}' "$tmp/o")"
here rsync -a -e "timeout $limit mrc -q -F $conf --directory /" x1/ alice@n1:/tmp/x5/ || fail "rsync -e mrc to"
same "rsync -e mrc to" "$(cd "$home/proj/x1" && find . | wc -l)" "$(node sh -c 'cd /tmp/x5 && find . | wc -l')"
here rsync -a -e "timeout $limit mrc -q -F $conf --directory /" alice@n1:/tmp/x5/ x6 || fail "rsync -e mrc from"
diff <(listing "$home/proj/x6") <(listing "$home/proj/x1") >&2 || fail "rsync -e mrc"

echo "# make with jobs as its shell"
cat >"$home/proj/Makefile" <<'M'
SHELL = mrc
.SHELLFLAGS = -q -F $(CONF) alice@n1 sh -c
all: a b c d
	cat $^ > all; uname -n >> all
a b c d:
	echo $@ > $@; uname -n >> $@
M
here timeout $limit make -s -j4 CONF="$conf" || fail "make with SHELL=mrc"
same "made there" "a n1 b n1 c n1 d n1 n1" "$(tr '\n' ' ' <"$home/proj/all" | sed 's/ $//')"
echo "all passed"
