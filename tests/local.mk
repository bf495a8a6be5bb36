AM_TESTS_ENVIRONMENT = top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)'; export top_srcdir top_builddir; exec </dev/null;
# No test hangs for ever; a script's trap still cleans up.
TEST_LIMIT_S = 900
LOG_COMPILER = timeout -k 30 $(TEST_LIMIT_S)

EXTRA_DIST += tests/lib/unit.h tests/lib/functions.sh tests/lib/results tests/lib/self-test
TESTS += tests/lib/self-test

# Unit tests: one program per file of the code; those of common need no flags of their own.
LDADD = common/libcommon.a $(CMOCKA_LIBS)
UNIT_TESTS += \
  tests/unit/common/test_base64 \
  tests/unit/common/test_buf \
  tests/unit/common/test_err \
  tests/unit/common/test_fd \
  tests/unit/common/test_list \
  tests/unit/common/test_log \
  tests/unit/common/test_loop \
  tests/unit/common/test_opt \
  tests/unit/common/test_ringlog \
  tests/unit/common/test_elf \
  tests/unit/common/test_sha1 \
  tests/unit/common/test_title \
  tests/unit/common/test_wire \
  tests/unit/common/test_wire_errors
EXTRA_DIST += tests/unit/common/test_opt.def
UNIT_TESTS += tests/unit/mrcfs/test_ops
tests_unit_mrcfs_test_ops_LDADD = mrcfs/libmrcfs.a common/libcommon.a $(LZO_LIBS) $(SODIUM_LIBS) $(CMOCKA_LIBS)

