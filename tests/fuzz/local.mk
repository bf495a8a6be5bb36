# Fuzz targets: X_fuzz.c holds LLVMFuzzerTestOneInput, tests/fuzz/corpus/X its seeds. In the usual build replay_main.c
# feeds the corpus in "make check"; with CC=clang --enable-fuzz, "make fuzz" builds the same programs to hunt with:
# tests/fuzz/X_fuzz DIRECTORY. To add one:
#   FUZZ_TESTS += tests/fuzz/X_fuzz
#   tests_fuzz_X_fuzz_SOURCES = tests/fuzz/X_fuzz.c $(FUZZ_MAIN)
#   tests_fuzz_X_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
#   tests_fuzz_X_fuzz_LDADD = the library under test, common/libcommon.a
if FUZZ
FUZZ_MAIN =
FUZZ_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
else
FUZZ_MAIN = tests/fuzz/replay_main.c
FUZZ_LDFLAGS = $(AM_LDFLAGS)
endif

FUZZ_TESTS += tests/fuzz/ops_fuzz
tests_fuzz_ops_fuzz_SOURCES = tests/fuzz/ops_fuzz.c $(FUZZ_MAIN)
tests_fuzz_ops_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_ops_fuzz_LDADD = mrcfs/libmrcfs.a common/libcommon.a $(LZO_LIBS) $(SODIUM_LIBS)

FUZZ_TESTS += tests/fuzz/server_fuzz
tests_fuzz_server_fuzz_SOURCES = tests/fuzz/server_fuzz.c $(FUZZ_MAIN)
tests_fuzz_server_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_server_fuzz_LDADD = mrcfs/libmrcfs.a common/libcommon.a $(LZO_LIBS) $(SODIUM_LIBS)

FUZZ_TESTS += tests/fuzz/follow_fuzz
tests_fuzz_follow_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -DFOLLOWS_LINKS=true -DREPLAY_PREFIXES=100 -DREPLAY_CHANGES=500
tests_fuzz_follow_fuzz_SOURCES = tests/fuzz/server_fuzz.c $(FUZZ_MAIN)
tests_fuzz_follow_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_follow_fuzz_LDADD = mrcfs/libmrcfs.a common/libcommon.a $(LZO_LIBS) $(SODIUM_LIBS)

FUZZ_TESTS += tests/fuzz/lease_fuzz
tests_fuzz_lease_fuzz_SOURCES = tests/fuzz/lease_fuzz.c $(FUZZ_MAIN)
tests_fuzz_lease_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_lease_fuzz_LDADD = mrcfs/liblease.a common/libcommon.a

FUZZ_TESTS += tests/fuzz/put_fuzz
tests_fuzz_put_fuzz_SOURCES = tests/fuzz/put_fuzz.c $(FUZZ_MAIN)
tests_fuzz_put_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_put_fuzz_LDADD = mrcfs/libmrcfs.a common/libcommon.a $(LZO_LIBS) $(SODIUM_LIBS)

FUZZ_TESTS += tests/fuzz/session_fuzz
tests_fuzz_session_fuzz_SOURCES = tests/fuzz/session_fuzz.c $(FUZZ_MAIN)
tests_fuzz_session_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_session_fuzz_LDADD = mrc/libsession.a common/libcommon.a

FUZZ_TESTS += tests/fuzz/resume_fuzz
tests_fuzz_resume_fuzz_SOURCES = tests/fuzz/resume_fuzz.c $(FUZZ_MAIN)
tests_fuzz_resume_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_resume_fuzz_LDADD = mrc/libsession.a common/libcommon.a

FUZZ_TESTS += tests/fuzz/job_fuzz
tests_fuzz_job_fuzz_SOURCES = tests/fuzz/job_fuzz.c $(FUZZ_MAIN)
tests_fuzz_job_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_job_fuzz_LDADD = mrc/libsession.a common/libcommon.a

