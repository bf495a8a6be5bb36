# Gossip between the nodes of a cluster (docs/gossip.md): mosixd's, and run by tests and simulations.
noinst_LIBRARIES += gossip/libgspcore.a
gossip_libgspcore_a_SOURCES = \
  gossip/core/board.c gossip/core/board.h \
  gossip/core/gsp.c gossip/core/gsp.h \
  gossip/core/members.c \
  gossip/core/messages.c gossip/core/messages.def gossip/core/messages.h \
  gossip/core/parts.h \
  gossip/core/peer.c gossip/core/peer.h \
  gossip/core/probe.c \
  gossip/core/send.c \
  gossip/core/spread.c gossip/core/spread.h \
  gossip/core/suspect.c gossip/core/suspect.h \
  gossip/core/sync.c

# Certificates and sealed datagrams. Users need libcommon and $(SODIUM_LIBS).
noinst_LIBRARIES += gossip/libgspseal.a
gossip_libgspseal_a_SOURCES = gossip/cert.c gossip/cert.h gossip/keyfile.c gossip/keyfile.h gossip/seal.c gossip/seal.h

# On a real network. Users need the two above, too.
noinst_LIBRARIES += gossip/libgspdrive.a
gossip_libgspdrive_a_SOURCES = gossip/drive.c gossip/drive.h gossip/drive_mail.c gossip/drive_mail.h
