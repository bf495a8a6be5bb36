#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One SQLite database written by jobs on two targets and by this computer at the same time.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
requires sqlite3
lab_up 2
limit=80
sql() { here sqlite3 -cmd '.timeout 30000' test.db "$@"; }

echo "# one job"
cat >"$home/proj/script.sql" <<'S'
.timeout 30000
create table t(id integer primary key, host text, x blob);
begin; with recursive c(i) as (select 1 union all select i+1 from c where i<2000) insert into t(host,x) select 'a', zeroblob(i%500) from c; commit;
create index i on t(host, length(x));
delete from t where id % 3 = 0; update t set host='b' where id % 5 = 0; vacuum;
select count(*), sum(length(x)), sum(id) from t; pragma integrity_check;
S
here sh -c 'sqlite3 one.db < script.sql' >"$tmp/here"
job sh -c 'sqlite3 two.db < script.sql' >"$tmp/there" || fail "sqlite in a job"
cmp "$tmp/here" "$tmp/there" || fail "results differ: $(cat "$tmp/there")"
cmp "$home/proj/one.db" "$home/proj/two.db" || fail "databases differ"
job sh -c 'sqlite3 wal.db "pragma journal_mode=wal; create table t(x); insert into t values(1),(2);" && sqlite3 wal.db "insert into t values(3); select sum(x) from t; pragma integrity_check"' >"$tmp/o" 2>&1 ||
    fail "write-ahead log: $(cat "$tmp/o")"
same "write-ahead log, here" 6 "$(here sqlite3 wal.db 'select sum(x) from t')"

echo "# three computers"
sql 'create table t(id integer primary key, host text, n int); create table c(v int); insert into c values(0);' || fail "create"
cat >"$home/proj/writer.sh" <<'S'
# writer.sh NAME COUNT: each transaction reads, adds and writes, so a lost lock is a wrong sum
i=0
while [ $i -lt "$2" ]; do
    i=$((i + 1))
    echo "begin immediate; insert into t(host,n) values('$1',$i); update c set v = v + 1; commit;"
done | sqlite3 -bail -cmd '.timeout 60000' test.db
S
count=60
m alice@n1 sh writer.sh n1 $count & p1=$!
m alice@n2 sh writer.sh n2 $count & p2=$!
here timeout $limit sh writer.sh here $count & p3=$!
wait $p1 || fail "writer on n1"
wait $p2 || fail "writer on n2"
wait $p3 || fail "writer here"
same "rows" "here|$count n1|$count n2|$count " "$(sql 'select host, count(*) from t group by host order by host' | tr '\n' ' ')"
same "none lost" $((3 * count)) "$(sql 'select v from c')"
same "integrity, here" ok "$(sql 'pragma integrity_check')"
same "integrity, n1" ok "$(m alice@n1 sqlite3 test.db 'pragma integrity_check')"
same "n2 sees it" $((3 * count)) "$(m alice@n2 sqlite3 test.db 'select count(*) from t')"
same "no journal left" "" "$(find "$home/proj" -name "*journal*")"

echo "# a writer that is killed in a transaction loses that transaction and its locks"
m alice@n1 sh -c '(echo "begin immediate; insert into t(host,n) values(1,1);"; sleep 60) | sqlite3 test.db' & p1=$!
wait_for 20 test -e "$home/proj/test.db-journal"
same "locked" 5 "$(here sh -c 'sqlite3 -cmd ".timeout 100" test.db "insert into t(host,n) values(2,2)" 2>/dev/null; echo $?')"
for p in $(pgrep -f -u "$user" "mrc -q -F $conf alice@n1"); do
    kill -9 "$p"
done
wait $p1 2>/dev/null
same "free again" "$((3 * count))" "$(sql 'select count(*) from t')"
sql "insert into t(host,n) values('last',1)" || fail "still locked"
same "integrity" ok "$(sql 'pragma integrity_check')"
echo "all passed"