# The file client between a kernel and a server that are both the test.
check_LIBRARIES += tests/lib/libmfs_client_fixture.a
tests_lib_libmfs_client_fixture_a_SOURCES = tests/lib/mfs_client_fixture.c tests/lib/mfs_client_fixture.h
MFS_CLIENT_FIXTURE_LIBS = tests/lib/libmfs_client_fixture.a mrcfs/libmrcfs_client.a mrcfs/libmrcfs.a \
  common/libcommon.a $(LZO_LIBS) $(SODIUM_LIBS) $(FUSE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_client tests/unit/mrcfs/test_client_scan tests/unit/mrcfs/test_client_shed
tests_unit_mrcfs_test_client_LDADD = $(MFS_CLIENT_FIXTURE_LIBS)
tests_unit_mrcfs_test_client_scan_LDADD = $(MFS_CLIENT_FIXTURE_LIBS)
tests_unit_mrcfs_test_client_shed_LDADD = $(MFS_CLIENT_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_client_space
tests_unit_mrcfs_test_client_space_LDADD = mrcfs/libmrcfs_client.a $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_client_locks
tests_unit_mrcfs_test_client_locks_LDADD = $(MFS_CLIENT_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_locktable
tests_unit_mrcfs_test_locktable_LDADD = mrcfs/libmrcfs_client.a mrcfs/libmrcfs.a common/libcommon.a $(LZO_LIBS) $(SODIUM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_client_window tests/unit/mrcfs/test_client_readahead tests/unit/mrcfs/test_client_uncovered
tests_unit_mrcfs_test_client_window_LDADD = mrcfs/libmrcfs_client.a $(CMOCKA_LIBS)
tests_unit_mrcfs_test_client_readahead_LDADD = $(MFS_CLIENT_FIXTURE_LIBS)
tests_unit_mrcfs_test_client_uncovered_LDADD = $(MFS_CLIENT_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_client_join
tests_unit_mrcfs_test_client_join_LDADD = $(MFS_CLIENT_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_client_moves
tests_unit_mrcfs_test_client_moves_LDADD = $(MFS_CLIENT_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_client_hostile
tests_unit_mrcfs_test_client_hostile_LDADD = $(MFS_CLIENT_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_client_own
tests_unit_mrcfs_test_client_own_LDADD = $(MFS_CLIENT_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_content
tests_unit_mrcfs_test_content_LDADD = mrcfs/libmrcfs_client.a common/libcommon.a $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_client_barrier
tests_unit_mrcfs_test_client_barrier_LDADD = $(MFS_CLIENT_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_client_parts
tests_unit_mrcfs_test_client_parts_SOURCES = tests/unit/mrcfs/test_client_parts.c mrcfs/mountopts.c mrcfs/source.c
tests_unit_mrcfs_test_client_parts_LDADD = mrcfs/libmrcfs_client.a mrcfs/libmrcfs.a common/libcommon.a $(LZO_LIBS) $(SODIUM_LIBS) $(CMOCKA_LIBS)

# The file server: each program runs as we are and, as root, once more with the server as an ordinary user.
check_LIBRARIES += tests/lib/libmfs_fixture.a
tests_lib_libmfs_fixture_a_SOURCES = tests/lib/mfs_fixture.c tests/lib/mfs_fixture.h tests/lib/mfs_wire_client.c \
  tests/lib/mfs_wire_client.h
MFS_FIXTURE_LIBS = tests/lib/libmfs_fixture.a mrcfs/libmrcfs.a common/libcommon.a $(LZO_LIBS) $(SODIUM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_broker
tests_unit_mrcfs_test_broker_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_member
tests_unit_mrcfs_test_member_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_pack_policy tests/unit/mrcfs/test_packer
tests_unit_mrcfs_test_pack_policy_LDADD = mrcfs/libpack.a $(CMOCKA_LIBS)
tests_unit_mrcfs_test_packer_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_client_fetch tests/unit/mrcfs/test_server_fetch
tests_unit_mrcfs_test_client_fetch_LDADD = $(MFS_CLIENT_FIXTURE_LIBS)
tests_unit_mrcfs_test_server_fetch_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_chunks tests/unit/mrcfs/test_chunkstore
tests_unit_mrcfs_test_chunks_LDADD = $(MFS_FIXTURE_LIBS)
tests_unit_mrcfs_test_chunkstore_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_server_calls
tests_unit_mrcfs_test_server_calls_SOURCES = tests/unit/mrcfs/test_server_calls.c mrcfs/server/seccomp.c
tests_unit_mrcfs_test_server_calls_LDADD = common/libcommon.a $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_profile
tests_unit_mrcfs_test_profile_LDADD = mrcfs/libmrcfs.a common/libcommon.a $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_ids
tests_unit_mrcfs_test_ids_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_server
tests_unit_mrcfs_test_server_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_server_attr
tests_unit_mrcfs_test_server_attr_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_server_follow
tests_unit_mrcfs_test_server_follow_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_server_hostile
tests_unit_mrcfs_test_server_hostile_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_server_locks
tests_unit_mrcfs_test_server_locks_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_server_leases
tests_unit_mrcfs_test_server_leases_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_server_ordered
tests_unit_mrcfs_test_server_ordered_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_server_journal
tests_unit_mrcfs_test_server_journal_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_server_surrender
tests_unit_mrcfs_test_server_surrender_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_server_many
tests_unit_mrcfs_test_server_many_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_server_mounts
tests_unit_mrcfs_test_server_mounts_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_server_packed
tests_unit_mrcfs_test_server_packed_LDADD = $(MFS_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrcfs/test_server_names
tests_unit_mrcfs_test_server_names_LDADD = $(MFS_FIXTURE_LIBS)

MXIMAGE_LIBS = mosix-core/libmximage.a mosix-core/libmxform.a common/libcommon.a $(SODIUM_LIBS) $(LZO_LIBS)
UNIT_TESTS += tests/unit/mosix/test_gather tests/unit/mosix/test_asleep
tests_unit_mosix_test_asleep_LDADD = $(MXIMAGE_LIBS) $(CMOCKA_LIBS)
tests_unit_mosix_test_gather_LDADD = $(MXIMAGE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mosix/test_park
tests_unit_mosix_test_park_LDADD = $(MXIMAGE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mosix/test_image tests/unit/mosix/test_sections
tests_unit_mosix_test_image_SOURCES = tests/unit/mosix/test_image.c tests/unit/mosix/image_fixture.c tests/unit/mosix/image_fixture.h
tests_unit_mosix_test_image_LDADD = $(MXIMAGE_LIBS) $(CMOCKA_LIBS)
tests_unit_mosix_test_sections_SOURCES = tests/unit/mosix/test_sections.c tests/unit/mosix/image_fixture.c
tests_unit_mosix_test_sections_LDADD = mosix-core/libmxform.a common/libcommon.a $(CMOCKA_LIBS)
# Under the filter a sanitizer can do nothing.
if !SANITIZE
UNIT_TESTS += tests/unit/mosix/test_filter
endif
tests_unit_mosix_test_filter_LDADD = mosix-core/libmxaway.a mosix-core/libmxabi.a $(MXIMAGE_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mosix/test_parcel tests/unit/mosix/test_talk tests/unit/mosix/test_behind tests/unit/mosix/test_quick tests/unit/mosix/test_mirror
EXTRA_DIST += tests/unit/mosix/sealed_fixture.h
tests_unit_mosix_test_parcel_LDADD = mosix-core/libmxaway.a mosix-core/libmxabi.a common/libcommon.a $(SODIUM_LIBS) $(CMOCKA_LIBS)
tests_unit_mosix_test_behind_LDADD = mosix-core/libmxaway.a mosix-core/libmxabi.a $(MXIMAGE_LIBS) $(CMOCKA_LIBS)
tests_unit_mosix_test_quick_LDADD = mosix-core/libmxaway.a mosix-core/libmxabi.a $(MXIMAGE_LIBS) $(CMOCKA_LIBS)
tests_unit_mosix_test_mirror_LDADD = mosix-core/libmxaway.a mosix-core/libmxabi.a $(MXIMAGE_LIBS) $(CMOCKA_LIBS)
tests_unit_mosix_test_talk_LDADD = mosix-core/libmxaway.a mosix-core/libmxabi.a common/libcommon.a $(SODIUM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mosix/test_marshal
tests_unit_mosix_test_marshal_LDADD = mosix-core/libmxabi.a common/libcommon.a $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mosix/test_migrate
UNIT_TESTS += tests/unit/mosix/test_net
tests_unit_mosix_test_net_LDADD = mosix-core/libmxmove.a gossip/libgspseal.a common/libcommon.a $(SODIUM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mosix/test_figures
tests_unit_mosix_test_figures_LDADD = mosix-core/libmxfigures.a common/libcommon.a $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mosix/test_processor
tests_unit_mosix_test_processor_LDADD = mosix-core/libmxfigures.a $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mosix/test_admit
tests_unit_mosix_test_admit_LDADD = mosix-core/libmxplan.a $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mosix/test_best
tests_unit_mosix_test_best_SOURCES = tests/unit/mosix/test_best.c mosix-core/mosixd/best.c
tests_unit_mosix_test_best_LDADD = $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mosix/test_settings
tests_unit_mosix_test_settings_LDADD = mosix-core/libmxmeet.a common/libcommon.a $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mosix/test_messages
tests_unit_mosix_test_messages_LDADD = mosix-core/libmxplan.a common/libcommon.a $(CMOCKA_LIBS)
tests_unit_mosix_test_migrate_LDADD = mosix-core/libmxplan.a $(CMOCKA_LIBS)

UNIT_TESTS += tests/unit/gossip/test_gsp tests/unit/gossip/test_messages tests/unit/gossip/test_parts
UNIT_TESTS += tests/unit/gossip/test_seal tests/unit/gossip/test_keyfile tests/unit/gossip/test_drive
tests_unit_gossip_test_keyfile_LDADD = gossip/libgspseal.a common/libcommon.a $(SODIUM_LIBS) $(CMOCKA_LIBS)
tests_unit_gossip_test_drive_LDADD = gossip/libgspdrive.a gossip/libgspcore.a gossip/libgspseal.a common/libcommon.a $(SODIUM_LIBS) $(CMOCKA_LIBS)
tests_unit_gossip_test_seal_LDADD = gossip/libgspseal.a common/libcommon.a $(SODIUM_LIBS) $(CMOCKA_LIBS)
tests_unit_gossip_test_gsp_LDADD = gossip/libgspcore.a common/libcommon.a $(CMOCKA_LIBS)
tests_unit_gossip_test_messages_LDADD = gossip/libgspcore.a common/libcommon.a $(CMOCKA_LIBS)
tests_unit_gossip_test_parts_LDADD = gossip/libgspcore.a common/libcommon.a $(CMOCKA_LIBS)

# Serves directories on descriptors 3 and 4.
check_PROGRAMS += tests/lib/mfs_serve
tests_lib_mfs_serve_SOURCES = tests/lib/mfs_serve_main.c
tests_lib_mfs_serve_LDADD = mrcfs/libmrcfs.a common/libcommon.a $(LZO_LIBS) $(SODIUM_LIBS)
UNIT_TESTS += tests/unit/mrc/test_merge tests/unit/mrc/test_nodes tests/unit/mrc/test_plan tests/unit/mrc/test_record
tests_unit_mrc_test_nodes_LDADD = mrc/agent/libview.a common/libcommon.a $(CMOCKA_LIBS)
tests_unit_mrc_test_merge_LDADD = mrc/agent/libview.a common/libcommon.a $(CMOCKA_LIBS)
tests_unit_mrc_test_record_LDADD = mrc/agent/libview.a common/libcommon.a $(CMOCKA_LIBS)
tests_unit_mrc_test_plan_LDADD = mrc/agent/libview.a common/libcommon.a $(CMOCKA_LIBS)

# Runs a command in a view as the agent does, for tests/net/view.sh.
check_PROGRAMS += tests/net/view_driver
tests_net_view_driver_SOURCES = tests/net/view_driver.c mrc/agent/files.c mrc/agent/keep.c mrc/agent/files.h
tests_net_view_driver_LDADD = mrc/agent/libview.a mrcfs/libmrcfs_client.a mrcfs/libmrcfs.a common/libcommon.a $(LZO_LIBS) $(SODIUM_LIBS) \
  $(FUSE_LIBS)
UNIT_TESTS += tests/unit/common/test_crypto
tests_unit_common_test_crypto_LDADD = common/libcommon.a $(SODIUM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrc/test_input
tests_unit_mrc_test_input_LDADD = mrc/libsession.a common/libcommon.a $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrc/test_link
tests_unit_mrc_test_link_LDADD = mrc/libmrc.a mrc/libsession.a common/libcommon.a $(SODIUM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrc/test_hub
tests_unit_mrc_test_hub_LDADD = mrc/libmrc.a mrc/libsession.a mrcfs/libmrcfs.a common/libcommon.a $(LZO_LIBS) $(SODIUM_LIBS) $(SSH2_LIBS) $(SODIUM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrc/test_hubwho tests/unit/mrc/test_keep
tests_unit_mrc_test_hubwho_LDADD = mrc/libmrc.a mrc/libsession.a mrcfs/libmrcfs.a common/libcommon.a $(LZO_LIBS) $(SODIUM_LIBS) $(SSH2_LIBS) $(SODIUM_LIBS) $(CMOCKA_LIBS)
tests_unit_mrc_test_keep_SOURCES = tests/unit/mrc/test_keep.c mrc/agent/keep.c
tests_unit_mrc_test_keep_LDADD = $(MFS_CLIENT_FIXTURE_LIBS)
UNIT_TESTS += tests/unit/mrc/test_many
tests_unit_mrc_test_many_SOURCES = tests/unit/mrc/test_many.c mrc/hostset.c mrc/manyout.c
tests_unit_mrc_test_many_LDADD = common/libcommon.a $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrc/test_finding tests/unit/mrc/test_remains
tests_unit_mrc_test_finding_LDADD = mrc/libsession.a common/libcommon.a $(CMOCKA_LIBS)
tests_unit_mrc_test_remains_LDADD = mrc/agent/libview.a common/libcommon.a $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrc/test_activity tests/unit/mrc/test_progress
tests_unit_mrc_test_activity_SOURCES = tests/unit/mrc/test_activity.c mrc/activitycode.c
tests_unit_mrc_test_activity_LDADD = common/libcommon.a $(CMOCKA_LIBS)
tests_unit_mrc_test_progress_SOURCES = tests/unit/mrc/test_progress.c mrc/progress.c
UNIT_TESTS += tests/unit/mrc/test_quote
tests_unit_mrc_test_quote_LDADD = mrc/libmrc.a common/libcommon.a $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrc/test_agents
tests_unit_mrc_test_agents_LDADD = mrc/libmrc.a common/libcommon.a $(SODIUM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrc/test_firstlaunch
tests_unit_mrc_test_firstlaunch_SOURCES = tests/unit/mrc/test_firstlaunch.c mrc/firstlaunch.c mrc/treeof.c
tests_unit_mrc_test_firstlaunch_LDADD = mrcfs/libmrcfs.a common/libcommon.a $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrc/test_launchprofile
tests_unit_mrc_test_launchprofile_LDADD = mrc/libmrc.a mrcfs/libmrcfs.a common/libcommon.a $(SODIUM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrc/test_hostkey
tests_unit_mrc_test_hostkey_LDADD = mrc/libmrc.a common/libcommon.a $(SODIUM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrc/test_keyfile
tests_unit_mrc_test_keyfile_LDADD = mrc/libmrc.a common/libcommon.a $(SODIUM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrc/test_push
tests_unit_mrc_test_push_LDADD = mrc/libmrc.a common/libcommon.a $(SODIUM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrc/test_words
tests_unit_mrc_test_words_LDADD = mrc/libmrc.a common/libcommon.a $(SODIUM_LIBS) $(CMOCKA_LIBS)
UNIT_TESTS += tests/unit/mrc/test_sshconf
tests_unit_mrc_test_sshconf_LDADD = mrc/libmrc.a common/libcommon.a $(SODIUM_LIBS) $(CMOCKA_LIBS)

# The upload of an agent through a shell, for tests/net/mrc-push.sh.
check_PROGRAMS += tests/net/push_driver tests/net/fake_agent
tests_net_push_driver_LDADD = mrc/libmrc.a common/libcommon.a $(SODIUM_LIBS)
if !SANITIZE
tests_net_fake_agent_LDFLAGS = $(AM_LDFLAGS) -static
endif
tests_net_fake_agent_LDADD = mrc/libsession.a common/libcommon.a
TESTS += tests/net/mrc-push.sh tests/net/mrc-hostile.sh
EXTRA_DIST += tests/net/mrc-push.sh tests/net/mrc-hostile.sh

# A transport between standard input and output, for tests/net/mrc-ssh*.sh.
check_PROGRAMS += tests/net/stream_driver
tests_net_stream_driver_LDADD = mrc/libmrc.a mrc/libsession.a common/libcommon.a $(SSH2_LIBS) $(SODIUM_LIBS)
TESTS += tests/net/mrc-ssh.sh tests/net/mrc-ssh-lab.sh
EXTRA_DIST += tests/net/mrc-ssh.sh tests/net/mrc-ssh-lab.sh tests/lib/on_terminal

# Jobs on a node of the lab, over ssh.
JOB_TESTS = \
  tests/net/mrc-job.sh \
  tests/net/mrc-lease.sh \
  tests/net/mrc-hosts.sh \
  tests/net/mrc-logs.sh \
  tests/net/mrc-top.sh \
  tests/net/mrc-progress.sh \
  tests/net/mrc-detach.sh \
  tests/net/mrc-doctor.sh \
  tests/net/mrc-freeze.sh \
  tests/net/mrc-hub.sh \
  tests/net/mrc-killed.sh \
  tests/net/mrc-start-trips.sh \
  tests/net/mrc-tools.sh \
  tests/net/mrc-nest.sh \
  tests/net/mrc-nest-killed.sh \
  tests/net/mrc-guide.sh \
  tests/net/mrc-neighbours.sh \
  tests/net/mrc-compress.sh \
  tests/net/mrc-broker.sh \
  tests/net/mrc-profile.sh \
  tests/net/mrc-resume.sh \
  tests/net/mrc-cuts.sh \
  tests/net/mrc-back.sh \
  tests/net/mrc-back-hub.sh \
  tests/net/mrc-views.sh
TESTS += $(JOB_TESTS)
EXTRA_DIST += $(JOB_TESTS) tests/lib/mrc_lab.sh tests/lib/tmux.sh
PROGRAM_TESTS = tests/net/mrc-programs-git.sh tests/net/mrc-programs-build.sh tests/net/mrc-programs-python.sh \
  tests/net/mrc-programs-pipes.sh tests/net/mrc-programs-sqlite.sh tests/net/mrc-programs-terminal.sh \
  tests/net/mrc-bad-days.sh tests/net/mrc-bad-targets.sh tests/net/mrc-via.sh
TESTS += $(PROGRAM_TESTS)
EXTRA_DIST += $(PROGRAM_TESTS)

TESTS += tests/net/view.sh
EXTRA_DIST += tests/net/view.sh

if HAVE_CMOCKA
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
else
TESTS += tests/unit/without-cmocka
endif
EXTRA_DIST += tests/unit/without-cmocka

include tests/posix/local.mk
include tests/migrate/local.mk
include tests/fuzz/local.mk
include tests/cluster/monitors.mk
check_PROGRAMS += $(FUZZ_TESTS)
TESTS += $(FUZZ_TESTS)

# Simulations: pure cores in simulated time; an argument replays one seed.
SIM_TESTS = tests/sim/session_sim tests/sim/resume_sim tests/sim/lease_sim tests/sim/migrate_sim tests/sim/cluster_sim tests/sim/cluster_figures
CLUSTER_SOURCES = tests/sim/cluster.c tests/sim/cluster.h tests/sim/world.c tests/sim/world.h
tests_sim_cluster_sim_SOURCES = tests/sim/cluster_sim.c $(CLUSTER_SOURCES)
tests_sim_cluster_sim_LDADD = gossip/libgspcore.a common/libcommon.a
tests_sim_cluster_figures_SOURCES = tests/sim/cluster_figures.c $(CLUSTER_SOURCES)
tests_sim_cluster_figures_LDADD = gossip/libgspcore.a common/libcommon.a -lm
tests_sim_migrate_sim_LDADD = mosix-core/libmxplan.a
tests_sim_session_sim_SOURCES = tests/sim/session_sim.c tests/sim/ends.c tests/sim/ends.h
tests_sim_session_sim_LDADD = mrc/libsession.a common/libcommon.a
tests_sim_resume_sim_SOURCES = tests/sim/resume_sim.c tests/sim/ends.c tests/sim/ends.h
tests_sim_resume_sim_LDADD = mrc/libsession.a common/libcommon.a
tests_sim_lease_sim_LDADD = mrcfs/liblease.a common/libcommon.a
check_PROGRAMS += $(SIM_TESTS)
TESTS += $(SIM_TESTS)

# The tests that need no privilege, no network and no program of ours: what a sanitizer build runs.
CORE_TESTS = $(FUZZ_TESTS) $(SIM_TESTS)
if HAVE_CMOCKA
CORE_TESTS += $(UNIT_TESTS)
endif
core-programs: $(BUILT_SOURCES)
	$(MAKE) $(AM_MAKEFLAGS) $(CORE_TESTS)
check-core: core-programs
	$(MAKE) $(AM_MAKEFLAGS) check-TESTS check_PROGRAMS= TESTS='$(CORE_TESTS)'
.PHONY: core-programs check-core

include tests/tidy/local.mk

EXTRA_PROGRAMS = tests/bench/talkers
tests_bench_talkers_SOURCES = tests/bench/talkers.c
tests_bench_talkers_LDADD = mosix-core/libmxfigures.a gossip/libgspcore.a gossip/libgspseal.a common/libcommon.a $(SODIUM_LIBS)
# Most tests wait more than they compute and can share the computer. These can't: they count what a kernel that is short of time or
# memory does more often.
ALONE_TESTS = $(filter %-trips.sh %-memory.sh, $(TESTS))
check-together:
	$(MAKE) $(AM_MAKEFLAGS) check-TESTS check_PROGRAMS= TESTS='$(filter-out $(ALONE_TESTS), $(TESTS))'
check-alone:
	$(MAKE) $(AM_MAKEFLAGS) -j1 check-TESTS check_PROGRAMS= TESTS='$(ALONE_TESTS)'
.PHONY: check-together check-alone

# Minutes; needs root. Each of BENCHES prints a section of docs/benchmarks.md, and put writes it there, in the source tree.
BENCHES = bench bulk calls daemons metrics moves table1
bench: all tests/bench/talkers$(EXEEXT) tests/cluster/standin$(EXEEXT) tests/migrate/away$(EXEEXT) tests/migrate/gap$(EXEEXT) tests/migrate/pace$(EXEEXT) tests/migrate/table1$(EXEEXT)
	$(AM_TESTS_ENVIRONMENT) for b in $(BENCHES); do \
	    case $$b in bench) set -- $(BENCH_FLAGS) ;; *) set -- ;; esac; \
	    '$(srcdir)/tests/bench/'$$b "$$@" >bench.tmp && '$(srcdir)/tests/bench/put' '$(srcdir)/docs/benchmarks.md' $$b <bench.tmp || exit; \
	done
	rm -f bench.tmp
.PHONY: bench

# Ten minutes, or SOAK_SECONDS; needs root.
soak: all tests/sim/migrate_sim soak-cluster soak-faults soak-hops
	tests/sim/migrate_sim -n 100000
	$(AM_TESTS_ENVIRONMENT) $(BASH) "$(srcdir)/tests/soak/soak.sh"
# Half an hour: faults of clusters, and figures of large ones against their bounds.
soak-cluster: tests/sim/cluster_sim tests/sim/cluster_figures
	tests/sim/cluster_sim -n $${SOAK_SEEDS:-2000} 1000
	tests/sim/cluster_figures -a
	for seed in 2 3 4; do tests/sim/cluster_figures loss5-1000 $$seed || exit; done
# About ten minutes; needs root. SOAK_JOBS, SOAK_CUTS, SOAK_SEED.
soak-resume: all
	$(AM_TESTS_ENVIRONMENT) $(BASH) "$(srcdir)/tests/soak/resume.sh" $${SOAK_JOBS:-50} $${SOAK_CUTS:-500} $$SOAK_SEED
# About an hour; needs root. FAULTS_PARTS, FAULTS_KINDS, FAULTS.
soak-faults: all tests/migrate/couple tests/migrate/fault_relay
	unset MAKEFLAGS; FAULTS_PARTS=$${FAULTS_PARTS:-16} $(AM_TESTS_ENVIRONMENT) $(BASH) "$(srcdir)/tests/migrate/faults.sh" all </dev/null
# Five minutes; needs root.
soak-hops: all tests/migrate/couple
	unset MAKEFLAGS; $(AM_TESTS_ENVIRONMENT) $(BASH) "$(srcdir)/tests/migrate/hops.sh" 5000 </dev/null
.PHONY: soak soak-cluster soak-faults soak-hops soak-resume
EXTRA_DIST += tests/soak/soak.sh tests/soak/resume.sh tests/soak/resume.py tests/soak/work.sh
EXTRA_DIST += tests/bench/bench tests/bench/beside tests/bench/bulk tests/bench/calls tests/bench/daemons tests/bench/metrics tests/bench/moves tests/bench/put tests/bench/table1 tests/bench/workloads.sh
