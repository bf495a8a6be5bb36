# The pure core of leases (docs/leases.md).
noinst_LIBRARIES += mrcfs/liblease.a
mrcfs_liblease_a_SOURCES = \
  mrcfs/lease/message.c mrcfs/lease/message.h \
  mrcfs/lease/table.c mrcfs/lease/table.h

noinst_LIBRARIES += mrcfs/libmrcfs.a
mrcfs_libmrcfs_a_SOURCES = \
  mrcfs/broker/broker.c mrcfs/broker/broker.h \
  mrcfs/broker/finder.c \
  mrcfs/broker/meet.c \
  mrcfs/broker/member.c mrcfs/broker/member.h \
  mrcfs/activity.c \
  mrcfs/cachecommand.c \
  mrcfs/chunks/chunk.c mrcfs/chunks/chunk.h \
  mrcfs/chunks/gather.c mrcfs/chunks/gather.h \
  mrcfs/chunks/naming.c mrcfs/chunks/naming.h \
  mrcfs/chunks/put.c mrcfs/chunks/put.h \
  mrcfs/chunks/set.c mrcfs/chunks/set.h \
  mrcfs/chunkstore.c mrcfs/chunkstore.h \
  mrcfs/ids.c mrcfs/ids.h \
  mrcfs/lease/message.c mrcfs/lease/message.h \
  mrcfs/lease/table.c mrcfs/lease/table.h \
  mrcfs/mrcfs.h \
  mrcfs/notices.def \
  mrcfs/ops.c mrcfs/ops.def mrcfs/ops.h \
  mrcfs/pack/policy.c mrcfs/pack/policy.h \
  mrcfs/packer.c mrcfs/packer.h \
  mrcfs/profile/profile.c mrcfs/profile/profile.h \
  mrcfs/server/caller.c mrcfs/server/caller.h \
  mrcfs/server/calls.def mrcfs/server/confine.c mrcfs/server/confine.h \
  mrcfs/server/moves.c \
  mrcfs/server/seccomp.c mrcfs/server/seccomp.h \
  mrcfs/server/do_attr.c \
  mrcfs/server/do_data.c \
  mrcfs/server/do_fetch.c \
  mrcfs/server/do_put.c mrcfs/server/supply.h \
  mrcfs/server/do_dir.c \
  mrcfs/server/do_lock.c \
  mrcfs/server/do_names.c \
  mrcfs/server/do_walk.c \
  mrcfs/server/belief.h mrcfs/server/fileleases.c mrcfs/server/fileleases.h \
  mrcfs/server/files.c mrcfs/server/files.h \
  mrcfs/server/ordered.c mrcfs/server/ordered.h \
  mrcfs/server/follow.c \
  mrcfs/server/held.c mrcfs/server/held.h \
  mrcfs/server/hidden.c mrcfs/server/hidden.h \
  mrcfs/server/hide.c mrcfs/server/hide.h \
  mrcfs/server/journal.c mrcfs/server/journal.h \
  mrcfs/server/leaseorder.c mrcfs/server/leaseorder.h mrcfs/server/leases.c mrcfs/server/leases.h \
  mrcfs/server/locks.c mrcfs/server/locks.h \
  mrcfs/server/lockwait.c mrcfs/server/lockwait.h \
  mrcfs/server/note.c mrcfs/server/note.h \
  mrcfs/server/nodes.c mrcfs/server/nodes.h \
  mrcfs/server/pool.c mrcfs/server/pool.h \
  mrcfs/server/run.c \
  mrcfs/server/serve.c mrcfs/server/serve.h \
  mrcfs/server/server.h \
  mrcfs/server/stream.c mrcfs/server/stream.h \
  mrcfs/server/table.c mrcfs/server/table.h \
  mrcfs/server/watch.c mrcfs/server/watch.h

# The pure core of compression (mrcfs/pack/policy.h).
noinst_LIBRARIES += mrcfs/libpack.a
mrcfs_libpack_a_SOURCES = mrcfs/pack/policy.c mrcfs/pack/policy.h

