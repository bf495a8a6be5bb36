noinst_LIBRARIES += mrc/libsession.a
mrc_libsession_a_SOURCES = \
  mrc/session/fair.c mrc/session/fair.h \
  mrc/session/frames.c mrc/session/frames.def mrc/session/frames.h \
  mrc/session/parts.h mrc/session/resume.c \
  mrc/session/session.c mrc/session/session.h
mrc_libsession_a_SOURCES += \
  mrc/demand.h \
  mrc/doctor.def mrc/finding.c mrc/finding.h \
  mrc/held.c mrc/held.h \
  mrc/input.c mrc/input.h \
  mrc/job.c mrc/job.def mrc/job.h \
  mrc/link.c mrc/link.h mrc/linkparts.h mrc/port.c \
  mrc/dieby.c mrc/dieby.h \
  mrc/nest/meet.c mrc/nest/nest.h \
  mrc/term.c mrc/term.h \
  mrc/pump.c mrc/pump.h \
  mrc/serve.c mrc/serve.h \
  mrc/waittime.c

bin_PROGRAMS += mrc/mrc
mrc_mrc_SOURCES = \
  mrc/activity.c mrc/activity.def mrc/activity.h mrc/activitycode.c \
  mrc/cachecommand.c mrc/cachecommand.h \
  mrc/detach/attach.c mrc/detach/detach.h mrc/detach/forget.c mrc/detach/list.c mrc/detach/provide.c mrc/detach/record.c mrc/detach/record.h mrc/detach/start.c \
  mrc/doctorcommand.c mrc/doctorcommand.h mrc/doctorhere.c \
  mrc/firstlaunch.c mrc/firstlaunch.h \
  mrc/env.def mrc/hidden.def mrc/limits.def \
  mrc/keeper.c mrc/keeper.h \
  mrc/hostset.c mrc/hostset.h \
  mrc/logcommand.c mrc/logcommand.h \
  mrc/main.c \
  mrc/nest/dial.c mrc/nest/head.c mrc/nest/nester.c mrc/nest/session.c \
  mrc/nest/wanted.c mrc/nest/wanted.h \
  mrc/many.c mrc/many.h mrc/manyout.c mrc/manyout.h \
  mrc/options.c mrc/options.def mrc/options.h \
  mrc/progress.c mrc/progress.h \
  mrc/question.c mrc/question.h \
  mrc/reach.c mrc/reach.h \
  mrc/run.c mrc/run.h mrc/runaway.c mrc/runchannels.c mrc/runheld.c mrc/runparts.h mrc/runterm.c mrc/runwords.c \
  mrc/statusline.c mrc/statusline.h \
  mrc/spec.c mrc/spec.h \
  mrc/supply.c \
  mrc/topcommand.c mrc/topcommand.h mrc/toplist.c mrc/topscreen.c \
  mrc/treeof.c mrc/trees.c mrc/trees.h \
  mrc/tty.c mrc/tty.h \
  mrc/verbs.c mrc/verbs.h \
  mrc/watchjob.c mrc/watchjob.h
mrc_mrc_LDADD = mrc/libmrc.a mrc/libsession.a mrcfs/libmrcfs.a common/libcommon.a $(SSH2_LIBS) $(SODIUM_LIBS) $(LZO_LIBS) $(JANSSON_LIBS)
dist_man_MANS += mrc/mrc.1
# The same program, for what starts ssh by a name alone.
install-exec-hook:
	$(LN_S) -f mrc$(EXEEXT) $(DESTDIR)$(bindir)/mrc-ssh$(EXEEXT)
	$(LN_S) -f mosrun$(EXEEXT) $(DESTDIR)$(bindir)/native$(EXEEXT)
	$(LN_S) -f libmosix.so.0 $(DESTDIR)$(libdir)/libmosix.so
uninstall-hook:
	rm -f $(DESTDIR)$(bindir)/mrc-ssh$(EXEEXT) $(DESTDIR)$(bindir)/native$(EXEEXT) $(DESTDIR)$(libdir)/libmosix.so
noinst_LIBRARIES += mrc/libmrc.a
mrc_libmrc_a_CPPFLAGS = $(AM_CPPFLAGS) $(SSH2_CFLAGS)
mrc_libmrc_a_SOURCES = \
  mrc/agents.c mrc/agents.h \
  mrc/launchprofile.c mrc/launchprofile.h \
  mrc/ask.c mrc/ask.h \
  mrc/asking.c mrc/asking.h \
  mrc/connect.c mrc/mrc.h mrc/remote.c \
  mrc/reconnect.c mrc/reconnect.h \
  mrc/dial.c mrc/dial.h \
  mrc/hostkey.c mrc/hostkey.h \
  mrc/hub.def mrc/hub.h mrc/hubcable.c mrc/hubcommand.c mrc/hubjob.c mrc/hubmeet.c mrc/hubmsg.c mrc/hubparts.h mrc/hubsays.c mrc/hubserver.c mrc/hubviews.c mrc/hubwho.c \
  mrc/keyfile.c mrc/keyfile.h \
  mrc/openssh.c mrc/openssh.h \
  mrc/push.c mrc/push.h \
  mrc/quote.c mrc/quote.h mrc/keeperword.c mrc/share.c mrc/share.h mrc/silence.c \
  mrc/ssh.c mrc/ssh.h \
  mrc/sshauth.c mrc/sshcommand.c mrc/sshhost.c mrc/sshparts.h \
  mrc/sshconf.c mrc/sshconf.h \
  mrc/transport.c mrc/transport.h \
  mrc/words.c mrc/words.h

nodist_completions_DATA += completions/mrc
completions/mrc: mrc/options.def
	$(COMPLETION) -v words='host command' -v verbs='ps top stop cache logs doctor attach detach' $(srcdir)/mrc/options.def >$@
