# mon and mosweb, with a cluster that doesn't exist (standin.c) and with a real one.
check_PROGRAMS += tests/cluster/standin
tests_cluster_standin_LDADD =
UNIT_TESTS += tests/unit/gossip/test_monlayout tests/unit/gossip/test_montable
tests_unit_gossip_test_monlayout_LDADD = gossip/monitor/libmoncore.a $(CMOCKA_LIBS)
tests_unit_gossip_test_montable_LDADD = $(MONITOR_LIBS) $(CMOCKA_LIBS)
EXTRA_DIST += tests/unit/gossip/monitor_fixture.h
TESTS += tests/cluster/mon.sh
EXTRA_DIST += tests/cluster/mon.sh
FUZZ_TESTS += tests/fuzz/monitor_fuzz
tests_fuzz_monitor_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -DREPLAY_PREFIXES=300 -DREPLAY_CHANGES=500
tests_fuzz_monitor_fuzz_SOURCES = tests/fuzz/monitor_fuzz.c $(FUZZ_MAIN)
tests_fuzz_monitor_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_monitor_fuzz_LDADD = $(MONITOR_LIBS)
UNIT_TESTS += tests/unit/gossip/test_monweb
tests_unit_gossip_test_monweb_LDADD = $(MONITOR_LIBS) $(CMOCKA_LIBS)
TESTS += tests/cluster/mosweb.sh
EXTRA_DIST += tests/cluster/mosweb.sh tests/cluster/openmetrics.py tests/cluster/browser.py docs/pictures
TESTS += tests/cluster/mosweb-page.sh
EXTRA_DIST += tests/cluster/mosweb-page.sh docs/make-pictures
if !SANITIZE
TESTS += tests/cluster/monitors.sh
endif
EXTRA_DIST += tests/cluster/monitors.sh
