noinst_LIBRARIES += mrc/libmrc.a
mrc_libmrc_a_CPPFLAGS = $(AM_CPPFLAGS) $(SSH2_CFLAGS)
mrc_libmrc_a_SOURCES = \
  mrc/ask.c mrc/ask.h \
  mrc/dial.c mrc/dial.h \
  mrc/hostkey.c mrc/hostkey.h \
  mrc/keyfile.c mrc/keyfile.h \
  mrc/openssh.c mrc/openssh.h \
  mrc/push.c mrc/push.h \
  mrc/quote.c mrc/quote.h \
  mrc/ssh.c mrc/ssh.h \
  mrc/sshconf.c mrc/sshconf.h \
  mrc/transport.c mrc/transport.h
