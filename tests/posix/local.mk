# Programs that tests/net/mrcfs-*.sh run on a mount and on a plain directory.
check_PROGRAMS += tests/posix/fsops tests/posix/fstwo tests/posix/fsmany tests/posix/fsmodel
tests_posix_fsops_SOURCES = tests/posix/fsops.c tests/posix/fsops.h tests/posix/ops_callers.c tests/posix/ops_data.c tests/posix/ops_dirs.c \
  tests/posix/ops_locks.c tests/posix/ops_meta.c tests/posix/ops_names.c
tests_posix_fsops_LDADD =
tests_posix_fstwo_SOURCES = tests/posix/fstwo.c tests/posix/check.h
tests_posix_fsmany_SOURCES = tests/posix/fsmany.c tests/posix/check.h
tests_posix_fsmodel_SOURCES = tests/posix/fsmodel.c tests/posix/check.h
tests_posix_fsmodel_LDADD =
tests_posix_fstwo_LDADD =
tests_posix_fsmany_LDADD =
EXTRA_DIST += tests/lib/mrcfs.sh
TESTS += tests/net/mrcfs-posix.sh tests/net/mrcfs-command.sh tests/net/mrcfs-lease-trips.sh tests/net/mrcfs-memory.sh tests/net/mrcfs-locks-trips.sh tests/net/mrcfs-names-trips.sh tests/net/mrcfs-own-trips.sh tests/net/mrcfs-deferred.sh tests/net/mrcfs-names-lost.sh tests/net/mrcfs-programs-trips.sh tests/net/mrcfs-stress.sh
EXTRA_DIST += tests/net/mrcfs-posix.sh tests/net/mrcfs-command.sh tests/net/mrcfs-lease-trips.sh tests/net/mrcfs-memory.sh tests/net/mrcfs-locks-trips.sh tests/net/mrcfs-names-trips.sh tests/net/mrcfs-own-trips.sh tests/net/mrcfs-deferred.sh tests/net/mrcfs-names-lost.sh tests/net/mrcfs-programs-trips.sh tests/net/mrcfs-stress.sh
