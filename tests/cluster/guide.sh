#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# guide.sh: the commands of docs/guide-cluster.md, on four computers of the lab and the head, print what stands there.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires root python3 ssh curl
[ -x "$top_builddir/gossip/monitor/mosweb" ] || skip "mosweb is not built (--without-mosweb)"
lab=$top_srcdir/examples/lab/lab name=g$$
at_exit '"$lab" --name $name down >/dev/null 2>&1'
"$lab" --name $name up 4 --for $$ >/dev/null || fail "lab up"
conf=$("$lab" --name $name conf)
mkdir "$tmp/bin" "$tmp/own"
printf '#!/bin/sh\nexec /usr/bin/ssh -F "%s" "$@"\n' "$conf" >"$tmp/bin/ssh"
chmod 755 "$tmp/bin/ssh"
put()
{
    local each
    for each in mosix-core/mosixd/mosixd mosix-core/cmd/{mosctl,mosrun,mosps,migrate,bestnode,setpe} gossip/monitor/{mon,mosweb}; do
        "$lab" --name $name run "$1" -- sh -c "cat >/usr/local/sbin/${each##*/} && chmod +x /usr/local/sbin/${each##*/}" \
            <"$top_builddir/$each" || exit 1
    done
}
for n in n1 n2 n3 n4; do put $n & done
wait
export MOSIX_RUN=$tmp/none # no daemon of this computer's is meant
cd "$tmp/own" || exit 99
LAB=$lab NAME=$name PATH=$tmp/bin:$top_builddir/mosix-core/cmd:$PATH timeout 120 \
    python3 - "$top_srcdir/docs/guide-cluster.md" <<'E2' || fail "the guide is not true"
import os, re, subprocess, sys

blocks = []
for line in open(sys.argv[1], encoding="utf-8"):
    found = re.match(r"    (\$|n\d#) (.*)\n", line)
    if found:
        blocks.append((found[1], found[2], []))
    elif line.startswith("    "):
        blocks[-1][2].append(line[4:].rstrip("\n"))

lab = [os.environ["LAB"], "--name", os.environ["NAME"]]
wrong = 0
for where, command, wants in blocks:
    print(where, command, flush=True)
    if where == "$":
        argv = lab + ["head", "--", "bash", "-c", command]
    else:
        argv = lab + ["run", where[:2], "--", "bash", "-c", command]
    try:
        # A daemon in the background keeps none of these open.
        p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=40)
        got = p.stdout.splitlines()
    except subprocess.TimeoutExpired as e:
        got = ["no end: " + str(e)]
    same = len(got) == len(wants) and all(
        re.fullmatch(".*".join(map(re.escape, want.split("..."))), line) for want, line in zip(wants, got))
    if not same:
        wrong += 1
        print("  should print:", wants, "\n  prints:      ", got, flush=True)
print(len(blocks), "commands,", wrong, "wrong")
sys.exit(wrong > 0 or len(blocks) < 25)
E2
