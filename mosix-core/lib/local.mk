# libmosix: what programs ask and wish about themselves (mosix(3)). Built into foreign programs, so it needs nothing of ours.
include_HEADERS = mosix-core/lib/mosix.h

lib_LIBRARIES = mosix-core/lib/libmosix.a
mosix_core_lib_libmosix_a_SOURCES = mosix-core/lib/mosix.c mosix-core/lib/mosix.h
mosix_core_lib_libmosix_a_CFLAGS = $(AM_CFLAGS) -fPIC

# Shared objects, made as programs are: there is no libtool here. mrc/local.mk's hook makes the link libmosix.so.
if !SANITIZE
mosixlibdir = $(libdir)
mosixlib_PROGRAMS = mosix-core/lib/libmosix.so.0
mosix_core_lib_libmosix_so_0_SOURCES = mosix-core/lib/mosix.c mosix-core/lib/mosix.h
mosix_core_lib_libmosix_so_0_CFLAGS = $(AM_CFLAGS) -fPIC
mosix_core_lib_libmosix_so_0_LDFLAGS = -shared -Wl,-soname,libmosix.so.0
mosix_core_lib_libmosix_so_0_LDADD =
pkglibexec_PROGRAMS += mosix-core/lib/libmosix-open.so
mosix_core_lib_libmosix_open_so_SOURCES = mosix-core/lib/mosix.c mosix-core/lib/mosix.h mosix-core/lib/open.c
mosix_core_lib_libmosix_open_so_CFLAGS = $(AM_CFLAGS) -fPIC -fvisibility=hidden
mosix_core_lib_libmosix_open_so_LDFLAGS = -shared
mosix_core_lib_libmosix_open_so_LDADD =
endif

dist_man_MANS += mosix-core/lib/mosix.3

pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = mosix-core/lib/mosix.pc
