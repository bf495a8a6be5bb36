#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# certified.sh: mosrun.sh on a cluster whose nodes have certificates of an owner and talk to each other. Each test of this folder that
# begins with cluster_up can be run so: MIGRATE_TRUST=certified in its environment.
export MIGRATE_TRUST=certified
exec bash "${top_srcdir:-.}/tests/migrate/mosrun.sh"
