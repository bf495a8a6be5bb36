# Checks of the sources themselves; each takes the tree from $top_srcdir. self-test proves that they find something.
TIDY_CHECKS = \
  tests/tidy/check-banned \
  tests/tidy/check-headers \
  tests/tidy/check-layers \
  tests/tidy/check-length \
  tests/tidy/check-limits \
  tests/tidy/check-links \
  tests/tidy/check-man \
  tests/tidy/check-options \
  tests/tidy/check-shell
TESTS += tests/tidy/self-test $(TIDY_CHECKS)
EXTRA_DIST += tests/tidy/lib.sh tests/tidy/programs.txt tests/tidy/layers.txt tests/tidy/self-test $(TIDY_CHECKS)

tidy:
	$(MAKE) check TESTS='tests/tidy/self-test $(TIDY_CHECKS)' check_PROGRAMS=
.PHONY: tidy
