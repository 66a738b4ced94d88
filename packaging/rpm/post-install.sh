# $1: 1 at the first installation, 2 at an upgrade.
if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers ebpfix.conf
elif ! getent passwd ebpfix >/dev/null; then
    useradd --system --user-group --no-create-home --home-dir /nonexistent \
        --shell /sbin/nologin --comment "Flow exporter" ebpfix
fi
chown root:ebpfix /etc/ebpfix/ebpfix.toml
if [ -d /run/systemd/system ]; then
    systemd-tmpfiles --create ebpfix.conf
    systemctl daemon-reload
    if [ "$1" -eq 1 ]; then
        systemctl preset ebpfix.service
    elif systemctl --quiet is-active ebpfix.service; then
        # The old exporter leaves its programs counting, the new one takes them over.
        if /usr/sbin/ebpfix handover; then
            systemctl start ebpfix.service
        else
            systemctl restart ebpfix.service
        fi
    fi
fi
