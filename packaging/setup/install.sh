#!/bin/sh
# Installs what is missing on a Debian 12 machine to build ebpfix, to run it and to test it.
#
#   install.sh build   what `cargo build` needs (and writes .cargo/local.toml)
#   install.sh run     the same, and the BPF file system
#   install.sh test    the same, and the collectors, decoders, tools and kernels that the tests need
#   install.sh bench   the same, and other exporters to compare with
#
# Needs root, or sudo, only when something is missing. Safe to run again: it then does nothing.
set -eu

build_packages() {
    echo gcc libc6-dev make pkg-config libelf-dev zlib1g-dev
    # Not a newer one: see .cargo/config.toml.
    echo libclang1-14 libclang-common-14-dev
    echo "linux-headers-$(dpkg --print-architecture)"
}

test_packages() {
    echo nfdump openssl pmacct softflowd tshark tcpdump tmux
    echo tcpreplay iperf3 iputils-ping iproute2 ethtool bpftool
    # procps for `kill`, which a minimal system has only inside its shell.
    # groff-base reads the manual pages as a reader would.
    echo python3 python3-dpkt python3-venv procps groff-base
    # libFuzzer is written in it.
    echo g++
    # Other kernels run in a virtual machine: tests/tests/kernels.rs.
    echo qemu-system-x86 xz-utils
    # And a whole Debian, into which packages are installed: tests/tests/install.rs.
    echo debootstrap e2fsprogs busybox-static lintian rpm
}

main() {
    purpose=${1:-build}
    # From below.
    case $purpose in
    kernel)
        fetch_kernel "$2" "$3" "$4"
        return
        ;;
    system)
        make_system "$2"
        return
        ;;
    esac
    root=$(cd "$(dirname "$0")/../.." && pwd)
    case $purpose in
    build) packages=$(build_packages) ;;
    run) packages="$(build_packages) iproute2" ;;
    test) packages="$(build_packages) $(test_packages)" ;;
    bench) packages="$(build_packages) $(test_packages) fprobe" ;;
    *) fail "'$purpose' is not one of build, run, test, bench" ;;
    esac
    # shellcheck disable=SC2086 # one word for each package
    install_missing $packages
    name_kernel_headers "$root/.cargo/local.toml"
    command -v cargo >/dev/null || fail "there is no cargo: install Rust by https://rustup.rs and open a new shell"
    case $purpose in
    run) mount_bpffs ;;
    test | bench)
        mount_bpffs
        install_judges "$root/ipfix/tests/judges/requirements.txt" "$root/.venv"
        ;;
    esac
    if [ "$purpose" = test ]; then
        fetch_promtool "${CARGO_TARGET_DIR:-$root/target}/tools"
        fetch_kernels "${CARGO_TARGET_DIR:-$root/target}/kernels"
        make_systems "${CARGO_TARGET_DIR:-$root/target}/systems"
    fi
}

install_missing() {
    command -v apt-get >/dev/null || fail "there is no apt-get: this script knows Debian 12; install by hand: $*"
    missing=
    for package; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$status" = installed ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    echo "setup: installing$missing"
    as_root apt-get update -q
    # shellcheck disable=SC2086 # one word for each package
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
}

# The build of redbpf-probes reads the headers of the kernel that runs, unless told of others; those
# of Debian's kernel do on any kernel, since the probe only takes the BPF interface from them.
name_kernel_headers() {
    version=
    for modules in $(printf '%s\n' /lib/modules/* | sort -V); do
        if [ -f "$modules/build/include/generated/uapi/linux/version.h" ] &&
            { [ -f "$modules/source/include/linux/kconfig.h" ] || [ -f "$modules/build/include/linux/kconfig.h" ]; }; then
            version=${modules##*/}
        fi
    done
    [ -n "$version" ] || fail "no kernel headers under /lib/modules, although linux-headers is installed"
    text="# Written by packaging/setup/install.sh.
[env]
KERNEL_VERSION = \"$version\""
    # An unchanged file keeps its time stamp.
    if [ "$(cat "$1" 2>/dev/null)" != "$text" ]; then
        printf '%s\n' "$text" >"$1"
    fi
}

mount_bpffs() {
    if ! grep -qs ' /sys/fs/bpf bpf ' /proc/mounts; then
        echo "setup: mounting the BPF file system on /sys/fs/bpf"
        as_root mount -t bpf -o mode=0700 bpf /sys/fs/bpf || fail "no BPF file system could be mounted on /sys/fs/bpf"
    fi
}

# Decoders of others, from PyPI, which judge our messages. Debian has none of them.
install_judges() {
    if ! cmp -s "$1" "$2/requirements.txt"; then
        echo "setup: installing the Python packages of $1 into $2"
        rm -rf "$2"
        # Debian's own, whatever else is first in PATH.
        /usr/bin/python3 -m venv "$2"
        "$2/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$1" ||
            fail "the packages of $1 could not be installed from PyPI"
        # Last: what is there is then complete.
        cp "$1" "$2/requirements.txt"
    fi
}

# The kernels of other Debian releases, unpacked into the folder $1 and never installed. An archive
# of the release is read by an apt of our own: that of the machine stays as it is.
fetch_kernels() {
    while read -r series release; do
        has_kernel "$1/$series" "$series" || "$0" kernel "$1/$series" "$series" "$release" </dev/null ||
            echo "setup: Linux $series cannot be fetched: its test will fail" >&2
    done <<'RELEASES'
5.10 bullseye
6.1 bookworm
6.12 trixie
RELEASES
}

has_kernel() {
    [ -f "$1/vmlinuz" ] || return 1
    for module in $(kernel_modules "$2"); do
        [ -f "$1/$module.ko" ] || return 1
    done
}

