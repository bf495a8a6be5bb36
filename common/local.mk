noinst_LIBRARIES += common/libcommon.a
common_libcommon_a_SOURCES = \
  common/base/attr.h \
  common/base/base64.c common/base/base64.h \
  common/base/elf.c common/base/elf.h \
  common/base/err.c common/base/err.h \
  common/base/list.h \
  common/base/rng.h \
  common/base/sha1.c common/base/sha1.h \
  common/base/wire.c common/base/wire.h \
  common/base/wire_errors.c common/base/wire_errors.def common/base/wire_errors.h \
  common/sys/buf.c common/sys/buf.h \
  common/sys/clock.c common/sys/clock.h \
  common/sys/crypto.c common/sys/crypto.h \
  common/sys/fd.c common/sys/fd.h \
  common/sys/fusermount.c common/sys/fusermount.h \
  common/sys/json.c common/sys/json.h \
  common/sys/jsonread.c common/sys/jsonread.h \
  common/sys/keys.c common/sys/keys.h \
  common/sys/log.c common/sys/log.h \
  common/sys/loop.c common/sys/loop.h \
  common/sys/lzo.c common/sys/lzo.h \
  common/sys/mem.h \
  common/sys/opt.c common/sys/opt.h common/sys/opt_begin.h common/sys/opt_end.h \
  common/sys/owndir.c common/sys/owndir.h \
  common/sys/peer.c common/sys/peer.h \
  common/sys/ringlog.c common/sys/ringlog.h \
  common/sys/title.c common/sys/title.h
