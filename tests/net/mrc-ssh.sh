#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-ssh.sh: transports against an sshd of the test's own on a loopback port: keys, host keys, proxies, what goes to the
# user's ssh instead, streams, ends. Passwords and far links: mrc-ssh-lab.sh.
. "${top_srcdir:-.}/tests/lib/functions.sh"

requires /usr/sbin/sshd ssh ssh-keygen ssh-agent python3
driver=$top_builddir/tests/net/stream_driver
on_terminal=$top_srcdir/tests/lib/on_terminal
[ -x "$driver" ] || { echo "not built: make check"; exit 99; }
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY
me=$(id -un)
cd "$tmp" || exit 99
umask 077

# ---- the server ----
for key in ed25519 ecdsa rsa; do
    ssh-keygen -q -t $key -N '' -f host_$key
    ssh-keygen -q -t $key -N '' -f key_$key -C "key $key"
done
ssh-keygen -q -t ed25519 -N secret -f key_locked -C locked
ssh-keygen -q -t ecdsa -m PEM -N secret -f key_pem -C pem
ssh-keygen -q -t ed25519 -N '' -f key_stranger -C stranger
ssh-keygen -q -t ed25519 -N '' -f ca
cat key_ed25519.pub key_ecdsa.pub key_rsa.pub key_locked.pub key_pem.pub > authorized
echo "cert-authority $(cat ca.pub)" >> authorized
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

# server NAME PORT [LINE...]: starts an sshd
server()
{
    local name=$1 at=$2
    shift 2
    {
        printf '%s\n' "Port $at" "ListenAddress 127.0.0.1" "PidFile $tmp/$name.pid" "AuthorizedKeysFile $tmp/authorized" \
            "StrictModes no" "UsePAM no" "PasswordAuthentication no" "KbdInteractiveAuthentication no" \
            "AllowAgentForwarding yes" "MaxStartups 100" "PermitRootLogin yes" "$@"
        printf "HostKey $tmp/%s\n" ${host_keys:-host_ed25519 host_ecdsa host_rsa}
    } > "$name.conf"
    /usr/sbin/sshd -f "$tmp/$name.conf" -E "$tmp/$name.log" || fail "sshd: $(cat "$name.log")"
    wait_for 10 test -s "$name.pid"
    at_exit "kill $(cat "$name.pid") 2>/dev/null"
}
server main "$port"
known() { # TYPE...: known_hosts lines of the server
    local type
    for type; do echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 "host_$type.pub")"; done
}
config()
{
    known ed25519 > known_hosts
    cat > config << EOF
Host target
    HostName 127.0.0.1
    Port $port
    User $me
    IdentityFile $tmp/key_ed25519
    IdentitiesOnly yes
    UserKnownHostsFile $tmp/known_hosts
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    UpdateHostKeys no
    HashKnownHosts no
EOF
}
config

# ---- running it ----
# run [OPTION...] HOST COMMAND, no input; out, err, rc
run()
{
    rc=0
    timeout 60 "$driver" -v -F "$tmp/config" "$@" < /dev/null > out 2> err || rc=$?
}
ok() # WHAT [TRANSPORT]: it printed "fine"
{
    [ $rc = 0 ] || fail "$1: status $rc: $(cat err)"
    same "$1" fine "$(cat out)"
    [ -z "${2-}" ] || same "$1: transport" "$2" "$(sed -n 's/^mrc: transport: \(libssh2\|ssh\).*/\1/p' err | tail -n 1)"
}
refused() # WHAT PATTERN: the last line, and nothing came out
{
    [ $rc = 255 ] || fail "$1: status $rc: $(cat err)"
    same "$1" "" "$(cat out)"
    tail -n 1 err | grep -q "^mrc: .*$2" || fail "$1: no '$2' in: $(cat err)"
}

alone() # WHAT PATTERN [OPTION...] HOST: without -v, one line and no more
{
    local what=$1 pattern=$2
    shift 2
    rc=0
    timeout 60 "$driver" -F "$tmp/config" "$@" 'echo fine' < /dev/null > out 2> err || rc=$?
    refused "$what" "$pattern"
    same "$what: lines of $(cat err)" 1 "$(wc -l < err)"
}

