# $1: 1 at the first installation, 2 at an upgrade.
# cargo-generate-rpm packs no folders.
mkdir -p /etc/ebpfix/conf.d
chgrp ebpfix /etc/ebpfix/conf.d
chmod 0750 /etc/ebpfix/conf.d
if [ -d /run/systemd/system ]; then
    systemd-tmpfiles --create ebpfix.conf || true
    systemctl daemon-reload || true
    if [ "$1" -eq 1 ]; then
        systemctl preset ebpfix.service || true
    elif systemctl --quiet is-active ebpfix.service; then
        # The old exporter exports what it holds and leaves its programs counting; the new one takes
        # them over, and no packet is missed.
        /usr/sbin/ebpfix handover || true
        systemctl restart ebpfix.service || true
    fi
fi
