noinst_LIBRARIES += mrcfs/libmrcfs.a
mrcfs_libmrcfs_a_SOURCES = \
  mrcfs/mrcfs.h \
  mrcfs/notices.def \
  mrcfs/ops.c mrcfs/ops.def mrcfs/ops.h

# The file client is a library of its own: only its users need libfuse ($(FUSE_LIBS), or $(FUSE_STATIC_LIBS)).
noinst_LIBRARIES += mrcfs/libmrcfs_client.a
mrcfs_libmrcfs_client_a_CPPFLAGS = $(AM_CPPFLAGS) $(FUSE_CFLAGS)
mrcfs_libmrcfs_client_a_SOURCES = \
  mrcfs/client/client.c mrcfs/client/client.h \
  mrcfs/client/fuse.c \
  mrcfs/client/hello.c mrcfs/client/hello.h \
  mrcfs/client/names.c mrcfs/client/names.h \
  mrcfs/client/idmap.c mrcfs/client/idmap.h \
  mrcfs/client/known.c mrcfs/client/known.h \
  mrcfs/client/notify.c mrcfs/client/notify.h \
  mrcfs/client/rawfuse.c mrcfs/client/rawfuse.h
