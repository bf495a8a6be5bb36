noinst_LIBRARIES += mrc/agent/libview.a
mrc_agent_libview_a_CPPFLAGS = $(AM_CPPFLAGS) $(FUSE_CFLAGS)
mrc_agent_libview_a_SOURCES = \
  mrc/agent/build.c mrc/agent/build.h \
  mrc/agent/merge.c mrc/agent/merge.h \
  mrc/agent/mergefuse.h \
  mrc/agent/mergefuse/attr.c \
  mrc/agent/mergefuse/dirs.c \
  mrc/agent/mergefuse/files.c \
  mrc/agent/mergefuse/names.c \
  mrc/agent/mergefuse/parts.h \
  mrc/agent/mergefuse/process.c \
  mrc/agent/mergefuse/shared.c \
  mrc/agent/mergefuse/xattr.c \
  mrc/agent/nodes.c mrc/agent/nodes.h \
  mrc/agent/ns.c mrc/agent/ns.h \
  mrc/agent/plan.c mrc/agent/plan.h \
  mrc/agent/probe.c \
  mrc/agent/remains.c mrc/agent/remains.h mrc/agent/remainsscan.c \
  mrc/agent/record.c mrc/agent/record.h \
  mrc/agent/skeleton.c mrc/agent/skeleton.h \
  mrc/agent/view.c mrc/agent/view.h

# The agent runs where nothing is installed: static, and carried by mrc from agents/ARCHITECTURE.
agentdir = $(pkglibexecdir)/agents/$(AGENT_ARCH)
agent_PROGRAMS =
if !SANITIZE
agent_PROGRAMS += mrc/mrc-agent
endif
mrc_mrc_agent_SOURCES = \
  mrc/agent/builder.c mrc/agent/builder.h \
  mrc/agent/cache.c mrc/agent/cache.h mrc/cachecommand.h \
  mrc/agent/comeback.c mrc/agent/comeback.h \
  mrc/agent/command.c mrc/agent/command.h \
  mrc/agent/doctor.c mrc/agent/doctor.h mrc/doctor.def \
  mrc/agent/demandfile.c mrc/agent/demandfile.h \
  mrc/agent/export.c mrc/agent/export.h \
  mrc/agent/files.c mrc/agent/files.h \
  mrc/agent/below.c mrc/agent/below.h \
  mrc/agent/freeze.c mrc/agent/freeze.h \
  mrc/agent/held.c mrc/agent/held.h \
  mrc/agent/hold.c mrc/agent/hold.h mrc/agent/holdfiles.c mrc/agent/holdparts.h mrc/agent/holdvisit.c \
  mrc/agent/spool.c mrc/agent/spool.h \
  mrc/agent/job.c mrc/agent/job.h mrc/agent/jobchannels.c mrc/agent/jobparts.h \
  mrc/agent/join.c mrc/agent/join.h \
  mrc/agent/keep.c mrc/agent/keep.h \
  mrc/agent/logs.c mrc/agent/logs.h \
  mrc/agent/main.c \
  mrc/agent/nest.c mrc/agent/nest.h mrc/agent/nestjob.c \
  mrc/hostset.c mrc/options.c mrc/firstlaunch.c mrc/treeof.c mrc/launchprofile.c mrc/spec.c mrc/supply.c mrc/tty.c \
  mrc/run.c mrc/runaway.c mrc/runchannels.c mrc/runheld.c mrc/runterm.c mrc/runwords.c mrc/reconnect.c mrc/statusline.c \
  mrc/activity.c mrc/activitycode.c mrc/progress.c mrc/watchjob.c mrc/nest/head.c \
  mrc/keeperword.c mrc/share.c mrc/silence.c \
  mrc/agent/readers.c mrc/agent/readers.h \
  mrc/agent/nomodules.c \
  mrc/agent/usage.c \
  mrc/agent/supervise.c mrc/agent/supervise.h
mrc_mrc_agent_LDFLAGS = -static -Wl,--wrap=dlopen
mrc_mrc_agent_LDADD = mrc/agent/libview.a mrc/libsession.a mrcfs/libmrcfs_client.a mrcfs/libmrcfs.a common/libcommon.a \
  $(FUSE_STATIC_LIBS) $(SODIUM_STATIC_LIBS) $(LZO_LIBS)
