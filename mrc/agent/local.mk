noinst_LIBRARIES += mrc/agent/libview.a
mrc_agent_libview_a_SOURCES = \
  mrc/agent/build.c mrc/agent/build.h \
  mrc/agent/fusermount.c mrc/agent/fusermount.h \
  mrc/agent/ns.c mrc/agent/ns.h \
  mrc/agent/plan.c mrc/agent/plan.h \
  mrc/agent/probe.c \
  mrc/agent/record.c mrc/agent/record.h \
  mrc/agent/view.c mrc/agent/view.h
