# shellcheck shell=bash
# shellcheck disable=SC2034   # titles are used by bench
# workloads.sh: what the benchmark runs, one function per line of the table. Sourced by bench.
# Each has: NAME_prepare, run on the head in the empty working directory; NAME_command, printed: run by sh on the target in
# that directory; NAME_check, run on the head afterwards: is the result here? Some have NAME_first, printed: a job like it that
# is run before and not measured; mrc keeps its connection then. Must not know: how the command gets there.

workloads='true true_again ls find grep grep_again read read_again write make make_again python python_again insert select untar rm
    git git_again'

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

true_again_title='`true` again'
true_again_prepare() { :; }
true_again_first() { echo 'true'; }
true_again_command() { echo 'true'; }
true_again_check() { :; }

ls_title='`ls -lR`, 2,000 files in 100 directories'
ls_prepare() { sources 2000 100 64; }
ls_command() { echo 'ls -lR d* | grep -c "^-" > count'; }
ls_check() { test "$(cat count)" = 2000; }

find_title='`find`, the same'
find_prepare() { ls_prepare; }
find_command() { echo 'find d* -type f -size -1k | wc -l > found; find d* -type f | wc -l > count'; }
find_check() { ls_check; }

grep_title='`grep -r`, 1,000 files of 4.6 KB, cold'
grep_prepare() { sources 1000 20 4600; }
grep_command() { echo 'grep -rc needle . | wc -l > found'; }
grep_check() { test "$(cat found)" -ge 1000; }

grep_again_title='the same again'
grep_again_prepare() { grep_prepare; }
grep_again_first() { grep_command; }
grep_again_command() { grep_command; }
grep_again_check() { grep_check; }

read_title='read 64 MiB'
read_prepare() { head -c 67108864 /dev/urandom > big && cksum < big > want; }
read_command() { echo 'cksum < big > got'; }
read_check() { cmp -s want got; }

read_again_title='the same again'
read_again_prepare() { read_prepare; }
read_again_first() { read_command; }
read_again_command() { read_command; }
read_again_check() { read_check; }

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

make_again_title='the same again: nothing to do'
make_again_prepare() { make_prepare; }
make_again_first() { make_command; }
make_again_command() { echo 'make -q -j2'; }
make_again_check() { make_check; }

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

python_again_title='the same again'
python_again_prepare() { python_prepare; }
python_again_first() { python_command; }
python_again_command() { python_command; }
python_again_check() { python_check; }

insert_title='`sqlite3`, 10,000 inserts in a transaction'
insert_prepare()
{
    awk 'BEGIN {
        print "create table t(a integer primary key, b text);\nbegin;"
        for (i = 0; i < 10000; i++)
            printf "insert into t(b) values(\x27row %d of ten thousand\x27);\n", i
        print "commit;"
    }' > in.sql
}
insert_command() { echo 'sqlite3 t.db < in.sql > /dev/null'; }
insert_check() { test "$(sqlite3 t.db 'select count(*) from t; pragma integrity_check' | tr '\n' ' ')" = "10000 ok "; }

select_title='`sqlite3`, 1,000 selects of these'
select_prepare()
{
    insert_prepare
    sqlite3 t.db < in.sql
    awk 'BEGIN { srand(3); for (i = 0; i < 1000; i++) printf "select b from t where a = %d;\n", 1 + rand() * 10000 }' > select.sql
}
select_command() { echo 'sqlite3 t.db < select.sql | wc -l > count'; }
select_check() { test "$(cat count)" = 1000; }

untar_title='unpacking 1,000 files of 4.6 KB'
untar_prepare()
{
    mkdir t && (cd t && sources 1000 20 4600) && tar cf a.tar -C t . && rm -r t
}
untar_command() { echo 'mkdir t && tar xf a.tar -C t'; }
untar_check() { mkdir want && tar xf a.tar -C want && diff -r t want && test "$(find t -type f | wc -l)" = 1000; }

rm_title='`rm -rf` of these'
rm_prepare() { mkdir t && (cd t && sources 1000 20 4600); }
rm_command() { echo 'rm -rf t'; }
rm_check() { test ! -e t; }

git_title='`git status` and `git log -p`, 5,000 files'
git_prepare()
{
    sources 5000 100 200
    git init -q . && git add -A && git -c user.name=b -c user.email=b@example.org commit -q -m one
    date > d01/f0001.c && git add -A && git -c user.name=b -c user.email=b@example.org commit -q -m two
    date > d02/f0002.c
}
git_command() { echo 'g() { git -c safe.directory="$PWD" "$@"; }; g status --porcelain > status && g log -p -1 | wc -l > lines'; }
git_check() { test "$(grep -v '^??' status)" = ' M d02/f0002.c' && test "$(cat lines)" -gt 5; }

git_again_title='the same again'
git_again_prepare() { git_prepare; }
git_again_first() { git_command; }
git_again_command() { git_command; }
git_again_check() { git_check; }
