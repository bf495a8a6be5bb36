#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-compress.sh: what compression makes of the bytes on a slow wire: contents both ways and lists, compressible and not.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"

lab_up 1
"$lab" --name "$name" link head n1 --rate 100mbit || fail "link"
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY
export MRC_HUB_IDLE=0
mega=1048576

awk -v bytes=$((8 * mega)) 'BEGIN { while (n < bytes) { l = sprintf("line %d of a log: all is well, as it was before\n", i++ * 7919 % 100003); n += length(l); printf "%s", l } }' > "$dir/text"
head -c $((8 * mega)) /dev/urandom > "$dir/noise"
mkdir "$dir/many"
for i in $(seq 2000); do : > "$dir/many/file-$i"; done
chown -R "$user:" "$dir"

# counted COMMAND [OPTION...]: runs it in a job with --stats
counted()
{
    local command=$1
    shift
    m --stats --no-cache "$@" alice@n1 sh -c "$command" > "$tmp/out" 2> "$tmp/stats" || fail "$command: $(cat "$tmp/stats")"
    grep -q '^mrc: compression (' "$tmp/stats" || fail "--stats does not tell of compression: $(cat "$tmp/stats")"
}
sent() { sed -n 's/^mrc: link: \([0-9]*\) bytes sent, .*/\1/p' "$tmp/stats"; }
received() { sed -n 's/^mrc: link: .* sent, \([0-9]*\) bytes received.*/\1/p' "$tmp/stats"; }
# between WHAT LEAST MOST BYTES
between()
{
    echo "# $1: $4"
    if [ "$4" -lt "$2" ] || [ "$4" -gt "$3" ]; then
        fail "$1: $4 bytes, not $2 to $3: $(cat "$tmp/stats")"
    fi
}
sum=$(sha256sum < "$dir/text")
noise_sum=$(sha256sum < "$dir/noise")

for consistency in strict lease; do
    counted 'sha256sum < text' --consistency $consistency
    same "text read, $consistency" "$sum" "$(cat "$tmp/out")"
    between "8 MiB of text read, $consistency" $mega $((4 * mega)) "$(sent)"
done
counted 'sha256sum < text' --compress no
same "text read, not compressed" "$sum" "$(cat "$tmp/out")"
between "the same with --compress no" $((8 * mega)) $((9 * mega)) "$(sent)"
counted 'sha256sum < noise'
same "noise read" "$noise_sum" "$(cat "$tmp/out")"
between "8 MiB of noise read" $((8 * mega)) $((9 * mega)) "$(sent)"
counted 'sha256sum < noise' --compress yes
same "noise read with --compress yes" "$noise_sum" "$(cat "$tmp/out")"
between "the same with --compress yes" $((8 * mega)) $((9 * mega)) "$(sent)"

# The text goes to the target and back.
counted 'dd if=text of=copy bs=64k 2>&1'
same "text written" "$sum" "$(sha256sum < "$dir/copy")"
between "8 MiB of text written" $mega $((4 * mega)) "$(received)"
counted 'dd if=noise of=copy bs=64k 2>&1'
same "noise written" "$noise_sum" "$(sha256sum < "$dir/copy")"
between "8 MiB of noise written" $((8 * mega)) $((9 * mega)) "$(received)"

counted 'ls -l many | wc -l' --consistency lease --compress no
plain=$(sent)
counted 'ls -l many | wc -l' --consistency lease
same "names listed" 2001 "$(tr -d ' ' < "$tmp/out")"
between "2,000 names and attributes, of $plain" 1000 $((plain * 2 / 3)) "$(sent)"

for mode in auto no yes; do
    counted 'true' --compress $mode
    grep -q "^mrc: compression ($mode)" "$tmp/stats" || fail "--stats: $(cat "$tmp/stats")"
done
same "a mode that there isn't" 255 "$(status m --compress perhaps alice@n1 true 2>/dev/null)"
