# The engine of process migration (docs/migration.md), and its programs.

# The pure core of a move: the home's side and a place's.
noinst_LIBRARIES += mosix-core/libmxplan.a
mosix_core_libmxplan_a_SOURCES = \
  mosix-core/plan/admit.c mosix-core/plan/admit.h \
  mosix-core/plan/holder.c mosix-core/plan/holder.h \
  mosix-core/plan/messages.c mosix-core/plan/messages.def mosix-core/plan/messages.h \
  mosix-core/plan/migrate.c mosix-core/plan/migrate.h

# The pure half of images: sections and their order.
noinst_LIBRARIES += mosix-core/libmxform.a
mosix_core_libmxform_a_SOURCES = \
  mosix-core/image/form/sections.c mosix-core/image/form/sections.def mosix-core/image/form/sections.h

# Images: container, capture, restore. Users need libmxform, libcommon and $(SODIUM_LIBS).
noinst_LIBRARIES += mosix-core/libmximage.a
mosix_core_libmximage_a_SOURCES = \
  mosix-core/image/capture.c mosix-core/image/capture.h \
  mosix-core/image/calls.c \
  mosix-core/image/clocks.c mosix-core/image/clocks.h \
  mosix-core/image/capture_state.c \
  mosix-core/image/capture_threads.c \
  mosix-core/image/descriptors.c \
  mosix-core/image/empty.c \
  mosix-core/image/timers.c \
  mosix-core/image/image.c mosix-core/image/image.h \
  mosix-core/image/maps.c mosix-core/image/maps.h \
  mosix-core/image/memory.c mosix-core/image/memory.h \
  mosix-core/image/collect.c mosix-core/image/collect.h \
  mosix-core/image/gather.c mosix-core/image/gather.h \
  mosix-core/image/objects.c mosix-core/image/objects.h \
  mosix-core/image/objects_held.c \
  mosix-core/image/pack.c mosix-core/image/pack.h \
  mosix-core/image/pageset.c mosix-core/image/pageset.h \
  mosix-core/image/park.c mosix-core/image/park.h \
  mosix-core/image/making.h mosix-core/image/parts.h \
  mosix-core/image/restore.c mosix-core/image/restore.h \
  mosix-core/image/restore_fill.c \
  mosix-core/image/restore_limits.c \
  mosix-core/image/restore_memory.c \
  mosix-core/image/restore_state.c \
  mosix-core/image/restore_threads.c \
  mosix-core/image/scan.c mosix-core/image/scan.h \
  mosix-core/image/send.c mosix-core/image/send.h \
  mosix-core/image/threads.c mosix-core/image/threads.h \
  mosix-core/image/tracee.c mosix-core/image/tracee.h \
  mosix-core/image/asleep.c mosix-core/image/asleep.h \
  mosix-core/image/waits.c mosix-core/image/waits.h

# The table of system calls, and their coding.
noinst_LIBRARIES += mosix-core/libmxabi.a
mosix_core_libmxabi_a_SOURCES = \
  mosix-core/abi/ahead.c mosix-core/abi/ahead.def mosix-core/abi/ahead.h \
  mosix-core/abi/behind.c mosix-core/abi/behind.h \
  mosix-core/abi/back.def mosix-core/abi/calls.c mosix-core/abi/calls.def mosix-core/abi/calls.h \
  mosix-core/abi/kept.c mosix-core/abi/kept.def mosix-core/abi/kept.h \
  mosix-core/abi/kinds.def \
  mosix-core/abi/marshal.c mosix-core/abi/marshal.h \
  mosix-core/abi/message.c mosix-core/abi/message.h \
  mosix-core/abi/mirror.c mosix-core/abi/mirror.def mosix-core/abi/mirror.h \
  mosix-core/abi/texts.c mosix-core/abi/texts.h \
  mosix-core/abi/talk.c mosix-core/abi/talk.def mosix-core/abi/talk.h