echo "1. keys"
run target 'echo fine'; ok ed25519 libssh2
run -o IdentityFile="$tmp/key_ecdsa" -F /dev/null -i key_ecdsa -o UserKnownHostsFile="$tmp/known_hosts" -p "$port" 127.0.0.1 'echo fine'
ok "ecdsa, no configuration file" libssh2
run -i key_stranger -o IdentityFile=none target 'echo fine'
ok "a stranger's key first" libssh2

sed -i "s/key_ed25519/key_stranger/" config
run target 'echo fine'
refused "stranger" "permission denied for $me@target: tried key $tmp/key_stranger; the server takes publickey"
run -l nobody-of-this-name target 'echo fine'
refused "unknown user" "permission denied for nobody-of-this-name@target"
config

echo "2. keys with a passphrase"
for key in locked pem; do
    sed -i "s/key_ed25519/key_$key/" config
    rc=0
    "$on_terminal" --echo-off "passphrase for key '$tmp/key_$key'" wrong "try again" secret -- \
        "$driver" -v -F config target 'echo fine >&2; echo fine' > out 2> err || rc=$?
    [ $rc = 0 ] && grep -q '^fine' out || fail "$key: status $rc: $(cat out err)"
    "$on_terminal" --echo-off "passphrase" no "again" no "again" no -- \
        "$driver" -v -F config target 'echo fine' > out 2> err && fail "$key opened without its passphrase"
    grep -q "permission denied.*key_$key" err || fail "$key: $(cat err)"
    run -B target 'echo fine'
    refused "$key in batch mode" "permission denied.*nobody may be asked"
    config
done
chmod 644 key_ed25519
run target 'echo fine'
refused "a key that others can read" "permission denied"
grep -q "key_ed25519 may be read by others" err || fail "$(cat err)"
chmod 600 key_ed25519

echo "3. the agent"
eval "$(ssh-agent -s)" > /dev/null
at_exit "kill $SSH_AGENT_PID 2>/dev/null"
SSH_ASKPASS=$tmp/askpass SSH_ASKPASS_REQUIRE=force
printf '#!/bin/sh\necho secret\n' > askpass
chmod 700 askpass
export SSH_ASKPASS SSH_ASKPASS_REQUIRE
sed -i "s/key_ed25519/key_locked/" config
run target 'echo fine'; ok "SSH_ASKPASS" libssh2
ssh-add -q key_locked
unset SSH_ASKPASS SSH_ASKPASS_REQUIRE
run -B target 'echo fine'; ok "agent" libssh2
run -B -o IdentityAgent=none target 'echo fine'; refused "IdentityAgent none" "permission denied"
run -B -o IdentityAgent="$SSH_AUTH_SOCK" target 'echo fine'; ok "IdentityAgent" libssh2
sed -i "s/key_locked/key_stranger/" config
run -B target 'echo fine'; refused "IdentitiesOnly keeps the agent's other keys back" "permission denied"
run -B -o IdentitiesOnly=no target 'echo fine'; ok "without IdentitiesOnly" libssh2
run -B -A -o IdentitiesOnly=no target 'ssh-add -l | grep -q locked && echo fine'; ok "agent forwarding" ssh
config
mv key_locked key_moved
sed -i "s/key_ed25519/key_locked/" config
run -B target 'echo fine'; ok "only the public part of the key is a file" libssh2
mv key_moved key_locked
config
ssh-add -q -D
ssh-add -q key_rsa
sed -i "s/key_ed25519/key_rsa.pub/" config
run -B target 'echo fine'; ok "an RSA key of the agent" ssh
config
kill "$SSH_AGENT_PID"
unset SSH_AUTH_SOCK
run target 'echo fine'; ok "no agent any more" libssh2

