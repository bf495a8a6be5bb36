#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# python3 with a virtual environment, and gdb, in a job.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
requires python3 gcc gdb
lab_up 1
limit=80
unset PYTHONDONTWRITEBYTECODE

echo "# venv"
here python3 -m venv --without-pip env || fail "venv here"
mv "$home/proj/env" "$tmp/env.here"
job python3 -m venv --without-pip env || fail "venv in a job"
diff <(listing "$tmp/env.here") <(listing "$home/proj/env") >&2 || fail "another environment in a job"
site=$(job env/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir -p "$site/greet" && printf 'import sys, json, hashlib, decimal, ssl\ndef main():\n    print("hello", *sys.argv[1:], hashlib.sha256(b"x").hexdigest())\n' >"$site/greet/__init__.py"
printf '#!%s/env/bin/python\nimport greet\ngreet.main()\n' "$dir" >"$home/proj/env/bin/greet"
chmod +x "$home/proj/env/bin/greet" && chown -R "$user:" "$home/proj/env"
job env/bin/greet once >/dev/null || fail "a script of the environment"
alike "the package" env/bin/greet a 'b c'
alike "the modules" env/bin/python -c 'import greet, sys; print(greet.__file__, sys.prefix)'
same "compiled files are here" 1 "$(find "$home/proj/env" -path '*greet/__pycache__/*.pyc' | wc -l)"
alike "threads and processes" python3 -c '
import multiprocessing as m, concurrent.futures as f, tempfile, mmap, os
def sq(x): return x * x
with m.Pool(4) as p: print(sum(p.map(sq, range(1000))))
with f.ThreadPoolExecutor(8) as e:
    def w(i):
        with open(f"out{i}", "wb") as o: o.write(bytes([i]) * 100000)
        return os.path.getsize(f"out{i}")
    print(list(e.map(w, range(16))))
with open("mapped", "w+b") as o:
    o.truncate(1 << 20); mm = mmap.mmap(o.fileno(), 0); mm[12345:12350] = b"hello"; mm.flush(); mm.close()
print(open("mapped", "rb").read()[12340:12355])
with tempfile.TemporaryDirectory(dir=".") as t:
    open(t + "/a", "w").write("x" * 10); print(os.listdir(t))
'
same "written through a map, seen here" hello "$(head -c 12350 "$home/proj/mapped" | tail -c 5)"

echo "# gdb"
cat >"$home/proj/crash.c" <<'C'
#include <stdio.h>
#include <stdlib.h>
static int inner(int x) { int *p = NULL; printf("x %d\n", x); return x > 2 ? *p : x; }
static int outer(int x) { return inner(x + 1) + 1; }
int main(void) { setvbuf(stdout, NULL, _IONBF, 0); outer(1); puts("going on"); return outer(5); }
C
chown "$user:" "$home/proj/crash.c"
job gcc -g -O0 -o crash crash.c || fail "gcc"
cat >"$home/proj/script" <<'G'
set disable-randomization off
break inner
run
bt
print x
continue
bt 1
continue
bt
info locals
G
job gdb -nx -q -batch -x script crash >"$tmp/o" 2>&1 </dev/null || fail "gdb: $(tail -5 "$tmp/o")"
for words in 'Breakpoint 1, inner (x=2) at .*crash.c:3' '#1 .* in outer (x=1)' '#2 .* in main ()' '\$1 = 2' 'going on' 'received signal SIGSEGV' 'p = 0x0'; do
    grep -q -- "$words" "$tmp/o" || fail "gdb didn't say '$words': $(cat "$tmp/o")"
done
job sh -c 'sleep 100 & gdb -nx -q -batch -p $! -ex "info program" -ex detach; kill $!' 2>&1 </dev/null | grep -q 'Inferior 1' || fail "gdb -p"
alike "strace" sh -c 'strace -f -o /dev/null true; echo $?'
echo "all passed"
