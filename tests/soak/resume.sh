#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# resume.sh [JOBS [CUTS [SEED [NODES]]]]: jobs of real programs, cut off at random (resume.py); by "make soak-resume": 50 jobs, 500 cuts. On NODES nodes
# at once (4), each at another distance for each job. "make check" runs a short form, tests/net/mrc-cuts.sh.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/mrc_lab.sh"
requires python3 gcc make git sqlite3 tar gzip tmux vim less ss
jobs=${1:-50} cuts=${2:-500} seed=${3:-$$} nodes=${4:-4}
echo "resume: $jobs jobs, $cuts cuts on $nodes nodes, seed $seed"
lab_up "$nodes"
mkdir -m 700 "$tmp/run"
chown "$user:" "$tmp/run"
export XDG_RUNTIME_DIR=$tmp/run MRC_HUB_IDLE=60 MRC_SILENCE=6 LC_ALL=C.UTF-8
PATH=$top_builddir/mrc:/usr/sbin:/usr/bin:/sbin:/bin
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY WAYLAND_DISPLAY TMUX MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
at_exit 'for s in "/tmp/tmux-$(id -u)/$name"-*; do tmux -L "${s##*/}" kill-server 2>/dev/null; rm -f "$s"; done'
at_exit 'here mrc stop --jobs >/dev/null 2>&1'
python3 "$top_srcdir/tests/soak/resume.py" "$lab" "$name" "$user" "$home" "$conf" "$tmp" "/tmp/mrc-$(id -u "$user")/log" "$jobs" "$cuts" "$seed" "$nodes" ||
    fail "see above; again: resume.sh $jobs $cuts $seed $nodes"
