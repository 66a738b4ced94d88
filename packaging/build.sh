#!/bin/sh
# Builds packages: build.sh deb|rpm. They appear in target/debian and target/generate-rpm.
set -eu

CARGO_DEB=3.8.0
CARGO_GENERATE_RPM=0.21.1

main() {
    cd "$(dirname "$0")/.."
    target=${CARGO_TARGET_DIR:-target}
    package=target/package
    cargo build --release -p ebpfix
    rm -rf "$package"
    cargo run -q -p ebpfix-manual -- "$package"
    gzip -9n <CHANGELOG.md >"$package/changelog.gz"
    case ${1:-} in
    deb)
        debian_changelog >"$package/changelog"
        tool cargo-deb "$CARGO_DEB"
        "$tool" --package ebpfix --no-build --strip
        ;;
    rpm)
        tool cargo-generate-rpm "$CARGO_GENERATE_RPM"
        "$tool" generate-rpm --package exporter
        ;;
    *)
        echo "build.sh: '${1:-}' is neither deb nor rpm" >&2
        exit 2
        ;;
    esac
}

# Finds a tool of this version, or builds it beside our own build.
tool() {
    tool=$target/tools/bin/$1
    if [ ! -x "$tool" ] || ! "$tool" --version 2>/dev/null | grep -qF "$2"; then
        cargo install --quiet --locked --root "$target/tools" --version "$2" "$1"
    fi
}

# The package's own history; that of the program is in changelog.gz.
debian_changelog() {
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
    date=$(date -R -u -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}")
    cat <<END
ebpfix ($version-1) unstable; urgency=medium

  * Version $version: see changelog.gz.

 -- the ebpfix developers <ebpfix@localhost>  $date
END
}

main "$@"