# Calls of a body, made at home. Users need libmximage and libmxabi too.
noinst_LIBRARIES += mosix-core/libmxaway.a
mosix_core_libmxaway_a_SOURCES = \
  mosix-core/deputy/ahead.c mosix-core/deputy/ahead.h \
  mosix-core/deputy/behind.c mosix-core/deputy/behind.h \
  mosix-core/deputy/fds.c mosix-core/deputy/fds.h \
  mosix-core/deputy/files.c mosix-core/deputy/files.h \
  mosix-core/deputy/dump.c mosix-core/deputy/dump.h \
  mosix-core/deputy/inject.c mosix-core/deputy/inject.h \
  mosix-core/deputy/keeps.c mosix-core/deputy/keeps.h \
  mosix-core/deputy/link.c mosix-core/deputy/link.h \
  mosix-core/deputy/mirror.c mosix-core/deputy/mirror.h \
  mosix-core/deputy/mirror_make.c \
  mosix-core/deputy/own.c mosix-core/deputy/own.h \
  mosix-core/deputy/parcel.c mosix-core/deputy/parcel.h \
  mosix-core/deputy/quick.c mosix-core/deputy/quick.h \
  mosix-core/deputy/room.c mosix-core/deputy/room.h \
  mosix-core/deputy/sealed.c mosix-core/deputy/sealed.h \
  mosix-core/deputy/stub.c mosix-core/deputy/stub.h \
  mosix-core/deputy/stub_call.c mosix-core/deputy/stub_parts.h \
  mosix-core/deputy/stub_dump.c \
  mosix-core/guest/ahead.c mosix-core/guest/ahead.h \
  mosix-core/guest/behind.c mosix-core/guest/behind.h \
  mosix-core/guest/back.c mosix-core/guest/back.h \
  mosix-core/guest/body.c mosix-core/guest/body.h \
  mosix-core/guest/confine.c \
  mosix-core/guest/family.c mosix-core/guest/family.h \
  mosix-core/guest/faults.c mosix-core/guest/faults.h \
  mosix-core/guest/filter.c mosix-core/guest/filter.h \
  mosix-core/guest/many.c mosix-core/guest/many.h \
  mosix-core/guest/mapping.c mosix-core/guest/mapping.h \
  mosix-core/guest/mirrored.c mosix-core/guest/mirrored.h \
  mosix-core/guest/parts.h mosix-core/guest/pause.c \
  mosix-core/guest/supervise.c mosix-core/guest/supervise.h \
  mosix-core/guest/timed.c mosix-core/guest/timed.h \
  mosix-core/guest/transfer.c mosix-core/guest/transfer.h

# What a body can see of its host.
noinst_LIBRARIES += mosix-core/libmxsandbox.a
mosix_core_libmxsandbox_a_SOURCES = mosix-core/sandbox/sandbox.c mosix-core/sandbox/sandbox.h

# Connections between nodes, and who drives a move. Users need all of the above.
noinst_LIBRARIES += mosix-core/libmxmove.a
mosix_core_libmxmove_a_SOURCES = \
  mosix-core/move/collector.c mosix-core/move/collector.h \
  mosix-core/move/conn.c mosix-core/move/conn.h \
  mosix-core/move/freeze.c mosix-core/move/freeze.h \
  mosix-core/move/guest.c mosix-core/move/guest.h \
  mosix-core/move/hands.c mosix-core/move/hands.h \
  mosix-core/move/hands_home.c \
  mosix-core/move/hands_host.c \
  mosix-core/move/hello.c mosix-core/move/hello.h \
  mosix-core/move/keeper.c mosix-core/move/keeper.h mosix-core/move/keeping.h \
  mosix-core/move/keeper_family.c \
  mosix-core/move/keeper_freeze.c \
  mosix-core/move/keeper_home.c \
  mosix-core/move/keeper_hosts.c \
  mosix-core/move/note.c mosix-core/move/note.h \
  mosix-core/move/stay.c mosix-core/move/stay.h \
  mosix-core/move/witness.c mosix-core/move/witness.h \
  mosix-core/net/carry.c \
  mosix-core/net/confine.c mosix-core/net/confine.h \
  mosix-core/net/give.c \
  mosix-core/net/lines.c mosix-core/net/lines.h \
  mosix-core/net/nodes.c mosix-core/net/nodes.h \
  mosix-core/net/partners.c \
  mosix-core/net/prompt.c mosix-core/net/prompt.h \
  mosix-core/net/wire.c mosix-core/net/wire.h

