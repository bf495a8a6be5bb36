noinst_LIBRARIES += mrcfs/libmrcfs.a
mrcfs_libmrcfs_a_SOURCES = \
  mrcfs/mrcfs.h \
  mrcfs/notices.def \
  mrcfs/ops.c mrcfs/ops.def mrcfs/ops.h
