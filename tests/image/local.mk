# The disk image. What boots it takes minutes and Debian's packages, and is not in "make check".
TESTS += tests/image/seed.sh
EXTRA_DIST += tests/image/boot.sh tests/image/seed.sh
EXTRA_DIST += examples/disk-image/README.md examples/disk-image/build examples/disk-image/cluster \
  examples/disk-image/files/usr/local/sbin/mosix-seed examples/disk-image/files/etc/ssh/sshd_config.d/mosix.conf \
  examples/disk-image/files/etc/systemd/system/mosix-seed.service examples/disk-image/files/etc/systemd/system/mosix-ssh-keys.service \
  examples/disk-image/files/etc/systemd/system/serial-getty@ttyS0.service.d/login.conf
check-image: all
	$(AM_TESTS_ENVIRONMENT) $(BASH) "$(srcdir)/tests/image/boot.sh"
.PHONY: check-image