# Meeting the daemon.
noinst_LIBRARIES += mosix-core/libmxmeet.a
mosix_core_libmxmeet_a_SOURCES = \
  mosix-core/cmd/client.c mosix-core/cmd/client.h \
  mosix-core/mosixd/mark.c mosix-core/mosixd/mark.h \
  mosix-core/mosixd/place.c mosix-core/mosixd/place.h \
  mosix-core/mosixd/settings.c mosix-core/mosixd/settings.def mosix-core/mosixd/settings.h

# Figures of a node.
noinst_LIBRARIES += mosix-core/libmxfigures.a
mosix_core_libmxfigures_a_SOURCES = \
  mosix-core/mosixd/answer.c mosix-core/mosixd/answer.h \
  mosix-core/mosixd/figures.c mosix-core/mosixd/figures.h \
  mosix-core/mosixd/processor.c mosix-core/mosixd/processor.def mosix-core/mosixd/processor.h \
  mosix-core/mosixd/readings.c mosix-core/mosixd/readings.h \
  mosix-core/mosixd/speed.c

GSP_LIBS = gossip/libgspdrive.a gossip/libgspcore.a gossip/libgspseal.a
MXALL_LIBS = mosix-core/libmxmove.a mosix-core/libmxmeet.a mosix-core/libmxaway.a mosix-core/libmxabi.a mosix-core/libmximage.a \
  mosix-core/libmxform.a mosix-core/libmxplan.a mosix-core/libmxsandbox.a mosix-core/libmxfigures.a $(GSP_LIBS) common/libcommon.a $(SODIUM_LIBS) $(LZO_LIBS)

sbin_PROGRAMS += mosix-core/mosixd/mosixd
# All of it but main, for tests.
MOSIXD_PARTS = \
  mosix-core/mosixd/admit.c mosix-core/mosixd/admit.h \
  mosix-core/mosixd/asks.c \
  mosix-core/mosixd/best.c mosix-core/mosixd/best.h \
  mosix-core/mosixd/choose.c \
  mosix-core/mosixd/frost.c \
  mosix-core/mosixd/checkpoint.c mosix-core/mosixd/checkpoint.h \
  mosix-core/mosixd/cluster.c mosix-core/mosixd/cluster.h \
  mosix-core/mosixd/control.c \
  mosix-core/mosixd/front.c \
  mosix-core/mosixd/govern.c \
  mosix-core/mosixd/guests.c mosix-core/mosixd/guests.h \
  mosix-core/mosixd/look.c \
  mosix-core/mosixd/mosixd.h \
  mosix-core/mosixd/request.h \
  mosix-core/mosixd/rules.c mosix-core/mosixd/rules.def mosix-core/mosixd/rules.h \
  mosix-core/mosixd/status.c mosix-core/mosixd/status.h \
  mosix-core/mosixd/timer.c
mosix_core_mosixd_mosixd_SOURCES = mosix-core/mosixd/main.c mosix-core/mosixd/options.def $(MOSIXD_PARTS)
mosix_core_mosixd_mosixd_LDADD = $(MXALL_LIBS)

bin_PROGRAMS += mosix-core/cmd/migrate mosix-core/cmd/mosimg mosix-core/cmd/moskillall mosix-core/cmd/mosps mosix-core/cmd/mosrun
MXIMAGE_CMD_LIBS = mosix-core/libmximage.a mosix-core/libmxform.a common/libcommon.a $(SODIUM_LIBS) $(LZO_LIBS)
mosix_core_cmd_mosimg_SOURCES = mosix-core/cmd/inspect.c mosix-core/cmd/inspect.h mosix-core/cmd/mosimg.c mosix-core/cmd/mosimg.def
mosix_core_cmd_mosimg_LDADD = $(MXIMAGE_CMD_LIBS)
mosix_core_cmd_moskillall_LDADD = mosix-core/libmxmeet.a common/libcommon.a
mosix_core_cmd_migrate_LDADD = mosix-core/libmxmeet.a common/libcommon.a
mosix_core_cmd_mosps_SOURCES = mosix-core/cmd/mosps.c mosix-core/cmd/mosps.def
mosix_core_cmd_mosps_LDADD = mosix-core/libmxmeet.a common/libcommon.a
mosix_core_cmd_mosrun_SOURCES = mosix-core/cmd/inspect.c mosix-core/cmd/inspect.h mosix-core/cmd/mosrun.c \
  mosix-core/cmd/batch.c mosix-core/cmd/batch.h \
  mosix-core/cmd/wishes.c mosix-core/cmd/wishes.h