echo "4. what libssh2 can't do is done by ssh, and -v says why"
sed -i "s/key_ed25519/key_rsa/" config
run target 'echo fine'; ok "RSA key" ssh
grep -q 'because the only keys are an RSA key' err || fail "$(cat err)"
run -k ssh2 target 'echo fine'; refused "RSA with libssh2 forced" "permission denied.*key_rsa"
config
ssh-keygen -q -s ca -I test -n "$me" -V +1d key_stranger.pub
sed -i "s/key_ed25519/key_stranger/" config
run target 'echo fine'; ok "certificate" ssh
rm key_stranger-cert.pub
config
run -o KexAlgorithms=sntrup761x25519-sha512@openssh.com target 'echo fine'; ok "key exchange that libssh2 lacks" ssh
run -o Ciphers=chacha20-poly1305@openssh.com target 'echo fine'; ok "cipher that libssh2 lacks" ssh
ssh -F config -o ControlMaster=yes -o ControlPath="$tmp/master" -N -f target
run -o ControlPath="$tmp/master" -i key_stranger -o IdentityFile=none target 'echo fine'; ok "ControlMaster" ssh
ssh -F config -o ControlPath="$tmp/master" -O exit target 2> /dev/null
run -o ControlPath="$tmp/master" target 'echo fine'; ok "ControlMaster is gone" libssh2
touch dead
run -o ControlPath="$tmp/dead" target 'echo fine'; ok "a dead control socket" libssh2
run -k openssh target 'echo fine'; ok "ssh on demand"
MRC_SSH=/nonexistent run -p "$port" -i key_ed25519 -o "UserKnownHostsFile=$tmp/known_hosts" 127.0.0.1 'echo fine'
ok "without an ssh program" libssh2
run -o NoSuchOption=1 target 'echo fine'; refused "bad option" "ssh -G does not accept"
run -- '-oProxyCommand=touch pwned' 'echo fine'; refused "a host that is an option" "not a host name"
[ ! -e pwned ] || fail "the host name was executed"

echo "5. unknown host keys"
: > known_hosts
run target 'echo fine'; refused "strict" "not known (ssh-ed25519 SHA256:.*add it to known_hosts"
run -B -o StrictHostKeyChecking=ask target 'echo fine'; refused "batch" "not known.*nobody can be asked"
same "still unknown" "" "$(cat known_hosts)"
print=$(ssh-keygen -lf host_ed25519.pub | cut -d' ' -f2)
run -o StrictHostKeyChecking=accept-new target 'echo fine'; ok accept-new libssh2
grep -q "new and now remembered (ssh-ed25519 $print)" err || fail "$(cat err)"
same "line" "$(known ed25519)" "$(cat known_hosts)"
run target 'echo fine'; ok "known now" libssh2
printf 'other.example ssh-ed25519 %s' "$(cut -d' ' -f2 ca.pub)" > known_hosts # no newline at its end
for answer in yes "$print"; do
    "$on_terminal" "$print" maybe "type 'yes'" "$answer" -- \
        "$driver" -F config -o StrictHostKeyChecking=ask -o HashKnownHosts=yes target 'echo fine' > out 2> err ||
        fail "asked: $(cat out err)"
    same "lines" 2 "$(wc -l < known_hosts)"
    sed -n 2p known_hosts | grep -q '^|1|.*=|.*= ssh-ed25519 ' || fail "not hashed: $(cat known_hosts)"
    ssh-keygen -F "[127.0.0.1]:$port" -f known_hosts > /dev/null || fail "ssh-keygen does not find it"
    run target 'echo fine'; ok "hashed" libssh2
    ssh -F config target true || fail "ssh does not know it"
    sed -i 2d known_hosts
done
rc=0
"$on_terminal" "$print" no -- "$driver" -F config -o StrictHostKeyChecking=ask target 'echo fine' > out 2> err || rc=$?
[ $rc = 255 ] && grep -q "host key of target not accepted" err || fail "no: $rc $(cat out err)"
same "lines" 1 "$(wc -l < known_hosts)"
run -o UserKnownHostsFile="$tmp/new folder/known" -o StrictHostKeyChecking=no target 'echo fine'; ok "folder made" libssh2
known ed25519 | sed "s/^[^ ]*/127.0.0.1/" > known_hosts
run target 'echo fine'; ok "known without its port" libssh2
known ed25519 | sed "s/^[^ ]*/alias/" > known_hosts
run -o HostKeyAlias=alias target 'echo fine'; ok "HostKeyAlias" libssh2

