#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mrc-cuts.sh: the short form of "make soak-resume": five programs, twenty cuts; see tests/soak/resume.sh.
exec "${BASH:-bash}" "${top_srcdir:-.}/tests/soak/resume.sh" 5 20 "${1:-9}" 3