fetch_kernel() {
    # "linux-image-cloud" leaves out the drivers of real hardware.
    meta=linux-image-cloud-amd64
    uri=$(debian_archive)
    [ -n "$uri" ] || as_root apt-get update -q
    uri=${uri:-$(debian_archive)}
    [ -n "$uri" ] || fail "apt knows no archive of Debian's to fetch Linux $2 from"
    echo "setup: fetching Linux $2 for the tests"
    work=$1.new
    rm -rf "$work"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
    echo "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $3 main" >"$work/sources.list"
    cat >"$work/apt.conf" <<CONF
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "-";
Dir::State::Lists "$work/lists";
Dir::Cache "$work/cache";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
APT::Sandbox::User "$(id -un)";
CONF
    (
        cd "$work"
        export APT_CONFIG="$work/apt.conf"
        apt-get update -q
        # Of a series the newest version has no name of its own: another package depends on it.
        image=$(apt-cache depends "$meta:amd64" | sed -n "s/^ *Depends: *\(linux-image-$2[.0-9].*\)/\1/p" | head -n 1)
        [ -n "$image" ] || fail "$meta of $3 is no Linux $2"
        apt-get download -q "$image"
        dpkg-deb -x linux-image-*.deb root
        for module in $(kernel_modules "$2"); do
            file=$(find root -name "$module.ko" -o -name "$module.ko.xz" | head -n 1)
            case $file in
            *.xz) xz -dc "$file" >"$module.ko" ;;
            *.ko) mv "$file" "$module.ko" ;;
            *) fail "$image has no module $module" ;;
            esac
        done
        mv root/boot/vmlinuz-* vmlinuz
    )
    rm -rf "$work/root" "$work/lists" "$work/cache" "$work"/*.deb "$work/apt.conf" "$work/sources.list" "$1"
    mv "$work" "$1"
}

# What tests/src/vm.rs loads; and what a kernel that starts from a disk needs, tests/src/system.rs.
kernel_modules() {
    echo veth sch_ingress cls_bpf tunnel4 ip_tunnel ipip
    [ "$1" != 6.1 ] || echo virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk
}

# A disk with a Debian in the folder $1, made once: tests/src/system.rs starts it, and keeps nothing of
# what happens on it.
make_systems() {
    { [ -f "$1/bookworm.ext4" ] && [ "$(cat "$1/bookworm.packages" 2>/dev/null)" = "$(system_packages)" ]; } ||
        "$0" system "$1/bookworm" </dev/null ||
        echo "setup: no Debian can be made: the test of installing will fail" >&2
}

make_system() {
    suite=${1##*/}
    uri=$(debian_archive)
    [ -n "$uri" ] || as_root apt-get update -q
    uri=${uri:-$(debian_archive)}
    [ -n "$uri" ] || fail "apt knows no archive of Debian's to make a system from"
    echo "setup: making a Debian $suite for the tests"
    as_root rm -rf --one-file-system "$1"
    mkdir -p "${1%/*}"
    # Of ebpfix's own needs only what dpkg cannot fetch without a network.
    as_root debootstrap --variant=minbase --include="$(system_packages | tr ' ' ',')" "$suite" "$1" "$uri" >"$1.log" 2>&1 ||
        fail "debootstrap: $(tail -n 3 "$1.log")"
    as_root rm -rf "$1/var/cache/apt" "$1/var/lib/apt/lists" "$1/usr/share/locale" "$1/usr/share/man"
    # Beside the system, which has another first process.
    as_root mkdir -p "$1.openrc" "$1/srv/openrc"
    (cd "$1.openrc" && as_root apt-get download -q openrc librc1 libeinfo1 2>/dev/null) || fail "apt has no OpenRC"
    for package in "$1.openrc"/*.deb; do
        as_root dpkg-deb -x "$package" "$1/srv/openrc"
    done
    as_root rm -rf "$1.openrc"
    # Not the first start of a machine that was never configured.
    echo 0123456789abcdef0123456789abcdef | as_root tee "$1/etc/machine-id" >/dev/null
    size=$(($(as_root du -sm "$1" | cut -f 1) + 256))
    rm -f "$1.new"
    as_root mke2fs -q -t ext4 -E lazy_itable_init=1 -d "$1" "$1.new" "${size}m"
    as_root chown "$(id -u):$(id -g)" "$1.new"
    as_root rm -rf --one-file-system "$1"
    rm -f "$1.log"
    mv "$1.new" "$1.ext4"
    system_packages >"$1.packages"
}

system_packages() {
    # perl-base sends packets; nfdump's nfcapd takes flows.
    echo systemd systemd-sysv dbus nfdump iproute2 kmod procps perl-base libelf1 zlib1g
}

# Prometheus' own judge of metrics and rules, without the server that is in the same package, and would be
# started. A release that has none is no reason not to run the other tests.
fetch_promtool() {
    [ ! -x "$1/promtool" ] || return 0
    echo "setup: fetching promtool for the tests"
    rm -rf "$1/promtool.new"
    mkdir -p "$1/promtool.new"
    (
        cd "$1/promtool.new"
        # A cache of apt's that is none is told by the download.
        apt-get download -q prometheus || { as_root apt-get update -q && apt-get download -q prometheus; }
        dpkg-deb -x prometheus_*.deb .
        mv usr/bin/promtool ..
    ) || echo "setup: promtool cannot be fetched: its tests will fail" >&2
    rm -rf "$1/promtool.new"
}

# Where this machine has its own Debian from.
debian_archive() {
    # shellcheck disable=SC2016 # apt's words
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null | head -n 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "'$*' needs root, and there is no sudo"
    fi
}

fail() {
    echo "setup: $*" >&2
    exit 1
}

main "$@"
