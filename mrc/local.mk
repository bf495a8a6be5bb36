noinst_LIBRARIES += mrc/libsession.a
mrc_libsession_a_SOURCES = \
  mrc/session/fair.c mrc/session/fair.h \
  mrc/session/frames.c mrc/session/frames.def mrc/session/frames.h \
  mrc/session/session.c mrc/session/session.h
