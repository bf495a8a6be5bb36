# Real processes that are captured and restored.
check_PROGRAMS += tests/migrate/counter tests/migrate/counter_static tests/migrate/driver
tests_migrate_counter_LDADD = -lm
tests_migrate_counter_static_SOURCES = tests/migrate/counter.c
tests_migrate_counter_static_LDFLAGS = -static
tests_migrate_counter_static_LDADD = -lm
tests_migrate_driver_LDADD = $(MXIMAGE_LIBS)
# A sanitizer's shadow memory is more than an image holds.
if !SANITIZE
TESTS += tests/migrate/checkpoint.sh
endif
EXTRA_DIST += tests/migrate/checkpoint.sh
