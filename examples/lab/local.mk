# The virtual cluster: installed as mrc-lab; in the source tree it runs as examples/lab/lab.
bin_SCRIPTS += examples/lab/mrc-lab
dist_pkglibexec_SCRIPTS += examples/lab/lab-cluster
CLEANFILES += examples/lab/mrc-lab
EXTRA_DIST += examples/lab/lab examples/lab/README.md

examples/lab/mrc-lab: examples/lab/lab Makefile
	$(AM_V_GEN)$(MKDIR_P) examples/lab && \
	sed "s|^libexecdir=''.*|libexecdir='$(pkglibexecdir)'|" $(srcdir)/examples/lab/lab >$@.tmp && \
	chmod 755 $@.tmp && mv $@.tmp $@

lab_tests = tests/net/lab-basic.sh tests/net/lab-killed.sh
TESTS += $(lab_tests)
EXTRA_DIST += $(lab_tests)