# The file client is a library of its own: only its users need libfuse ($(FUSE_LIBS), or $(FUSE_STATIC_LIBS)).
noinst_LIBRARIES += mrcfs/libmrcfs_client.a
mrcfs_libmrcfs_client_a_CPPFLAGS = $(AM_CPPFLAGS) $(FUSE_CFLAGS)
mrcfs_libmrcfs_client_a_SOURCES = \
  mrcfs/client/ahead.c mrcfs/client/ahead.h \
  mrcfs/client/assume.c mrcfs/client/assume.h \
  mrcfs/client/away.c mrcfs/client/away.h \
  mrcfs/client/finish.c \
  mrcfs/client/barrier.c \
  mrcfs/client/chunks.c mrcfs/client/chunks.h \
  mrcfs/client/client.c mrcfs/client/client.h \
  mrcfs/client/receive.c \
  mrcfs/client/coherence.c mrcfs/client/coherence.h \
  mrcfs/client/covered.c mrcfs/client/covered.h \
  mrcfs/client/fuse/attr.c \
  mrcfs/client/fuse/data.c \
  mrcfs/client/fuse/dir.c \
  mrcfs/client/fuse/entries.c \
  mrcfs/client/fuse/fetch.c \
  mrcfs/client/fuse/put.c \
  mrcfs/client/join.c mrcfs/client/join.h \
  mrcfs/client/fuse/fuse.h \
  mrcfs/client/fuse/later.c \
  mrcfs/client/fuse/lock.c \
  mrcfs/client/fuse/open.c \
  mrcfs/client/fuse/raw.c \
  mrcfs/client/fuse/readahead.c \
  mrcfs/client/fuse/request.c \
  mrcfs/client/fuse/session.c \
  mrcfs/client/fuse/statfs.c \
  mrcfs/client/fuse/xattr.c \
  mrcfs/client/hello.c mrcfs/client/hello.h \
  mrcfs/client/names.c mrcfs/client/names.h \
  mrcfs/client/idmap.c mrcfs/client/idmap.h \
  mrcfs/client/locks.c mrcfs/client/locks.h \
  mrcfs/client/locktable.c mrcfs/client/locktable.h \
  mrcfs/client/acl.c mrcfs/client/acl.h mrcfs/client/behind.c mrcfs/client/behind.h mrcfs/client/deferred.c mrcfs/client/deferred.h mrcfs/client/content.c mrcfs/client/content.h mrcfs/client/own.c mrcfs/client/own.h mrcfs/client/dentries.c mrcfs/client/dentries.h mrcfs/client/known.c mrcfs/client/lease.c mrcfs/client/lease.h mrcfs/client/known.h \
  mrcfs/client/notify.c mrcfs/client/notify.h mrcfs/client/shed.c mrcfs/client/shed.h \
  mrcfs/client/opened.c mrcfs/client/opened.h \
  mrcfs/client/stats.c \
  mrcfs/client/used.c \
  mrcfs/client/warm.c mrcfs/client/warm.h \
  mrcfs/client/paths.c mrcfs/client/paths.h \
  mrcfs/client/rawfuse.c mrcfs/client/rawfuse.h \
  mrcfs/client/roots.c mrcfs/client/roots.h \
  mrcfs/client/scan.c mrcfs/client/scan.h \
  mrcfs/client/space.c mrcfs/client/space.h \
  mrcfs/client/window.c mrcfs/client/window.h \
  mrcfs/client/session.h

bin_PROGRAMS += mrcfs/mrcfs
mrcfs_mrcfs_SOURCES = \
  mrcfs/connect.c mrcfs/connect.h \
  mrcfs/background.c mrcfs/background.h mrcfs/main.c \
  mrcfs/mount.c mrcfs/mount.h \
  mrcfs/mountopts.c mrcfs/mountopts.def mrcfs/mountopts.h \
  mrcfs/options.def \
  mrcfs/source.c mrcfs/source.h
mrcfs_mrcfs_LDADD = mrc/libmrc.a mrc/libsession.a mrcfs/libmrcfs_client.a mrcfs/libmrcfs.a common/libcommon.a \
  $(FUSE_LIBS) $(SSH2_LIBS) $(SODIUM_LIBS) $(LZO_LIBS)
dist_man_MANS += mrcfs/mrcfs.1

nodist_completions_DATA += completions/mrcfs
completions/mrcfs: mrcfs/options.def
	$(COMPLETION) -v words='host mountpoint' $(srcdir)/mrcfs/options.def >$@
