# People watch a cluster: mon on a terminal, mosweb in a browser. Both are readers of mosixd's socket (docs/control.md, docs/monitors.md).

# Pure: the table of nodes, what is shown of it, screens, and what is written for browsers and programs.
noinst_LIBRARIES += gossip/monitor/libmoncore.a
gossip_monitor_libmoncore_a_SOURCES = \
  gossip/monitor/core/api.c gossip/monitor/core/api.h \
  gossip/monitor/core/counters.def \
  gossip/monitor/core/figures.def \
  gossip/monitor/core/history.c gossip/monitor/core/history.h \
  gossip/monitor/core/host.c gossip/monitor/core/host.h \
  gossip/monitor/core/keys.def \
  gossip/monitor/core/layout.c gossip/monitor/core/layout.h \
  gossip/monitor/core/layout_bars.c \
  gossip/monitor/core/layout_help.c \
  gossip/monitor/core/layout_list.c \
  gossip/monitor/core/layout_map.c \
  gossip/monitor/core/metrics.c gossip/monitor/core/metrics.h \
  gossip/monitor/core/paint.c gossip/monitor/core/paint.h \
  gossip/monitor/core/shown.c gossip/monitor/core/shown.h \
  gossip/monitor/core/table.c gossip/monitor/core/table.h \
  gossip/monitor/core/text.c gossip/monitor/core/text.h \
  gossip/monitor/core/view.c gossip/monitor/core/view.h

# Asking mosixd, and understanding it. Users need libmoncore, libcommon and $(JANSSON_LIBS).
noinst_LIBRARIES += gossip/monitor/libmonfeed.a
gossip_monitor_libmonfeed_a_SOURCES = \
  gossip/monitor/decode.c gossip/monitor/decode.h \
  gossip/monitor/feed.c gossip/monitor/feed.h

MONITOR_LIBS = gossip/monitor/libmonfeed.a gossip/monitor/libmoncore.a mosix-core/libmxmeet.a common/libcommon.a $(JANSSON_LIBS)

bin_PROGRAMS += gossip/monitor/mon
gossip_monitor_mon_SOURCES = \
  gossip/monitor/draw.c gossip/monitor/draw.h \
  gossip/monitor/mon.c gossip/monitor/mon.def \
  gossip/monitor/print.c gossip/monitor/print.h
gossip_monitor_mon_LDADD = $(MONITOR_LIBS) $(NCURSES_LIBS)
dist_man_MANS += gossip/monitor/mon.1

nodist_completions_DATA += completions/mon
completions/mon: gossip/monitor/mon.def
	$(COMPLETION) $(srcdir)/gossip/monitor/mon.def >$@

if MOSWEB
bin_PROGRAMS += gossip/monitor/mosweb
gossip_monitor_mosweb_SOURCES = \
  gossip/monitor/confine.c gossip/monitor/confine.h \
  gossip/monitor/http.c gossip/monitor/http.h \
  gossip/monitor/mosweb.c gossip/monitor/mosweb.def \
  gossip/monitor/site.c gossip/monitor/site.h
nodist_gossip_monitor_mosweb_SOURCES = gossip/monitor/page.h
gossip_monitor_mosweb_LDADD = $(MONITOR_LIBS) $(MICROHTTPD_LIBS)
dist_man_MANS += gossip/monitor/mosweb.8
nodist_completions_DATA += completions/mosweb
nodist_systemdunit_DATA += gossip/monitor/mosweb.service
gossip/monitor/mosweb.service: gossip/monitor/mosweb.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) gossip/monitor && sed 's|[@]bindir[@]|$(bindir)|' $(srcdir)/gossip/monitor/mosweb.service.in >$@.tmp && mv $@.tmp $@
completions/mosweb: gossip/monitor/mosweb.def
	$(COMPLETION) $(srcdir)/gossip/monitor/mosweb.def >$@
endif
MOSWEB_PAGE = gossip/monitor/page/make-page gossip/monitor/page/page.css gossip/monitor/page/page.html gossip/monitor/page/page.js
EXTRA_DIST += $(MOSWEB_PAGE) gossip/monitor/mosweb.8 gossip/monitor/mosweb.service.in
gossip/monitor/page.h: $(MOSWEB_PAGE)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && '$(srcdir)/gossip/monitor/page/make-page' '$(srcdir)/gossip/monitor/page' >$@.tmp && mv $@.tmp $@
gossip/monitor/site.$(OBJEXT): gossip/monitor/page.h
CLEANFILES += gossip/monitor/page.h gossip/monitor/mosweb.service