FUZZ_TESTS += tests/fuzz/client_fuzz
# A run starts a loop and a thread and passes through the kernel's sockets.
tests_fuzz_client_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -DREPLAY_PREFIXES=8 -DREPLAY_CHANGES=20
tests_fuzz_client_fuzz_SOURCES = tests/fuzz/client_fuzz.c $(FUZZ_MAIN)
tests_fuzz_client_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_client_fuzz_LDADD = mrcfs/libmrcfs_client.a mrcfs/libmrcfs.a common/libcommon.a $(LZO_LIBS) $(SODIUM_LIBS) $(FUSE_LIBS)

FUZZ_TESTS += tests/fuzz/chunks_fuzz
tests_fuzz_chunks_fuzz_SOURCES = tests/fuzz/chunks_fuzz.c $(FUZZ_MAIN)
tests_fuzz_chunks_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_chunks_fuzz_LDADD = mrcfs/libmrcfs.a common/libcommon.a $(LZO_LIBS) $(SODIUM_LIBS)

FUZZ_TESTS += tests/fuzz/elf_fuzz
tests_fuzz_elf_fuzz_SOURCES = tests/fuzz/elf_fuzz.c $(FUZZ_MAIN)
tests_fuzz_elf_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_elf_fuzz_LDADD = common/libcommon.a

FUZZ_TESTS += tests/fuzz/profile_fuzz
tests_fuzz_profile_fuzz_SOURCES = tests/fuzz/profile_fuzz.c $(FUZZ_MAIN)
tests_fuzz_profile_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_profile_fuzz_LDADD = mrcfs/libmrcfs.a common/libcommon.a

FUZZ_TESTS += tests/fuzz/packed_fuzz
tests_fuzz_packed_fuzz_SOURCES = tests/fuzz/packed_fuzz.c $(FUZZ_MAIN)
tests_fuzz_packed_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_packed_fuzz_LDADD = mrcfs/libmrcfs.a common/libcommon.a $(LZO_LIBS) $(SODIUM_LIBS)

FUZZ_TESTS += tests/fuzz/push_fuzz
tests_fuzz_push_fuzz_SOURCES = tests/fuzz/push_fuzz.c $(FUZZ_MAIN)
tests_fuzz_push_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_push_fuzz_LDADD = mrc/libmrc.a common/libcommon.a $(SODIUM_LIBS)

FUZZ_TESTS += tests/fuzz/known_fuzz
tests_fuzz_known_fuzz_SOURCES = tests/fuzz/known_fuzz.c $(FUZZ_MAIN)
tests_fuzz_known_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_known_fuzz_LDADD = mrc/libmrc.a common/libcommon.a $(SODIUM_LIBS)

FUZZ_TESTS += tests/fuzz/marshal_fuzz
tests_fuzz_marshal_fuzz_SOURCES = tests/fuzz/marshal_fuzz.c $(FUZZ_MAIN)
tests_fuzz_marshal_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_marshal_fuzz_LDADD = mosix-core/libmxabi.a common/libcommon.a

FUZZ_TESTS += tests/fuzz/plan_fuzz
tests_fuzz_plan_fuzz_SOURCES = tests/fuzz/plan_fuzz.c $(FUZZ_MAIN)
tests_fuzz_plan_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_plan_fuzz_LDADD = mosix-core/libmxplan.a common/libcommon.a

FUZZ_TESTS += tests/fuzz/hello_fuzz
tests_fuzz_hello_fuzz_SOURCES = tests/fuzz/hello_fuzz.c $(FUZZ_MAIN)
tests_fuzz_hello_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_hello_fuzz_LDADD = mosix-core/libmxmove.a common/libcommon.a

FUZZ_TESTS += tests/fuzz/config_fuzz
tests_fuzz_config_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -DREPLAY_PREFIXES=300 -DREPLAY_CHANGES=500
tests_fuzz_config_fuzz_SOURCES = tests/fuzz/config_fuzz.c mosix-core/mosixd/rules.c $(FUZZ_MAIN)
tests_fuzz_config_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_config_fuzz_LDADD = mosix-core/libmxmove.a mosix-core/libmxfigures.a gossip/libgspseal.a common/libcommon.a $(SODIUM_LIBS)

