# Before the files, some of which belong to the group. Wherever systemd is, its own program makes the user.
if ! getent group ebpfix >/dev/null || ! getent passwd ebpfix >/dev/null; then
    if command -v systemd-sysusers >/dev/null; then
        echo 'u ebpfix - "Flow exporter" /nonexistent /usr/sbin/nologin' |
            systemd-sysusers --replace=/usr/lib/sysusers.d/ebpfix.conf -
    else
        useradd --system --user-group --no-create-home --home-dir /nonexistent \
            --shell /sbin/nologin --comment "Flow exporter" ebpfix
    fi
fi
