# $1: 0 at the removal, 1 at an upgrade.
if [ "$1" -eq 0 ]; then
    # Empty since "ebpfix detach".
    rmdir /sys/fs/bpf/ebpfix 2>/dev/null || true
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
