#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-ssh-lab.sh: transports to nodes of the lab: passwords, keyboard-interactive, jumps, links that are long or cut.
. "${top_srcdir:-.}/tests/lib/functions.sh"

requires root python3 ssh
lab=$top_srcdir/examples/lab/lab
driver=$top_builddir/tests/net/stream_driver
on_terminal=$top_srcdir/tests/lib/on_terminal
[ -x "$lab" ] && [ -x "$driver" ] || { echo "not built: make check"; exit 99; }
LAB_NAME=ssh-$$
export LAB_NAME
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY
"$lab" up 2 --for $$ || fail "the lab does not start"
at_exit '"$lab" down'
config=$("$lab" conf)
cd "$tmp" || exit 99

# asked [--option] EXPECT ANSWER... -- driver's arguments: out and err, rc
asked()
{
    local before=()
    while [ "$1" != -- ]; do before+=("$1"); shift; done
    shift
    rc=0
    "$lab" head -- "$on_terminal" --echo-off "${before[@]}" -- "$driver" -v -F "$config" "$@" > out 2> err || rc=$?
}
plain() # driver's arguments; no terminal
{
    rc=0
    "$lab" head -- setsid timeout 100 "$driver" -v -F "$config" "$@" < /dev/null > out 2> err || rc=$?
}
ok()
{
    [ $rc = 0 ] && grep -q "^fine" out && grep -q 'transport: libssh2' err || fail "$1: status $rc: $(cat out err)"
}
refused()
{
    [ $rc = 255 ] || fail "$1: status $rc: $(cat out err)"
    tail -n 1 err | grep -q "^mrc: .*$2" || fail "$1: no '$2' in: $(cat err)"
}
no_keys="-l alice -o PubkeyAuthentication=no"

echo "1. password and keyboard-interactive"
asked "alice@n1's password: " lab-secret -- $no_keys -o PreferredAuthentications=password n1 'echo fine'; ok password
asked "password: " wrong "try again" lab-secret -- $no_keys -o PreferredAuthentications=password n1 'echo fine'; ok "second try"
asked "(alice@n1) Password: " lab-secret -- $no_keys n1 'echo fine'; ok keyboard-interactive
asked "(alice@n1) Password: " wrong "(alice@n1) Password: " lab-secret -- $no_keys n1 'echo fine'; ok "second answer"
asked assword a assword b assword c -- $no_keys -o PreferredAuthentications=keyboard-interactive n1 'echo fine'
refused "three wrong answers" 'permission denied for alice@n1: tried keyboard-interactive'
asked assword a assword b assword c assword a assword b assword c -- $no_keys n1 'echo fine'
refused "wrong every time" 'permission denied for alice@n1: tried keyboard-interactive, password.*Too many'
asked assword ^D -- $no_keys n1 'echo fine'; same "end of file at the question" 255 $rc
plain $no_keys n1 'echo fine'; refused "no terminal" 'permission denied for alice@n1.*no terminal to ask for a password'
plain -B $no_keys n1 'echo fine'; refused "batch mode" 'nobody may be asked'
grep -q 'tried nothing' err || fail "it tried to ask in batch mode: $(cat err)"

echo "2. Ctrl-C at a question: at once, and the echo is back"
start=$SECONDS
asked assword ^C -- $no_keys n1 'echo fine'
[ $rc != 0 ] && [ $rc != 97 ] && [ $((SECONDS - start)) -lt 10 ] || fail "Ctrl-C: status $rc after $((SECONDS - start)) s"
same "output" "" "$(grep -v assword out | tr -d '\r\n')"

echo "3. two methods, one after the other"
"$lab" run n1 -- sh -c 'sed "s/^Port.*//; s/^ListenAddress.*//" /etc/ssh/sshd_config > /etc/ssh/both_config
    echo "AuthenticationMethods publickey,keyboard-interactive" >> /etc/ssh/both_config
    echo "PidFile none" >> /etc/ssh/both_config
    /usr/sbin/sshd -f /etc/ssh/both_config -p 2222' || fail "second sshd"
key=$(ssh -G -T -F "$config" n1 | sed -n 's/^identityfile //p')
rc=0
"$lab" head -- "$on_terminal" "assword" lab-secret -- "$driver" -vv -F /dev/null -o UserKnownHostsFile="$tmp/known" \
    -o StrictHostKeyChecking=accept-new -i "$key" -l alice -p 2222 10.77.0.1 'echo fine' > out 2> err || rc=$?
ok "publickey, then keyboard-interactive"

echo "4. jumps"
plain -J n1 n2 'echo fine'; ok jump
plain -J n1,n2 n1 'echo fine'; ok "two jumps"
# The questions of the proxy's own ssh, and what it says to a wrong answer.
through="ssh -F $config $no_keys -o NumberOfPasswordPrompts=2 -o PreferredAuthentications=password -W %h:%p n1"
asked "alice@10.77.0.1's password: " wrong "password: " lab-secret -- -o ProxyCommand="$through" n2 'echo fine'; ok "a proxy that asks"
grep -q 'try again' err || fail "the proxy's words: $(cat err)"
asked "alice@10.77.0.1's password: " wrong "password: " worse -- -o ProxyCommand="$through" n2 'echo fine'
refused "a proxy that asks in vain" 'no way to n2 through its proxy'
grep -q 'Permission denied (' err || fail "the proxy's reason: $(cat err)"
asked "alice@10.77.0.1's password: " wrong "password: " lab-secret -- -k openssh $no_keys -o PreferredAuthentications=password n1 'echo fine'
[ $rc = 0 ] && grep -q "^fine" out && grep -q 'try again' err || fail "ssh that asks: status $rc: $(cat out err)"

echo "5. a long way: the window fits, the stream is whole"
"$lab" link head n1 --delay 100ms
head -c 40000000 /dev/urandom > block
stream() { "$lab" head -- timeout 100 "$driver" -vv -F "$config" n1 "$1" 2> err; }
sum=$(md5sum < block)
same "up" "$sum" "$(stream md5sum < block)"
grep -q 'window 32[67][0-9][0-9] KiB' err || fail "window for 200 ms: $(grep window err)"
start=$SECONDS
same "there and back" "$sum" "$(stream cat < block | md5sum)"
echo "   40 MB there and back at 200 ms: $((SECONDS - start)) s"

echo "6. a link that is cut"
start=$SECONDS
(
    "$lab" head -- timeout 60 "$driver" -F "$config" -o ServerAliveInterval=1 -o ServerAliveCountMax=3 n1 \
        'echo there; exec sleep 50' < /dev/zero > there 2> err2
    echo $? > status
) &
wait_for 20 test -s there
"$lab" link head n1 --cut inf
wait_for 20 test -s status
same "status" 255 "$(cat status)"
tail -n 1 err2 | grep -q '^mrc: n1 has not answered for 8 s' || fail "cut: $(cat err2)"
plain -o ConnectTimeout=2 n1 'echo fine'; refused "connecting over it" 'no answer from 10.77.0.1 .* within 2 s'
"$lab" link head n1 --clear
