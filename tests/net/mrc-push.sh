#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-push.sh: the agent is uploaded once through a shell, whatever shell that is, and bad days there have words.
. "${top_srcdir:-.}/tests/lib/functions.sh"

driver=$top_builddir/tests/net/push_driver
MRC_AGENT=$top_builddir/tests/net/fake_agent
export MRC_AGENT
[ -x "$driver" ] && [ -x "$MRC_AGENT" ] || { echo "not built: make check"; exit 99; }
unset XDG_CACHE_HOME

# A target is a home folder of its own; its places beside the home are made unusable, so that only what is meant is used.
fresh()
{
    rm -rf "${tmp:?}/home"
    mkdir "$tmp/home"
}
cache=$tmp/home/.cache/mrc

# push [OPTION...] COMMAND: what the agent said, and in $tmp/err what the driver said
push()
{
    functions_status=0
    printf 'hello' | HOME=$tmp/head timeout 60 "$driver" -h "$tmp/home" "$@" > "$tmp/out" 2> "$tmp/err" || functions_status=$?
}
expect_ok()
{
    [ $functions_status = 0 ] || fail "$1: status $functions_status: $(cat "$tmp/err")"
    same "$1" "$2" "$(sed 1d "$tmp/out")"
    grep -q "^$3" "$tmp/err" || fail "$1: not $3: $(cat "$tmp/err")"
}
expect_words()
{
    [ $functions_status = 1 ] || fail "$1: status $functions_status: $(cat "$tmp/err")"
    grep -q -- "$2" "$tmp/err" || fail "$1: no '$2' in: $(cat "$tmp/err")"
    same "$1: lines" 1 "$(grep -c '^push_driver: ' "$tmp/err")"
}

echo "1. every login shell, cold and warm, with the session's first bytes sent ahead"
for shell in sh dash bash "busybox sh" mksh ksh zsh fish tcsh; do
    command -v "${shell%% *}" > /dev/null || { echo "   no $shell here"; continue; }
    fresh
    for state in uploaded cached; do
        push -e 'early ' "echo a login script speaks; printf 'without an end'; exec $shell -c \"\$1\""
        expect_ok "$shell $state" 'early hello' $state
    done
done

echo "2. every sh"
for shell in dash bash busybox mksh ksh zsh; do
    command -v "$shell" > /dev/null || { echo "   no $shell here"; continue; }
    fresh
    rm -rf "${tmp:?}/bin"
    mkdir "$tmp/bin"
    ln -s "$(command -v $shell)" "$tmp/bin/sh"
    for state in uploaded cached; do
        push -e 'early ' "PATH=$tmp/bin:\$PATH; exec sh -c \"\$1\""
        expect_ok "sh is $shell: $state" 'early hello' $state
    done
done

echo "3. busybox and nothing else"
if command -v busybox > /dev/null; then
    mkdir "$tmp/bb"
    for name in $(busybox --list); do ln -s "$(command -v busybox)" "$tmp/bb/$name"; done
    fresh
    for state in uploaded cached; do
        push -e 'early ' "PATH=$tmp/bb; exec sh -c \"\$1\""
        expect_ok "busybox: $state" 'early hello' $state
    done
    echo "4. no gzip, no sha256sum there: cksum decides; no cksum either: the length"
    [ -e "$tmp/bb/cksum" ] || ln -s "$(command -v cksum)" "$tmp/bb/cksum" # not in every busybox
    for gone in 'gzip sha256sum' cksum; do
        for name in $gone; do rm -f "$tmp/bb/$name"; done
        fresh
        for state in uploaded cached; do
            push "PATH=$tmp/bb; exec sh -c \"\$1\""
            expect_ok "without $gone: $state" hello $state
        done
        head -c 1000 "$cache"/agent-* > "$tmp/cut"
        cat "$tmp/cut" > "$(echo "$cache"/agent-*)"
        push "PATH=$tmp/bb; exec sh -c \"\$1\""
        expect_ok "without $gone: cut agent" hello uploaded
    done
fi

echo "5. the agent's process: arguments, umask; the files: private, one, no rest"
fresh
push -a '--stdio -x 1' 'umask 027; exec sh -c "$1"'
same "first line" "args --stdio -x 1 umask 027" "$(head -n 1 "$tmp/out")"
same "mode of the folder" 700 "$(stat -c %a "$cache")"
same "files" "agent-$(sha256sum < "$MRC_AGENT" | cut -d' ' -f1)" "$(ls "$cache")"

echo "6. a corrupted agent in the cache is replaced, one changed byte is enough"
printf X | dd of="$(echo "$cache"/agent-*)" bs=1 seek=5000 conv=notrunc 2> /dev/null
push 'exec sh -c "$1"'
expect_ok corrupted hello uploaded
cmp "$MRC_AGENT" "$cache"/agent-* || fail "not replaced"

