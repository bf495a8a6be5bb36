# Daemons that know each other, in the lab.
if !SANITIZE
TESTS += tests/cluster/gossip.sh
endif
EXTRA_DIST += tests/cluster/gossip.sh tests/cluster/lab.sh
