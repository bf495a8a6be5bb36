#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-via.sh: --via with stand-ins that behave as docker exec -i, kubectl exec -i and srun do: straight into a node of the
# lab, with words on either stream, ends that come late, and their ways of failing.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
limit=50
lab_up 1
into="\"$lab\" --name $name run -u alice n1 --"
# stand_in NAME: from standard input
stand_in()
{
    { echo '#!/bin/sh'; cat; } >"$tmp/$1"
    chmod 755 "$tmp/$1"
}
via() { (cd "$dir" && HOME=$home timeout $limit mrc --via "$tmp/$1" c "${@:2}"); } # as root, whom the lab lets in
echo hi >"$home/proj/f"
chmod 644 "$home/proj/f"

stand_in docker <<E
exec $into "\$@"
E
stand_in kubectl <<E
echo 'Defaulted container "c" out of: c, d' >&2
$into "\$@"
rc=\$?
[ \$rc = 0 ] || echo "command terminated with exit code \$rc" >&2
exit \$rc
E
stand_in srun <<E
echo "srun: job 17 queued and waiting for resources" >&2
sleep 2
echo "srun: job 17 has been allocated resources" >&2
$into "\$@" 2>&1
rc=\$?
sleep 2
exit \$rc
E
stand_in srun_merges <<E
exec 2>&1
echo "srun: job 17 queued and waiting for resources"
$into "\$@"
E
stand_in srun_late <<E
$into "\$@"
rc=\$?
cat >/dev/null 2>&1 # its standard input stays open when the command has ended, and may then be reset, which is not what is looked at
exit \$rc
E
for kind in docker kubectl srun srun_merges srun_late; do
    echo "# $kind"
    # shellcheck disable=SC2016
    via $kind sh -c 'cat f; id -un; cat; echo words >&2; exit 3' <<<input >"$tmp/o" 2>"$tmp/e"
    same "$kind: status" 3 $?
    same "$kind: output" "hi alice input" "$(paste -sd' ' "$tmp/o")"
    same "$kind: its standard error is apart" words "$(grep -v '^srun:\|^Defaulted' "$tmp/e")"
    head -c 3000000 /dev/zero | via $kind sh -c 'cat | wc -c' >"$tmp/o" 2>/dev/null
    same "$kind: much input" 3000000 "$(cat "$tmp/o")"
done
same "what srun waits for is told" 2 "$(via srun true 2>&1 | grep -c '^srun: job 17')"
same "what kubectl has chosen is told" 1 "$(via kubectl true 2>&1 | grep -c '^Defaulted')"
# shellcheck disable=SC2016
same "a job that is killed" 137 "$(status via docker sh -c 'kill -9 $$' 2>/dev/null)"
same "a reader that leaves" y "$(via docker yes | head -1)"
same "by a command with options and quotes" "a  b" "$(cd "$dir" && HOME=$home mrc --via "env X='y z' $tmp/docker" c printf %s 'a  b')"

echo "# failures"
stand_in kubectl_gone <<'E'
echo 'Error from server (NotFound): pods "pod" not found' >&2
exit 1
E
stand_in no_shell <<'E'
echo 'OCI runtime exec failed: exec: "sh": executable file not found in $PATH: unknown' >&2
echo 'command terminated with exit code 126' >&2
exit 126
E
stand_in srun_fails <<'E'
echo 'srun: error: Unable to allocate resources: Invalid account' 2>&1
exit 1
E
stand_in ends_well <<'E'
echo 'no space in partition' >&2
exit 0
E
stand_in dies <<'E'
kill -9 $$
E
bad "no such pod" 255 'status 1: .*kubectl_gone \(it says: Error from server \(NotFound\): pods "pod" not found\)' via kubectl_gone true
bad "no shell in the container" 255 'status 126: .*executable file not found' via no_shell true
bad "words in the stream" 255 'c did not start the agent; its last words: srun: error: Unable to allocate resources' via srun_fails true
bad "an end without failure" 255 'ended before the agent started.*it says: no space in partition' via ends_well true
bad "a command that is killed" 255 'status 137: .*dies' via dies true
bad "a job's own failure is none" 127 'c: no-such-command: command not found' via docker no-such-command
bad_end
echo "all passed"
