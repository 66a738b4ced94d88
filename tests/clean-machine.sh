#!/bin/sh
# Proves on a machine that has nothing but Debian 12 and Rust that one command is enough.
#
#   clean-machine.sh test [SECONDS]    `make test`; SECONDS is the longest it may take
#   clean-machine.sh run  [SECONDS]    `make run`, ended when it has shown flows
#
# The machine is a folder made by debootstrap, entered by chroot, gone afterwards; the project in it
# is a clone of the last commit. Needs root and the network. The kernel is that of the host.
set -eu

main() {
    purpose=${1:-test}
    limit=${2:-3000}
    case $purpose in
    test | run) ;;
    *) fail "'$purpose' is not one of test, run" ;;
    esac
    [ "$(id -u)" -eq 0 ] || fail "this needs root"
    project=$(cd "$(dirname "$0")/.." && pwd)
    shared=$(cd "${EBPFIX_SHARED:-$project/../shared}" && pwd) || fail "no captures: set EBPFIX_SHARED"
    command -v debootstrap >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends debootstrap
    machine=$(mktemp -d /var/tmp/ebpfix-clean.XXXXXX)
    trap 'rm -rf --one-file-system "$machine"' EXIT INT TERM
    chmod 755 "$machine"
    make_machine
    # Mounts are made in a mount namespace of their own: they end with it.
    export machine shared purpose limit
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare --mount --propagation private sh -eu -c '
        # A mount point: `ip netns` changes the propagation of what it takes for the root.
        mount --bind "$machine" "$machine"
        mount --bind /proc "$machine/proc"
        mount --bind /sys "$machine/sys"
        mount --rbind /dev "$machine/dev"
        mount -t tmpfs tmpfs "$machine/run"
        mkdir -p "$machine/root/shared"
        mount --bind "$shared" "$machine/root/shared"
        exec chroot "$machine" /usr/bin/env -i HOME=/root TERM=dumb \
            PATH=/root/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            sh -eu /root/inside.sh "$purpose" "$limit"'
    echo "clean-machine: make $purpose: proved"
}

make_machine() {
    mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
    # shellcheck disable=SC2086 # none, or one
    debootstrap --variant=minbase --include=ca-certificates bookworm "$machine" $mirror >"$machine.log" 2>&1 ||
        { tail -n 5 "$machine.log" >&2; fail "debootstrap failed"; }
    rm -f "$machine.log"
    # The host's way to the network: sources, proxies, certificates, names.
    rm -f "$machine/etc/apt/sources.list"
    cp -a /etc/apt/sources.list.d /etc/apt/trusted.gpg.d "$machine/etc/apt/"
    for file in /etc/apt/sources.list /etc/apt/apt.conf /etc/apt/apt.conf.d/*proxy* /etc/apt/apt.conf.d/99*; do
        [ ! -f "$file" ] || cp -a "$file" "$machine$file"
    done
    cp -aL /etc/resolv.conf /etc/hosts "$machine/etc/"
    cp -a /etc/ssl/certs/. "$machine/etc/ssl/certs/"
    # Rust, as rustup leaves it; no crate.
    home=${CARGO_HOME:-$HOME/.cargo}
    toolchain=$(cd "$project" && rustup show active-toolchain | cut -d ' ' -f 1)
    rustup_home=${RUSTUP_HOME:-$HOME/.rustup}
    mkdir -p "$machine/root/.cargo" "$machine/root/.rustup/toolchains"
    cp -a "$home/bin" "$machine/root/.cargo/"
    for file in config.toml config; do
        [ ! -f "$home/$file" ] || cp -a "$home/$file" "$machine/root/.cargo/"
    done
    cp -a "$rustup_home/settings.toml" "$machine/root/.rustup/"
    cp -aL "$rustup_home/toolchains/$toolchain" "$machine/root/.rustup/toolchains/"
    git clone --quiet --no-hardlinks "$project" "$machine/root/ebpfix"
    cat >"$machine/root/inside.sh" <<'INSIDE'
purpose=$1
limit=$2
cd /root/ebpfix
# What the README asks of a fresh machine.
apt-get update -q >/dev/null
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends make >/dev/null
start=$(date +%s)
case $purpose in
test)
    timeout --signal=TERM "$limit" make test
    ;;
run)
    timeout --signal=TERM "$limit" make run >/root/output 2>/root/errors &
    make=$!
    # Traffic of this machine that is sure to come: a look at the package lists.
    while kill -0 "$make" 2>/dev/null; do
        sleep 2
        if pgrep -x ebpfix >/dev/null 2>&1 || [ -S /run/ebpfix/control.sock ]; then
            apt-get update -q >/dev/null
            sleep 20
            break
        fi
    done
    target/release/ebpfix status || true
    kill -TERM "$make"
    for process in $(ls /proc | grep -x '[0-9]*'); do
        [ "$(readlink "/proc/$process/exe" 2>/dev/null)" != /root/ebpfix/target/release/ebpfix ] || kill -TERM "$process"
    done
    wait "$make" || true
    tail -n 5 /root/errors
    tail -n 40 /root/output
    grep -qE '[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+' /root/output
    ;;
esac
echo "clean-machine: make $purpose took $(($(date +%s) - start)) seconds"
INSIDE
}

fail() {
    echo "clean-machine: $*" >&2
    exit 1
}

main "$@"
