# The virtual cluster: installed as mrc-lab; in the source tree it runs as examples/lab/lab.
bin_SCRIPTS += examples/lab/mrc-lab
dist_pkglibexec_SCRIPTS += examples/lab/lab-cluster
CLEANFILES += examples/lab/mrc-lab
EXTRA_DIST += examples/lab/lab examples/lab/lab-mosix examples/lab/README.md
dist_man_MANS += examples/lab/mrc-lab.1

examples/lab/mrc-lab: examples/lab/lab Makefile
	$(AM_V_GEN)$(MKDIR_P) examples/lab && \
	sed "s|^libexecdir=''.*|libexecdir='$(pkglibexecdir)'|" $(srcdir)/examples/lab/lab >$@.tmp && \
	chmod 755 $@.tmp && mv $@.tmp $@

# The core apart, for its unit test.
noinst_LIBRARIES += examples/lab/liblabcore.a
examples_lab_liblabcore_a_SOURCES = \
  examples/lab/delayline.c examples/lab/delayline.h \
  examples/lab/linkspec.c examples/lab/linkspec.h \
  examples/lab/packet.c examples/lab/packet.h

pkglibexec_PROGRAMS += mrc-lab-relay mrc-lab-guard
mrc_lab_relay_SOURCES = examples/lab/relay.c examples/lab/pair.c examples/lab/pair.h \
  examples/lab/dial.c examples/lab/dial.h
mrc_lab_guard_SOURCES = examples/lab/guard.c
mrc_lab_guard_LDADD =
mrc_lab_relay_LDADD = examples/lab/liblabcore.a common/libcommon.a

lab_tests = tests/net/lab-bad-days.sh tests/net/lab-basic.sh tests/net/lab-killed.sh tests/net/lab-link.sh
TESTS += $(lab_tests)
EXTRA_DIST += $(lab_tests)

UNIT_TESTS += tests/unit/lab/test_delayline tests/unit/lab/test_linkspec
tests_unit_lab_test_delayline_LDADD = examples/lab/liblabcore.a common/libcommon.a $(CMOCKA_LIBS)
tests_unit_lab_test_linkspec_LDADD = examples/lab/liblabcore.a common/libcommon.a $(CMOCKA_LIBS)
