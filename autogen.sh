#!/bin/sh
# Makes configure and Makefile.in from their sources.
cd "$(dirname "$0")" || exit 1
command -v autoreconf >/dev/null || { echo "autogen.sh: autoreconf not found; install autoconf automake (./check does)" >&2; exit 1; }
exec autoreconf -fi
