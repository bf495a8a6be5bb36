# Daemons that know each other, in the lab.
if !SANITIZE
TESTS += tests/cluster/admit.sh tests/cluster/gossip.sh tests/cluster/guide.sh tests/cluster/partners.sh
endif
TESTS += tests/cluster/keys.sh
EXTRA_DIST += tests/cluster/admit.sh tests/cluster/gossip.sh tests/cluster/guide.sh tests/cluster/keys.sh tests/cluster/lab.sh tests/cluster/partners.sh
