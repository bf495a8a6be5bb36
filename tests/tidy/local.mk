# Checks of the sources themselves; each takes the tree from $top_srcdir. self-test proves that they find something.
TIDY_CHECKS = \
  tests/tidy/check-options
TESTS += tests/tidy/self-test $(TIDY_CHECKS)
EXTRA_DIST += tests/tidy/lib.sh tests/tidy/programs.txt tests/tidy/self-test $(TIDY_CHECKS)

tidy:
	$(MAKE) check TESTS='tests/tidy/self-test $(TIDY_CHECKS)' check_PROGRAMS=
.PHONY: tidy
