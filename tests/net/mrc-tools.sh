#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-tools.sh: programs that start others by ssh or by a shell, with mrc in its place: the ways that examples/tools/README.md
# shows. mrc-ssh: as if it were ssh, the files are the target's.
set -u
unset MAKEFLAGS MAKELEVEL MFLAGS # of the make that runs this
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
limit=100
requires make gcc git rsync parallel ansible
lab_up 2
mkdir "$tmp/bin"
ln -s "$top_builddir/mrc/mrc" "$tmp/bin/mrc-ssh"
ln -s "$top_builddir/mrc/mrc" "$tmp/bin/mrc"
on_path="PATH=$tmp/bin:$PATH"
in_shell() { here env "$on_path" conf="$conf" timeout $limit sh -c "$1"; }
target_home=$("$lab" --name "$name" run -u alice n1 -- sh -c 'cd; pwd')
there() { "$lab" --name "$name" run -u alice n1 -- sh -c "cd && $1"; }

# --as-ssh and mrc-ssh: a shell there parses, in the home there, with the environment of a login there.
# shellcheck disable=SC2016
in_shell 'FOO=here mrc-ssh -q -F "$conf" alice@n1 "pwd; echo \$HOME \${FOO-none}; umask" " ;echo" "a  b"' >"$tmp/o" 2>"$tmp/e"
same "mrc-ssh: $(cat "$tmp/e")" "$target_home $target_home none $(there umask) a b" "$(paste -sd' ' "$tmp/o" | tr -s ' ')"
in_shell 'mrc --as-ssh -q -F "$conf" -C -x -a -4 alice@n1 exit 5'
same "status" 5 $?
same "input and output" 3000000 "$(head -c 3000000 /dev/zero | in_shell 'mrc-ssh -q -F "$conf" alice@n1 cat' | wc -c)"
# shellcheck disable=SC2016

echo "# make: recipes, or only the compiler, run there; files are these"
cat >"$home/proj/Makefile" <<'E2'
prog: a.o b.o
	$(CC) -o $@ a.o b.o && uname -n >built-on
E2
echo 'int f(void); int main(void) { return f(); }' >"$home/proj/a.c"
echo 'int f(void) { return 3; }' >"$home/proj/b.c"
in_shell 'make -s -j2 SHELL="mrc -q -F $conf alice@n1 sh"' >"$tmp/o" 2>&1 || fail "make SHELL: $(cat "$tmp/o")"
same "where its recipes ran" n1 "$(cat "$home/proj/built-on")"
same "its program, here" 3 "$("$home/proj/prog"; echo $?)"
in_shell 'rm -f prog *.o; make -s CC="mrc -q -F $conf alice@n1 gcc"' >"$tmp/o" 2>&1 || fail "make CC: $(cat "$tmp/o")"
same "its own commands ran here" "$(here uname -n)" "$(cat "$home/proj/built-on")"
same "its program, here" 3 "$("$home/proj/prog"; echo $?)"

echo "# rsync -e"
mkdir "$home/proj/tree"
seq 1000 >"$home/proj/tree/a b"
in_shell 'rsync -a -e "mrc-ssh -q -F $conf" tree alice@n1:copy' >"$tmp/o" 2>&1 || fail "rsync: $(cat "$tmp/o")"
same "there" "$(cksum <"$home/proj/tree/a b")" "$(there 'cksum <"copy/tree/a b"')"
in_shell 'rsync -a -e "mrc-ssh -q -F $conf" "alice@n1:copy/tree/" back' >"$tmp/o" 2>&1 || fail "rsync back: $(cat "$tmp/o")"
cmp "$home/proj/tree/a b" "$home/proj/back/a b" || fail "rsync back"

echo "# git over it"
there 'git init -q r && cd r && git config user.email a@b && git config user.name a && echo 1 >f && git add f && git commit -qm one' || fail "a repository there"
in_shell 'GIT_SSH_COMMAND="mrc-ssh -q -F $conf" git clone -q alice@n1:r mine && cd mine && git config user.email a@b &&
    git config user.name a && echo 2 >f && git commit -qam two && GIT_SSH_COMMAND="mrc-ssh -q -F $conf" git push -q origin HEAD:refs/heads/second' \
    >"$tmp/o" 2>&1 || fail "git: $(cat "$tmp/o")"
same "pushed" two "$(there 'cd r && git log -1 --format=%s second')"

echo "# GNU parallel"
in_shell 'mkdir -p ~/.parallel; touch ~/.parallel/will-cite; seq 6 | parallel --ssh "mrc-ssh -q -F $conf" -S 1/alice@n1,1/alice@n2 "echo {} \$(uname -n)"' >"$tmp/o" 2>"$tmp/e"
same "parallel, as by ssh: $(cat "$tmp/e")" "1 2 3 4 5 6" "$(cut -d' ' -f1 "$tmp/o" | sort | paste -sd' ')"
grep -q n1 "$tmp/o" || fail "parallel: nothing ran on n1: $(cat "$tmp/o")"
# Without its own way of reaching hosts, and with our files:
# shellcheck disable=SC2016
in_shell 'seq 4 | parallel -j2 mrc -q -F "$conf" "alice@n{= \$_ = \$_ % 2 + 1 =}" sh -c "\"wc -l <Makefile; uname -n\""' >"$tmp/o" 2>"$tmp/e"
same "parallel, with mrc as the command: $(cat "$tmp/e")" "2 n1 2 n1 2 n2 2 n2" "$(paste -d' ' - - <"$tmp/o" | sort | paste -sd' ')"

echo "# ansible"
# shellcheck disable=SC2016
in_shell 'ANSIBLE_SSH_ARGS="-q -F $conf" ANSIBLE_SSH_EXECUTABLE=$(command -v mrc-ssh) ANSIBLE_SSH_TRANSFER_METHOD=piped \
        ansible all -i "n1,n2," -u alice -m shell -a "uname -n; echo hi >by-ansible"' >"$tmp/o" 2>&1 || fail "ansible: $(cat "$tmp/o")"
same "both answered: $(cat "$tmp/o")" 2 "$(grep -c '^n[12]$' "$tmp/o")"
same "what it wrote is there" hi "$(there 'cat by-ansible')"