echo "7. XDG_CACHE_HOME and a folder of the user's choice come first"
fresh
push "XDG_CACHE_HOME=$tmp/home/xdg; export XDG_CACHE_HOME; exec sh -c \"\$1\""
expect_ok xdg hello uploaded
[ -n "$(find "$tmp/home/xdg/mrc" -name "agent-*")" ] || fail "not in XDG_CACHE_HOME"
push -c "$tmp/home/my own" 'exec sh -c "$1"'
expect_ok chosen hello uploaded
[ -n "$(find "$tmp/home/my own" -name "agent-*")" ] || fail "not in the chosen folder"
push -c 'relative' 'exec sh -c "$1"'
expect_words "relative folder" 'absolute path'
push -c "/a'b" 'exec sh -c "$1"'
expect_words "quote in the folder" 'absolute path'

echo "8. old agents go: more than four, unused for long; left-over uploads too"
fresh
mkdir -p "$cache"
for i in 1 2 3 4 5 6; do
    touch -d "$i days ago" "$cache/agent-$i"
done
touch -d '40 days ago' "$cache/agent-7" "$cache/up-1"
touch "$cache/up-2" "$cache/other"
push 'exec sh -c "$1"'
expect_ok "old ones" hello uploaded
clean() { [ "$(find "$cache" -name "agent-*" | wc -l)" = 4 ] && [ ! -e "$cache/up-1" ]; }
wait_for 10 clean
[ -e "$cache/up-2" ] && [ -e "$cache/other" ] && [ -e "$cache/agent-1" ] || fail "removed too much: $(ls "$cache")"

echo "9. links that somebody put there are not followed"
fresh
mkdir "$tmp/home/trap" "$tmp/home/.cache"
ln -s ../trap "$cache"
push -c "$cache" 'exec sh -c "$1"'
expect_words link 'no place for the agent.*no folder of ours'
same "files behind the link" "" "$(ls "$tmp/home/trap")"

echo "10. another computer"
mkdir "$tmp/uname"
printf '#!/bin/sh\necho quantum9\n' > "$tmp/uname/uname"
chmod 755 "$tmp/uname/uname"
fresh
push "PATH=$tmp/uname:\$PATH; exec sh -c \"\$1\""
expect_words architecture "quantum9 computer.*$(uname -m) only"

echo "11. no shell there"
push 'echo This account is currently not available.; exit 1'
expect_words nologin 'last words: This account is currently not available'
push 'exit 255'
expect_words silence 'ended before the agent started'
push 'yes noise'
expect_words noise 'prints more than'

if [ "$(id -u)" = 0 ] && unshare -m true 2> /dev/null; then
    echo "12. a folder without exec: the next one is taken; a full disk and its words"
    fresh
    mkdir -p "$tmp/home/.cache" "$tmp/home/xdg"
    inside() # MOUNT OPTIONS and a command, in a mount namespace
    {
        unshare -m sh -c "mount -t tmpfs -o $1 tmpfs '$tmp/home/.cache' && . '$tmp/inside.sh'"
    }
    cat > "$tmp/inside.sh" << EOF
rm -rf $tmp/marks; mkdir $tmp/marks
for i in 1 2; do printf hello | HOME=$tmp/head timeout 60 $driver -h $tmp/home 'exec sh -c "\$1"' > $tmp/marks/out\$i 2> $tmp/marks/err\$i; done
printf hello | HOME=$tmp/head timeout 60 $driver -c $tmp/home/.cache/only 'exec sh -c "\$1"' > $tmp/marks/out3 2> $tmp/marks/err3
ls $tmp/home/.cache/* > $tmp/marks/left
EOF
    for case in noexec,size=64m size=$(($(stat -c %s "$MRC_AGENT") / 2048))k; do
        inside $case
        for i in 1 2; do same "$case $i" hello "$(sed 1d "$tmp/marks/out$i")"; done
        grep -q uploaded "$tmp/marks/err1" || fail "$case: $(cat "$tmp/marks/err1")"
        grep -q cached "$tmp/marks/err2" || fail "$case: not found again: $(cat "$tmp/marks/err2")"
        rm -f /var/tmp/mrc-0/agent-"$(sha256sum < "$MRC_AGENT" | cut -d' ' -f1)"
        ! grep -q 'agent-\|up-' "$tmp/marks/left" || fail "$case: left: $(cat "$tmp/marks/left")"
        case $case in
        noexec*) grep -q 'no place.*do not run there, status 126' "$tmp/marks/err3" || fail "noexec: $(cat "$tmp/marks/err3")" ;;
        *) grep -q 'no place.*No space left' "$tmp/marks/err3" || fail "full: $(cat "$tmp/marks/err3")" ;;
        esac
    done
    rmdir /var/tmp/mrc-0 2> /dev/null || :
else
    echo "12. (noexec and full disks need root: not run)"
fi