echo "6. changed and revoked ones, authorities, other types"
{ echo '# a comment'; known ed25519 | sed "s|AAAA.*|$(cut -d' ' -f2 ca.pub)|"; } > known_hosts
run target 'echo fine'; refused changed "CHANGED (known: $tmp/known_hosts:2.*ssh-keygen -R '\[127.0.0.1\]:$port'"
run -o StrictHostKeyChecking=accept-new target 'echo fine'; refused "changed, accept-new" CHANGED
run -o StrictHostKeyChecking=no target 'echo fine'; ok "changed, checking is off" libssh2
grep -q 'has CHANGED.*without password' err || fail "$(cat err)"
ssh-keygen -q -R "[127.0.0.1]:$port" -f known_hosts > /dev/null 2>&1
run -o StrictHostKeyChecking=accept-new target 'echo fine'; ok "the remedy helps" libssh2
{ known ed25519; echo "@revoked * $(cat host_ed25519.pub)"; } > known_hosts
run target 'echo fine'; refused revoked "revoked in $tmp/known_hosts:2"
ssh-keygen -q -s ca -I host -h -n target,127.0.0.1 -V +1d host_ed25519.pub
echo "@cert-authority [127.0.0.1]:* $(cat ca.pub)" > known_hosts
run target 'echo fine'
[ $rc = 255 ] && grep -q 'because target is known by a certificate authority' err || fail "authority: $(cat err)"
server certified $((port + 1)) "HostCertificate $tmp/host_ed25519-cert.pub"
run -p $((port + 1)) target 'echo fine'; ok "a host with a certificate" ssh
run -k ssh2 -p $((port + 1)) target 'echo fine'; refused "the same by libssh2" "certificate authority ($tmp/known_hosts:1).*openssh"
MRC_SSH=/nonexistent run -k ssh2 -p $((port + 1)) -o "UserKnownHostsFile=$tmp/known_hosts" 127.0.0.1 'echo fine'
refused "the same without ssh" "certificate authority ($tmp/known_hosts:1).*install"
echo "@cert-authority 127.0.0.1 $(cat ca.pub)" > known_hosts
run -k ssh2 -p $((port + 1)) target 'echo fine'; refused "an authority for the host without its port" "certificate authority ($tmp/known_hosts:1)"
{ echo '# a comment'; echo "@cert-authority [127.0.0.1]:$port $(cat ca.pub)"; } > known_hosts
alone "authority, but no certificate" "target shows no key that is known, nor a certificate by the authority of $tmp/known_hosts:2" target
alone "the same, nobody to be asked" "authority of $tmp/known_hosts:2" -B -o StrictHostKeyChecking=ask target
{ known ed25519; echo "@revoked [127.0.0.1]:* $(cat host_ed25519.pub)"; } > known_hosts
alone "revoked for all ports" "revoked in $tmp/known_hosts:2" target
{ known ed25519; echo "@revoked 127.0.0.1 $(cat host_ecdsa.pub)"; } > known_hosts
run target 'echo fine'; ok "a revoked key that the host does not use" libssh2
known ecdsa > known_hosts
run target 'echo fine'; ok "known by another type" libssh2
known rsa > known_hosts
run target 'echo fine'; ok "known by RSA only" ssh
grep -q 'known by ssh-rsa' err || fail "$(cat err)"
config

echo "7. proxies"
printf '%s\n' 'import os, socket, sys, threading' 's = socket.create_connection((sys.argv[1], int(sys.argv[2])))' \
    'def up():' '    while d := os.read(0, 65536): s.sendall(d)' '    s.shutdown(1)' \
    'threading.Thread(target=up, daemon=True).start()' 'while d := s.recv(65536): os.write(1, d)' > relay.py
run -o ProxyCommand="python3 $tmp/relay.py %h %p" target 'echo fine'; ok ProxyCommand libssh2
run -o ProxyCommand="echo my words >&2; exit 1" target 'echo fine'; refused "ProxyCommand fails" 'no way to target through its proxy (ProxyCommand'
grep -q '^my words' err || fail "$(cat err)"
run -o ProxyCommand="python3 relay.py %Z" target 'echo fine'; refused "ProxyCommand's tokens" 'ProxyCommand python3'
run -J target target 'echo fine'; ok ProxyJump libssh2
run -J "target,$me@target" target 'echo fine'; ok "two jumps" libssh2
run -J 127.0.0.1:1 target 'echo fine'; refused "dead jump" 'through its proxy (ProxyJump .*127.0.0.1.*:1)'

echo "8. nobody there"
run -p 1 target 'echo fine'; refused "closed port" '127.0.0.1 (127.0.0.1) refused the connection.*port 1'
run -o HostName=nothing.invalid target 'echo fine'; refused "no such host" 'host nothing.invalid not found.*HostName of target'
run -p 99999999 target 'echo fine'; [ $rc = 255 ] || fail "bad port: $rc"
python3 -c '
import socket, sys, time
a, b = socket.socket(), socket.socket()
for s in a, b: s.bind(("127.0.0.1", 0)); s.listen(5)
print(a.getsockname()[1], b.getsockname()[1], flush=True)
kept = []
while True:
    c, _ = a.accept(); c.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n"); c.close()
    kept.append(b.accept())
