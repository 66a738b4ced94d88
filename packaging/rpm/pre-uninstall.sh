# $1: 0 at the removal, 1 at an upgrade.
if [ "$1" -eq 0 ]; then
    if [ -d /run/systemd/system ]; then
        systemctl --no-reload disable --now ebpfix.service || true
    fi
    # What a killed exporter left; after an orderly end there is nothing.
    /usr/sbin/ebpfix detach || true
fi
