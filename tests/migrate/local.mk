# Real processes that are captured and restored. A sanitizer's shadow memory is more than an image holds.
if !SANITIZE
check_PROGRAMS += tests/migrate/asker tests/migrate/counter tests/migrate/counter_static tests/migrate/driver tests/migrate/gap tests/migrate/move tests/migrate/away tests/migrate/probe tests/migrate/pace
tests_migrate_asker_LDADD = mosix-core/lib/libmosix.a
tests_migrate_counter_LDADD = -lm
tests_migrate_counter_static_SOURCES = tests/migrate/counter.c
tests_migrate_counter_static_LDFLAGS = -static
tests_migrate_counter_static_LDADD = -lm
tests_migrate_driver_LDADD = $(MXIMAGE_LIBS)
tests_migrate_probe_SOURCES = tests/migrate/probe.c tests/migrate/probe.h tests/migrate/probe_family.c tests/migrate/probe_home.c tests/migrate/probe_lines.c tests/migrate/probe_memory.c tests/migrate/probe_pieces.c tests/migrate/probe_signals.c
tests_migrate_away_LDADD = mosix-core/libmxaway.a mosix-core/libmxabi.a $(MXIMAGE_LIBS)
tests_migrate_move_LDADD = mosix-core/libmxaway.a mosix-core/libmxabi.a $(MXIMAGE_LIBS)
# One a line: several people add to these.
TESTS += \
  tests/migrate/asks.sh \
  tests/migrate/away.sh \
  tests/migrate/chaos.sh \
  tests/migrate/checkpoint.sh \
  tests/migrate/commands.sh \
  tests/migrate/examples.sh \
  tests/migrate/home.sh \
  tests/migrate/mosrun.sh \
  tests/migrate/onto.sh \
  tests/migrate/move.sh
endif
EXTRA_DIST += \
  tests/migrate/cluster.sh \
  tests/migrate/asks.sh \
  tests/migrate/away.sh \
  tests/migrate/chaos.sh \
  tests/migrate/checkpoint.sh \
  tests/migrate/commands.sh \
  tests/migrate/examples.sh \
  tests/migrate/home.sh \
  tests/migrate/mosrun.sh \
  tests/migrate/onto.sh \
  tests/migrate/move.sh
