# $1: 0 at the removal, 1 at an upgrade.
if [ "$1" -eq 0 ]; then
    # Programs that a killed exporter left go with their pins.
    rm -rf /sys/fs/bpf/ebpfix
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