' > ports &
at_exit "kill $!"
wait_for 10 test -s ports
read -r http silent < ports
run -p "$http" target 'echo fine'; [ $rc = 255 ] && tail -n 1 err | grep -q '^mrc: .*target.*SSH' || fail "no SSH there: $(cat err)"
start=$SECONDS
run -p "$silent" -o ConnectTimeout=1 target 'echo fine'; refused "silent server" 'no answer from target during the SSH handshake'
[ $((SECONDS - start)) -lt 10 ] || fail "ConnectTimeout does not count"

echo "9. streams"
head -c 12000000 /dev/urandom > block
cat block block > big
sum=$(md5sum < big)
server rekeying $((port + 2)) "RekeyLimit 2M" "LogLevel DEBUG1"
for kind in local via ssh2 openssh rekey; do
    options="-k $kind -F $tmp/config"
    case $kind in
    via) options="$options -V env" ;;
    rekey) options="-k ssh2 -F $tmp/config -p $((port + 2)) -o UserKnownHostsFile=$tmp/known2" ;;
    esac
    sed "s/:$port/:$((port + 2))/" known_hosts > known2
    # shellcheck disable=SC2086
    stream() { timeout 120 "$driver" $options target "$1"; }
    same "$kind: both ways" "$sum" "$(stream cat < big | md5sum)"
    same "$kind: up" "$sum" "$(stream md5sum < big)"
    same "$kind: down" "$sum" "$(stream "cat $tmp/big" < /dev/null | md5sum)"
    same "$kind: stderr is apart" "$sum$sum" "$(stream "cat $tmp/big; cat $tmp/big >&2" < /dev/null 2> err.big | md5sum)$(md5sum < err.big)"
    same "$kind: half-close" "body tail" "$(printf 'body ' | stream 'cat; printf tail')"
    same "$kind: the command ends first" ended "$(stream 'head -c 1 > /dev/null; echo ended' < big)"
    start=$SECONDS
    same "$kind: the reader ends first" yyyyy "$(yes | stream 'tr -d "\n"' | head -c 5)"
    [ $((SECONDS - start)) -lt 10 ] || fail "$kind: it did not end with its reader"
    expected=0 # a status is no failure of the transport, but via's may be one of the command itself
    [ $kind != via ] || expected=3
    same "$kind: status" $expected "$(status stream 'exit 3' < /dev/null 2> /dev/null)"
done
[ "$(grep -c 'SSH2_MSG_KEXINIT sent' rekeying.log)" -gt 50 ] || fail "there was no new key exchange: $(tail rekeying.log)"

echo "10. ends"
gone() { for gone_pid; do is_gone "$gone_pid" || return 1; done; }
for kind in local via ssh2 openssh; do
    for what in close die; do
        rm -f pid there
        timeout 60 "$driver" -k $kind -V env -w $what -F config target "echo \$\$ > $tmp/there; echo x; exec cat" < /dev/zero \
            > /dev/null 2> err 9> pid &
        wait $! 2> /dev/null || :
        wait_for 10 test -s there
        wait_for 15 gone "$(cat pid)" "$(cat there)"
    done
done
run target 'kill -9 $$'; same "killed there" 0 $rc
# The server's process dies, hangs.
for signal in KILL STOP; do
    timeout 60 "$driver" -v -F config -o ServerAliveInterval=1 -o ServerAliveCountMax=2 target 'echo $PPID; exec sleep 60' \
        < /dev/zero > out 2> err &
    pid=$!
    wait_for 10 test -s out
    server_pid=$(cat out)
    kill -$signal "$server_pid"
    start=$SECONDS
    rc=0
    wait $pid || rc=$?
    kill -CONT "$server_pid" 2> /dev/null
    kill "$server_pid" 2> /dev/null
    same "$signal: status" 255 $rc
    [ $((SECONDS - start)) -lt 14 ] || fail "$signal: too late"
    case $signal in
    KILL) tail -n 1 err | grep -q '^mrc: .*target.*while the command ran' || fail "$(cat err)" ;;
    STOP) tail -n 1 err | grep -q '^mrc: target has not answered for 6 s' || fail "$(cat err)" ;;
    esac
