# Real processes that are captured and restored. A sanitizer's shadow memory is more than an image holds.
if !SANITIZE
check_PROGRAMS += tests/migrate/adversary tests/migrate/asker tests/migrate/counter tests/migrate/counter_static tests/migrate/couple tests/migrate/crash tests/migrate/driver tests/migrate/escape tests/migrate/fault_relay tests/migrate/gap tests/migrate/lacks tests/migrate/move tests/migrate/away tests/migrate/probe tests/migrate/ticks tests/migrate/pace tests/migrate/rounds tests/migrate/table1 tests/migrate/waits
tests_migrate_adversary_LDADD = -lm -lpthread
tests_migrate_asker_LDADD = mosix-core/lib/libmosix.a
tests_migrate_counter_LDADD = -lm
tests_migrate_counter_static_SOURCES = tests/migrate/counter.c
tests_migrate_counter_static_LDFLAGS = -static
tests_migrate_counter_static_LDADD = -lm
tests_migrate_couple_LDFLAGS = -static
tests_migrate_couple_LDADD = -lpthread
tests_migrate_driver_LDADD = $(MXIMAGE_LIBS)
check_PROGRAMS += tests/migrate/crew tests/migrate/onstack tests/migrate/threads
tests_migrate_onstack_LDADD = -lpthread
tests_migrate_crew_LDADD = -lpthread
tests_migrate_threads_LDADD = -lpthread
tests_migrate_probe_LDADD = -lpthread
tests_migrate_rounds_LDADD = $(MXIMAGE_LIBS)
tests_migrate_waits_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE
tests_migrate_waits_LDADD = -lrt
tests_migrate_probe_SOURCES = tests/migrate/probe.c tests/migrate/probe.h tests/migrate/probe_ahead.c tests/migrate/probe_behind.c tests/migrate/probe_family.c tests/migrate/probe_home.c tests/migrate/probe_lines.c tests/migrate/probe_memory.c tests/migrate/probe_mirror.c tests/migrate/probe_pieces.c tests/migrate/probe_signals.c tests/migrate/probe_threads.c
tests_migrate_away_LDADD = mosix-core/libmxaway.a mosix-core/libmxabi.a mosix-core/libmxsandbox.a $(MXIMAGE_LIBS)
tests_migrate_move_LDADD = mosix-core/libmxaway.a mosix-core/libmxabi.a mosix-core/libmxsandbox.a $(MXIMAGE_LIBS)
# One a line: several people add to these.
TESTS += \
  tests/migrate/ahead.sh \
  tests/migrate/ahead_silent.sh \
  tests/migrate/asks.sh \
  tests/migrate/away.sh \
  tests/migrate/bad_days.sh \
  tests/migrate/batch.sh \
  tests/migrate/behind.sh \
  tests/migrate/certified.sh \
  tests/migrate/chaos.sh \
  tests/migrate/checkpoint.sh \
  tests/migrate/commands.sh \
  tests/migrate/compatibility.sh \
  tests/migrate/cores.sh \
  tests/migrate/escape.sh \
  tests/migrate/examples.sh \
  tests/migrate/faults.sh \
  tests/migrate/freeze.sh \
  tests/migrate/home.sh \
  tests/migrate/mirror.sh \
  tests/migrate/hops.sh \
  tests/migrate/mosrun.sh \
  tests/migrate/onto.sh \
  tests/migrate/park.sh \
  tests/migrate/move.sh \
  tests/migrate/stopped.sh \
  tests/migrate/threads.sh \
  tests/migrate/waits.sh \
  tests/migrate/rounds
endif
EXTRA_DIST += \
  tests/migrate/cluster.sh \
  tests/migrate/programs \
  tests/migrate/ahead.sh \
  tests/migrate/ahead_silent.sh \
  tests/migrate/asks.sh \
  tests/migrate/away.sh \
  tests/migrate/bad_days.sh \
  tests/migrate/bad_job.sh \
  tests/migrate/bad_number.sh \
  tests/migrate/batch.sh \
  tests/migrate/behind.sh \
  tests/migrate/certified.sh \
  tests/migrate/chaos.sh \
  tests/migrate/checkpoint.sh \
  tests/migrate/commands.sh \
  tests/migrate/compatibility.sh \
  tests/migrate/cores.sh \
  tests/migrate/escape.sh \
  tests/migrate/examples.sh \
  tests/migrate/faults.sh \
  tests/migrate/freeze.sh \
  tests/migrate/home.sh \
  tests/migrate/mirror.sh \
  tests/migrate/hops.sh \
  tests/migrate/mosrun.sh \
  tests/migrate/onto.sh \
  tests/migrate/park.sh \
  tests/migrate/move.sh \
  tests/migrate/stopped.sh \
  tests/migrate/threads.sh \
  tests/migrate/waits.sh

# All programs of tests/migrate/programs, which takes ten minutes; the table goes into docs/compatibility.md.
compatibility: all tests/migrate/adversary tests/migrate/counter_static
	rc=0; top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)' \
	  $(srcdir)/tests/migrate/compatibility.sh -o compatibility.table all </dev/null || rc=$$?; \
	$(AWK) '/^<!-- made by/ { print; print "| program | as root | as a user | came home, or stayed, because it |"; print "|---|---|---|---|"; \
	    while ((getline line <"compatibility.table") > 0) print line; is_old = 1 } /^<!-- end/ { is_old = 0 } !is_old' \
	  $(srcdir)/docs/compatibility.md >compatibility.new && cp compatibility.new $(srcdir)/docs/compatibility.md; exit $$rc
CLEANFILES += compatibility.table compatibility.new
.PHONY: compatibility
