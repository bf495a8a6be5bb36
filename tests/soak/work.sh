#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# work.sh KIND DIRECTORY: does one kind of work, again and again, until the file DIRECTORY/enough is there, at least once. Says the same each time, the
# same here as in a job, and leaves the same files in DIRECTORY/r. For resume.py, which cuts the connection meanwhile.
set -eu
kind=$1
cd "$2"
export LC_ALL=C.UTF-8 TZ=UTC
umask 022

build()
{
    i=0
    while [ $i -lt 6 ]; do
        printf 'extern int printf(const char *, ...);\nint f%s(int n)\n{\n    int s = 0;\n    for (int i = 0; i < n; i++)\n        s += i * %s;\n    return s;\n}\n' $i $((i + 3)) >f$i.c
        i=$((i + 1))
    done
    printf '#include <stdio.h>\nint f0(int), f1(int), f2(int), f3(int), f4(int), f5(int);\nint main(void) { printf("%%d\\n", f0(9) + f1(9) + f2(9) + f3(9) + f4(9) + f5(9)); return 0; }\n' >main.c
    printf 'O = f0.o f1.o f2.o f3.o f4.o f5.o main.o\nprogram: $O\n\t$(CC) -o $@ $O\n%%.o: %%.c\n\t$(CC) -O1 -c -o $@ $<\n' >Makefile
    make -s -j2 CC=gcc
    ./program
    rm -f f3.o
    make -s CC=gcc
    make -q CC=gcc
    sha256sum *.o program
}

git_work()
{
    export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.org
    export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
    git init -q -b main a
    cd a
    git config pack.threads 1
    git config gc.auto 0
    for i in 1 2 3; do
        mkdir -p d$i/e
        seq $i $((i * 400)) >d$i/f
        seq $((i * 300)) >d$i/e/g
        ln -s f d$i/link
        git add -A
        git commit -q -m "commit $i"
    done
    git mv d1/f d1/h
    git commit -q -m moved
    git checkout -q -b other HEAD~2
    echo other >o
    git add o
    git commit -q -m other
    git checkout -q main
    git merge -q -m merged other
    git repack -q -a -d -f
    git fsck --full --strict 2>&1
    git rev-parse HEAD 'HEAD^{tree}'
    git log --format='%H %s' | sha256sum
    cd ..
    git clone -q --no-hardlinks a b
    git -C b status --porcelain
    rm -f a/.git/index b/.git/index a/.git/ORIG_HEAD # these have times in them
}

sqlite_work()
{
    sqlite3 -bail one.db "create table t(id integer primary key, host text, x blob);"
    i=0
    while [ $i -lt 8 ]; do
        i=$((i + 1))
        sqlite3 -bail one.db "begin immediate; with recursive c(i) as (select 1 union all select i+1 from c where i<60)
            insert into t(host, x) select 'h$i', zeroblob(i * $i) from c; update t set host = host || 'x' where id % 7 = $i % 7; commit;"
    done
    sqlite3 -bail one.db "create index i on t(host, length(x)); delete from t where id % 3 = 0; vacuum;
        select count(*), sum(length(x)), sum(id) from t; pragma integrity_check;"
    sha256sum one.db
}

tar_work()
{
    mkdir t
    for d in 1 2 3; do
        mkdir -p t/d$d
        i=0
        while [ $i -lt 20 ]; do
            i=$((i + 1))
            seq $i $((i * d + 50)) >t/d$d/f$i
        done
    done
    seq 60000 >t/large
    ln t/large t/second
    chmod 700 t/d1
    tar -cf t.tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 t
    mkdir x
    tar -xf t.tar -C x
    diff -r t x/t
    gzip -n -k t.tar
    rm -rf t
    sha256sum t.tar t.tar.gz
    find x -type f -exec sha256sum {} + | sort -k 2 | sha256sum
}

python_work()
{
    python3 -S - <<'P'
import fcntl, hashlib, json, mmap, os, zipfile
h = hashlib.sha256()
for i in range(30):
    with open(f"j{i}", "w") as f:
        json.dump({"n": i, "list": list(range(i * 40))}, f)
    with open("counter", "a+") as f:
        fcntl.lockf(f, fcntl.LOCK_EX)
        f.seek(0)
        n = int(f.read() or 0)
        f.truncate(0)
        f.write(str(n + 1))
        f.flush()
        os.fsync(f.fileno())
    h.update(open(f"j{i}", "rb").read())
with zipfile.ZipFile("z.zip", "w") as z:
    for i in range(30):
        z.writestr(zipfile.ZipInfo(f"j{i}"), open(f"j{i}", "rb").read())
with open("map", "w+b") as f:
    f.truncate(70000)
    with mmap.mmap(f.fileno(), 70000) as m:
        for i in range(0, 70000, 100):
            m[i] = i % 251
        m.flush()
for name in "z.zip", "map", "counter":
    h.update(open(name, "rb").read())
print(h.hexdigest(), len(os.listdir(".")))
P
}

: >begun
while :; do
    rm -rf r
    mkdir r
    (cd r && "$kind")
    [ ! -e enough ] || break
done