done
# A reader that takes its time is no dead server, whichever of the two streams it leaves.
count=$(timeout 60 "$driver" -F config -o ServerAliveInterval=1 -o ServerAliveCountMax=2 target \
    'head -c 40000000 /dev/zero; head -c 1000000 /dev/zero >&2' < /dev/null 2> >(sleep 8; wc -c > err.count) | { sleep 8; wc -c; })
same "slow reader" 40000000 "$count"
wait_for 10 test -s err.count
same "slow reader of stderr" 1000000 "$(cat err.count)"

echo "11. via"
run -k via -V 'cat; exit 7; :' x 'echo fine'
same "its status, for mrc to tell" "7 " "$rc $(cat out err)"
run -k via -V 'exit 255; :' x 'echo fine'; refused "a status that has another meaning" 'status 255.*it says nothing'
run -k via -V 'nosuchprogram -x' x 'echo fine'; refused "not there" 'there is no program nosuchprogram on this computer'
run -k via -V "ssh -F $tmp/config target" x "printf '%s' fi'n'e; echo"; ok "via ssh"
run -k local x "printf '%s' fi'n'e; echo"; ok "local"

echo "12. one sentence, with the reason that a program gave; all its words with -v"
alone "bad option" 'ssh -G does not accept.*for target: command-line.*Bad configuration option: nosuchoption' -o NoSuchOption=1 target
printf 'Host *\n  Foo bar\n' > bad.config
alone "bad configuration" "bad.config.*line 2: Bad configuration option: foo" -F bad.config target
alone "bad port" "Bad port '99999999'" -p 99999999 target
alone "ProxyCommand fails" 'its proxy (ProxyCommand .*): my words$' -o ProxyCommand='echo my words >&2; exit 1' target
alone "ProxyCommand says more" 'its proxy (ProxyCommand .*): second$' -o ProxyCommand='sh -c "(echo first; echo second) >&2; exit 1"' target
alone "ProxyCommand says nothing" 'without a word' -o ProxyCommand='false' target
alone "ProxyCommand is missing" 'nosuchproxy.*not found' -o ProxyCommand='nosuchproxy %h' target
alone "ProxyCommand ends late" 'closed the connection.*its proxy says: late words' \
    -o ProxyCommand='sh -c "printf \"SSH-2.0-x\\r\\n\"; echo late words >&2; exit 1"' target
alone "dead jump" 'its proxy (ProxyJump .*127.0.0.1.*): .*Connection refused' -J 127.0.0.1:1 target
alone "unknown jump" 'its proxy (ProxyJump nothing.invalid): .*resolve hostname nothing.invalid' -J nothing.invalid target
alone "ssh fails" "ssh to target failed: nobody-there@127.0.0.1: Permission denied" -k openssh -l nobody-there target
MRC_SSH=nosuchssh alone "no ssh" 'there is no program nosuchssh on this computer' -k openssh target
alone "--via fails" 'ended with status 3: .*it says: oops' -k via -V 'sh -c "echo oops >&2; exit 3" --' x
alone "--via not found" 'there is no program nosuchprogram on this computer' -k via -V 'nosuchprogram -x' x
alone "--via not found there" 'status 127: .*it says: .*nosuchprogram.*not found' -k via -V 'env sh -c "nosuchprogram" ' x
run -k via -V 'sh -c "(echo one; echo two) >&2; exit 3" --' x 'echo fine'; refused "with -v" 'status 3.*it says: two'
same "all its words" "one two" "$(sed -n '1,2p' err | paste -sd' ')"
rc=0
timeout 60 "$driver" -k via -V 'sh -c "echo wait for it >&2; sleep 4; echo oops >&2; exit 3" --' x 'echo fine' < /dev/null > out 2> err &
pid=$!
wait_for 3 grep -q '^wait for it' err # long before its end
wait $pid || rc=$?
refused "--via that tells what it waits for" 'status 3.*it says: oops'
same "lines" 2 "$(wc -l < err)"
timeout 60 "$driver" -k via -V 'sh -c "echo a warning >&2; exec \"\$@\"" --' x 'echo fine' < /dev/null > out 2> err
same "words of who goes on" "fine a warning" "$(cat out err | paste -sd' ')"
