# $1: 0 at the removal, 1 at an upgrade. The user stays, as is the custom where rpm is at home.
if [ "$1" -eq 0 ]; then
    # Empty since "ebpfix detach".
    rmdir /sys/fs/bpf/ebpfix 2>/dev/null || true
    # cargo-generate-rpm packs no folders. What the administrator made stays.
    rmdir /etc/ebpfix/conf.d /etc/ebpfix /usr/share/doc/ebpfix/docs/collectors \
        /usr/share/doc/ebpfix/docs /usr/share/doc/ebpfix /usr/share/licenses/ebpfix 2>/dev/null || true
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
