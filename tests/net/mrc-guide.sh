#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-guide.sh: the commands of docs/guide-mrc.md, one after the other in one shell, print what stands there.
set -u
unset MAKEFLAGS MAKELEVEL MFLAGS # of the make that runs this
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
requires gcc make rsync python3 fusermount3
lab_up 3
mkdir "$tmp/bin"
{
    echo "Host box n1 n2 n3"
    echo "    User alice"
    sed 's/^Host n1$/Host n1 box/' "$conf"
} >"$tmp/config"
grep -q 'Host n1 box' "$tmp/config" || fail "the configuration has another form: $(cat "$conf")"
for program in mrc mrcfs; do
    printf '#!/bin/sh\nexec "%s" -F "%s" "$@"\n' "$top_builddir/$program/$program" "$tmp/config" >"$tmp/bin/$program"
done
chmod 755 "$tmp/bin"/*
chmod 644 "$tmp/config"
dir=$home
here env PATH="$tmp/bin:$PATH" MRC_HUB_IDLE=30 timeout 250 python3 - "$top_srcdir/docs/guide-mrc.md" <<'E2' || fail "the guide is not true"
import re, subprocess, sys

# Each block: commands, each with the lines that it prints.
commands, reason = [], None
for line in open(sys.argv[1], encoding="utf-8"):
    if not line.startswith("    "):
        reason = None
        last = None
        continue
    text = line[4:].rstrip("\n")
    if text.startswith("# not run"):
        reason = text
    elif text.startswith("$ "):
        last = {"command": text[2:], "prints": [], "reason": reason}
        commands.append(last)
        reason = None
    elif last is not None:
        last["prints"].append(text)

shell = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
ran = wrong = 0
for c in commands:
    if c["reason"]:
        continue
    print("# " + c["command"], flush=True)
    shell.stdin.write(c["command"] + " </dev/null\n" if "|" not in c["command"] and "<" not in c["command"] else c["command"] + "\n")
    shell.stdin.write("echo \"--end-- $?\"\n")
    shell.stdin.flush()
    got = []
    for line in shell.stdout:
        if line.startswith("--end-- "):
            status = int(line.split()[1])
            break
        if "--end-- " in line:
            got.append(line.split("--end-- ")[0])
            status = int(line.rsplit(None, 1)[1])
            break
        got.append(line.rstrip("\n"))
    else:
        sys.exit("the shell ended at: " + c["command"])
    ran += 1
    expected = c["prints"]
    good = status == 0 and (expected == ["…"] or got == expected)
    if not good:
        wrong += 1
        print("WRONG: $ %s\n  status %d, printed:\n    %s\n  stands there:\n    %s" %
              (c["command"], status, "\n    ".join(got), "\n    ".join(expected)))
shell.stdin.close()
shell.wait()
left_out = sum(1 for c in commands if c["reason"])
print("%d commands run, %d not, %d wrong" % (ran, left_out, wrong))
sys.exit(wrong != 0 or ran < 45)
E2
here env PATH="$tmp/bin:$PATH" mrc stop >/dev/null 2>&1