mosix_core_cmd_mosrun_LDADD = mosix-core/libmxmeet.a $(MXIMAGE_CMD_LIBS)

# Nodes and their keys.
bin_PROGRAMS += mosix-core/cmd/bestnode mosix-core/cmd/mosctl mosix-core/cmd/setpe
NODELIST = mosix-core/cmd/nodelist.c mosix-core/cmd/nodelist.h
NODELIST_LIBS = mosix-core/libmxmove.a mosix-core/libmxmeet.a gossip/libgspseal.a common/libcommon.a $(SODIUM_LIBS) $(JANSSON_LIBS)
mosix_core_cmd_bestnode_SOURCES = mosix-core/cmd/bestnode.c mosix-core/cmd/bestnode.def
mosix_core_cmd_bestnode_LDADD = mosix-core/libmxmeet.a common/libcommon.a
mosix_core_cmd_mosctl_SOURCES = \
  mosix-core/cmd/mosctl.c mosix-core/cmd/mosctl.def mosix-core/cmd/mosctl.h \
  mosix-core/cmd/govern.c mosix-core/cmd/owner.c mosix-core/cmd/show.c $(NODELIST)
mosix_core_cmd_mosctl_LDADD = $(NODELIST_LIBS)
mosix_core_cmd_setpe_SOURCES = mosix-core/cmd/setpe.c mosix-core/cmd/setpe.def $(NODELIST)
mosix_core_cmd_setpe_LDADD = $(NODELIST_LIBS)
dist_man_MANS += mosix-core/cmd/bestnode.1 mosix-core/cmd/mosctl.1 mosix-core/cmd/setpe.1
nodist_completions_DATA += completions/bestnode completions/mosctl completions/setpe
completions/bestnode: mosix-core/cmd/bestnode.def
	$(COMPLETION) $(srcdir)/mosix-core/cmd/bestnode.def >$@
completions/mosctl: mosix-core/cmd/mosctl.def
	$(COMPLETION) $(srcdir)/mosix-core/cmd/mosctl.def >$@
completions/setpe: mosix-core/cmd/setpe.def
	$(COMPLETION) $(srcdir)/mosix-core/cmd/setpe.def >$@

dist_man_MANS += mosix-core/cmd/migrate.1 mosix-core/cmd/mosimg.1 mosix-core/cmd/moskillall.1 mosix-core/cmd/mosps.1 mosix-core/cmd/mosrun.1 mosix-core/cmd/native.1 mosix-core/mosixd/mosixd.8 mosix-core/cmd/mosix_calls.7
EXTRA_DIST += mosix-core/abi/calls-page

nodist_completions_DATA += completions/mosimg completions/mosixd completions/mosps
completions/mosimg: mosix-core/cmd/mosimg.def
	$(COMPLETION) $(srcdir)/mosix-core/cmd/mosimg.def >$@
completions/mosixd: mosix-core/mosixd/options.def
	$(COMPLETION) $(srcdir)/mosix-core/mosixd/options.def >$@
completions/mosps: mosix-core/cmd/mosps.def
	$(COMPLETION) $(srcdir)/mosix-core/cmd/mosps.def >$@

# For systemd, which looks there below /usr and /usr/local.
systemdunitdir = $(prefix)/lib/systemd/system
nodist_systemdunit_DATA = mosix-core/mosixd/mosixd.service
EXTRA_DIST += mosix-core/mosixd/mosixd.service.in
CLEANFILES += mosix-core/mosixd/mosixd.service
mosix-core/mosixd/mosixd.service: mosix-core/mosixd/mosixd.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) mosix-core/mosixd && sed 's|[@]sbindir[@]|$(sbindir)|' $(srcdir)/mosix-core/mosixd/mosixd.service.in >$@.tmp && mv $@.tmp $@
