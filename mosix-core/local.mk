# The engine of process migration (docs/migration.md). Nothing of it is installed yet: what is here is run by tests only.

# The pure core of a move: the home's side and a place's.
noinst_LIBRARIES += mosix-core/libmxplan.a
mosix_core_libmxplan_a_SOURCES = \
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
  mosix-core/image/capture_memory.c \
  mosix-core/image/capture_state.c \
  mosix-core/image/descriptors.c \
  mosix-core/image/image.c mosix-core/image/image.h \
  mosix-core/image/maps.c mosix-core/image/maps.h \
  mosix-core/image/parts.h \
  mosix-core/image/restore.c mosix-core/image/restore.h \
  mosix-core/image/restore_state.c \
  mosix-core/image/tracee.c mosix-core/image/tracee.h

# The table of system calls, and their coding.
noinst_LIBRARIES += mosix-core/libmxabi.a
mosix_core_libmxabi_a_SOURCES = \
  mosix-core/abi/calls.c mosix-core/abi/calls.def mosix-core/abi/calls.h \
  mosix-core/abi/kinds.def \
  mosix-core/abi/marshal.c mosix-core/abi/marshal.h \
  mosix-core/abi/message.c mosix-core/abi/message.h \
  mosix-core/abi/texts.c mosix-core/abi/texts.h \
  mosix-core/abi/talk.c mosix-core/abi/talk.def mosix-core/abi/talk.h

# Calls of a body, made at home. Users need libmximage and libmxabi too.
noinst_LIBRARIES += mosix-core/libmxaway.a
mosix_core_libmxaway_a_SOURCES = \
  mosix-core/deputy/inject.c mosix-core/deputy/inject.h \
  mosix-core/deputy/link.c mosix-core/deputy/link.h \
  mosix-core/deputy/stub.c mosix-core/deputy/stub.h \
  mosix-core/guest/body.c mosix-core/guest/body.h \
  mosix-core/guest/family.c mosix-core/guest/family.h \
  mosix-core/guest/filter.c mosix-core/guest/filter.h \
  mosix-core/guest/supervise.c mosix-core/guest/supervise.h \
  mosix-core/guest/transfer.c mosix-core/guest/transfer.h