FUZZ_TESTS += tests/fuzz/control_fuzz
tests_fuzz_control_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -DREPLAY_PREFIXES=100 -DREPLAY_CHANGES=200
tests_fuzz_control_fuzz_SOURCES = tests/fuzz/control_fuzz.c $(MOSIXD_PARTS) $(FUZZ_MAIN)
tests_fuzz_control_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_control_fuzz_LDADD = $(MXALL_LIBS)

FUZZ_TESTS += tests/fuzz/wire_fuzz
# A run connects, and makes keys.
tests_fuzz_wire_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -DREPLAY_PREFIXES=40 -DREPLAY_CHANGES=80
tests_fuzz_wire_fuzz_SOURCES = tests/fuzz/wire_fuzz.c $(FUZZ_MAIN)
tests_fuzz_wire_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_wire_fuzz_LDADD = mosix-core/libmxmove.a gossip/libgspseal.a common/libcommon.a $(SODIUM_LIBS)

FUZZ_TESTS += tests/fuzz/image_fuzz
tests_fuzz_image_fuzz_SOURCES = tests/fuzz/image_fuzz.c $(FUZZ_MAIN)
tests_fuzz_image_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_image_fuzz_LDADD = mosix-core/libmxform.a common/libcommon.a

FUZZ_TESTS += tests/fuzz/gossip_fuzz
# A run steps a node for as long as its datagrams last.
tests_fuzz_gossip_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -DREPLAY_PREFIXES=500 -DREPLAY_CHANGES=1000
tests_fuzz_gossip_fuzz_SOURCES = tests/fuzz/gossip_fuzz.c $(FUZZ_MAIN)
tests_fuzz_gossip_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_gossip_fuzz_LDADD = gossip/libgspcore.a common/libcommon.a

FUZZ_TESTS += tests/fuzz/cluster_fuzz
# A run is some minutes of a cluster's life.
tests_fuzz_cluster_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -DREPLAY_PREFIXES=20 -DREPLAY_CHANGES=60
tests_fuzz_cluster_fuzz_SOURCES = tests/fuzz/cluster_fuzz.c $(CLUSTER_SOURCES) $(FUZZ_MAIN)
tests_fuzz_cluster_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_cluster_fuzz_LDADD = gossip/libgspcore.a common/libcommon.a

FUZZ_TESTS += tests/fuzz/seal_fuzz
tests_fuzz_seal_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -DREPLAY_PREFIXES=200 -DREPLAY_CHANGES=200
tests_fuzz_seal_fuzz_SOURCES = tests/fuzz/seal_fuzz.c $(FUZZ_MAIN)
tests_fuzz_seal_fuzz_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_seal_fuzz_LDADD = gossip/libgspseal.a common/libcommon.a $(SODIUM_LIBS)

# make fuzz FUZZ_SECONDS=360 FUZZ_TARGETS=tests/fuzz/ops_fuzz: hunts, so long for each; see tests/fuzz/hunt
FUZZ_SECONDS = 0
FUZZ_TARGETS = $(FUZZ_TESTS)
fuzz:
	$(MAKE) $(AM_MAKEFLAGS) $(FUZZ_TARGETS)
	test $(FUZZ_SECONDS) = 0 || top_srcdir=$(top_srcdir) $(top_srcdir)/tests/fuzz/hunt $(FUZZ_SECONDS) $(FUZZ_TARGETS)
# Which lines they reach, of a build with CFLAGS='-g -O1 -fprofile-instr-generate -fcoverage-mapping'
fuzz-coverage:
	$(MAKE) $(AM_MAKEFLAGS) $(FUZZ_TARGETS)
	top_srcdir=$(top_srcdir) $(top_srcdir)/tests/fuzz/hunt --coverage $(FUZZ_TARGETS)
.PHONY: fuzz fuzz-coverage

EXTRA_DIST += tests/fuzz/replay_main.c tests/fuzz/corpus tests/fuzz/hunt
