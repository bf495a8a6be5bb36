# The engine of process migration (docs/migration.md). Nothing of it is installed yet: what is here is run by tests only.

# The pure core of a move: the home's side and a place's.
noinst_LIBRARIES += mosix-core/libmxplan.a
mosix_core_libmxplan_a_SOURCES = \
  mosix-core/plan/holder.c mosix-core/plan/holder.h \
  mosix-core/plan/migrate.c mosix-core/plan/migrate.h
