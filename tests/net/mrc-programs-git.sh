#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# git in a job: repositories made, changed, packed and cloned through the view are those that git makes here.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
requires git
lab_up 1
limit=150

export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.org
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' GIT_CONFIG_NOSYSTEM=1
g() { git -c gc.auto=0 -c init.defaultBranch=main "$@"; }
export -f g

# Its argument: the directory to work in. Prints what must be alike.
cat >"$home/proj/small.sh" <<'S'
set -e
mkdir "$1" && cd "$1"
git init -q -b main a && cd a
for i in 1 2 3; do
    mkdir -p d$i/e
    echo "$i" > d$i/f; printf 'x%.0s' $(seq $((i * 5000))) > d$i/e/long
    ln -s f d$i/link; chmod +x d$i/f
    git add -A && git commit -q -m "commit $i"
done
git mv d1/f d1/g && git commit -q -m moved
git checkout -q -b other HEAD~2 && echo other > o && git add o && git commit -q -m other
git checkout -q main && git merge -q -m merged other
git tag -a -m tag v1
git rev-parse HEAD v1
git stash list; echo changed >> d2/f; git stash -q; git stash pop -q; git diff | sha256sum; git checkout -q .
git gc -q && git fsck --full --strict 2>&1
git count-objects -v | grep -v size
cd .. && git clone -q a b && git clone -q --no-hardlinks --bare a c.git
cd b && git log --format='%H %s' --all | sort && git status --porcelain
git worktree add -q ../w HEAD~1 && git worktree list | wc -l
git rebase -q HEAD~1 && git rev-parse 'HEAD^{tree}'
git push -q ../c.git HEAD:refs/heads/pushed && git -C ../c.git rev-parse pushed
git -C ../c.git repack -adq && git -C ../c.git fsck --full 2>&1
S
here sh small.sh here >"$tmp/here" 2>&1 || fail "git here: $(tail -3 "$tmp/here")"
job sh small.sh there >"$tmp/there" 2>&1 || fail "git in a job: $(tail -3 "$tmp/there")"
diff "$tmp/here" "$tmp/there" >&2 || fail "git says something else in a job"
echo "# a repository made in a job is sound for git here, and the other way round"
here git -C there/a fsck --full --strict || fail "fsck here"
same "status here" "" "$(here git -C there/a status --porcelain)"
same "status in a job" "" "$(job git -C here/a status --porcelain)"
diff <(listing "$home/proj/here/a/d1") <(listing "$home/proj/there/a/d1") || fail "work tree"

echo "# a repository of a few hundred files"
cp -r "$top_srcdir" "$tmp/tree" 2>/dev/null
rm -rf "$tmp/tree/.git" "$tmp/tree/build"
cp -r "$tmp/tree/common" "$tmp/tree/common1"
mv "$tmp/tree" "$home/proj/tree" && chown -R "$user:" "$home/proj/tree"
files=$(find "$home/proj/tree" -type f | wc -l)
[ "$files" -gt 300 ] || fail "only $files files"
cat >"$home/proj/big.sh" <<'S'
set -e
cp -a tree "$1" && cd "$1"
git init -q -b main . && git add -A && git commit -q -m all
git rev-parse 'HEAD^{tree}'
rm -rf common1 && git commit -qam less && git rev-parse 'HEAD^{tree}'
git gc -q && git fsck --full 2>&1
git checkout -q HEAD~1 && git status --porcelain && git grep -c SPDX | sha256sum
git clone -q . "../$1.clone" && git -C "../$1.clone" status --porcelain
S
here sh big.sh big1 >"$tmp/here" 2>&1 || fail "git here: $(tail -3 "$tmp/here")"
job sh big.sh big2 >"$tmp/there" 2>&1 || fail "git in a job: $(tail -3 "$tmp/there")"
diff "$tmp/here" "$tmp/there" >&2 || fail "git says something else in a job"
here git -C big2 fsck --full || fail "fsck here"
same "status here" "" "$(here git -C big2 status --porcelain)"
diff <(cd "$home/proj/big1.clone" && listing . | grep -v ' \./\.git') <(cd "$home/proj/big2.clone" && listing . | grep -v ' \./\.git') >&2 ||
    fail "clones differ"

echo "# git here and in a job at the same time"
(for i in 1 2 3 4 5; do here sh -c "cd big1 && echo $i > h$i && git add h$i && git commit -qm h$i || echo refused"; done) >"$tmp/h" 2>&1 &
job sh -c 'cd big1 && for i in 1 2 3 4 5; do git -c user.name=x status >/dev/null; git log -1 --format=%s >/dev/null || exit 1; done' || fail "log during commits"
wait $!
here git -C big1 fsck --full || fail "fsck after commits"
echo "all passed"
