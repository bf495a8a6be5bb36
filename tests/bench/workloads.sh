# shellcheck shell=bash
# shellcheck disable=SC2034   # titles are used by bench
# workloads.sh: what the benchmark runs, one function per line of the table. Sourced by bench.
# Each has: NAME_prepare, run on the head in the empty working directory; NAME_command, printed: run by sh on the target in
# that directory; NAME_check, run on the head afterwards: is the result here? Must not know: how the command gets there.

workloads='true true_live ls grep grep_warm read write make python sqlite untar'

# sources N DIRECTORIES BYTES: N files of text in so many directories
sources()
{
    awk -v n="$1" -v dirs="$2" -v bytes="$3" 'BEGIN {
        srand(7)
        for (i = 0; i < n; i++) {
            file = sprintf("d%02d/f%04d.c", i % dirs, i)
            if (i < dirs) system(sprintf("mkdir -p d%02d", i))
            for (len = 0; len < bytes; len += length(line) + 1) {
                line = sprintf("int value_%d_%d = %d; /* %s */", i, len, rand() * 1e6, rand() < 0.001 ? "needle" : "hay")
                print line > file
            }
            close(file)
        }
    }'
}

true_title='start of `true`'
true_prepare() { :; }
true_command() { echo 'true'; }
true_check() { :; }

# Run with the connection that an earlier mrc has left; see bench.
true_live_title='start of `true`; mrc: connection alive'
true_live_prepare() { :; }
true_live_command() { echo 'true'; }
true_live_check() { :; }

ls_title='`ls -lR`, 2,000 files in 100 directories'
ls_prepare() { sources 2000 100 64; }
ls_command() { echo 'ls -lR d* | grep -c "^-" > count'; }
ls_check() { test "$(cat count)" = 2000; }

grep_title='`grep -r`, 1,000 files of 4.6 KB, cold'
grep_prepare() { sources 1000 20 4600; }
grep_command() { echo 'grep -rc needle . | wc -l > found'; }
grep_check() { test "$(cat found)" -ge 1000; }

grep_warm_title='the same again, warm'
grep_warm_prepare() { sources 1000 20 4600; }
grep_warm_command()
{
    echo 'grep -rc needle d* > /dev/null; a=$(date +%s%N); grep -rc needle d* | wc -l > found; b=$(date +%s%N); echo $((b - a)) > warm.ns'
}
grep_warm_check() { test "$(cat found)" -eq 1000; }

read_title='read 64 MiB'
read_prepare() { head -c 67108864 /dev/urandom > big && cksum < big > want; }
read_command() { echo 'cksum < big > got'; }
read_check() { cmp -s want got; }

write_title='write 64 MiB'
write_prepare() { :; }
write_command() { echo 'head -c 67108864 /dev/urandom | tee out | cksum > want'; }
write_check() { cksum < out | cmp -s - want; }

make_title='`make -j2`, 30 C files'
make_prepare()
{
    local i
    for i in $(seq 30); do
        printf '#include <stdio.h>\n#include "all.h"\nint f%d(int x)\n{\n    printf("%%d\\n", x);\n    return x + %d;\n}\n' "$i" "$i" > "f$i.c"
        printf 'int f%d(int x);\n' "$i" >> all.h
    done
    printf '#include "all.h"\nint main(void)\n{\n    return f1(2) != 3;\n}\n' > main.c
    printf 'OBJECTS = main.o $(foreach n,%s,f$(n).o)\nprog: $(OBJECTS)\n\t$(CC) -o $@ $(OBJECTS)\n$(OBJECTS): all.h\n' "$(seq -s ' ' 30)" > Makefile
}
make_command() { echo 'make -s -j2'; }
make_check() { ./prog > /dev/null; }

python_title='`python3`, imports of 100 modules'
python_prepare()
{
    local i
    mkdir package
    for i in $(seq 100); do
        { echo 'import os, sys, json'; seq -f "VALUE_%g = 1" 100; } > "package/m$i.py"
    done
    : > package/__init__.py
    seq -f 'import package.m%g' 100 > all.py
    echo 'print(len([m for m in sys.modules if m.startswith("package.m")]))' >> all.py
    sed -i '1i import sys' all.py
}
python_command() { echo 'python3 all.py > count'; }
python_check() { test "$(cat count)" = 100; }

sqlite_title='`sqlite3`, 10,000 inserts in 10 transactions'
sqlite_prepare()
{
    awk 'BEGIN {
        print "create table t(a integer primary key, b text);"
        for (i = 0; i < 10000; i++) {
            if (i % 1000 == 0) print "begin;"
            printf "insert into t(b) values(\x27row %d of ten thousand\x27);\n", i
            if (i % 1000 == 999) print "commit;"
        }
    }' > in.sql
}
sqlite_command() { echo 'sqlite3 t.db < in.sql > /dev/null'; }
sqlite_check() { test "$(sqlite3 t.db 'select count(*) from t; pragma integrity_check' | tr '\n' ' ')" = "10000 ok "; }

untar_title='unpacking 1,000 files of 4.6 KB'
untar_prepare()
{
    mkdir t && (cd t && sources 1000 20 4600) && tar cf a.tar -C t . && rm -r t
}
untar_command() { echo 'mkdir t && tar xf a.tar -C t'; }
untar_check() { mkdir want && tar xf a.tar -C want && diff -r t want && test "$(find t -type f | wc -l)" = 1000; }
