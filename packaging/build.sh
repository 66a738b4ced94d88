#!/bin/sh
# Builds a package: build.sh deb|rpm [FOLDER]. It appears in FOLDER, or in target/debian or
# target/generate-rpm, and its path is the last line of the output.
#
#   DEBFULLNAME, DEBEMAIL   who maintains the package, as Debian's tools take it
#   EBPFIX_VERSION          another version than that of Cargo.toml
#   SOURCE_DATE_EPOCH       the time of the files, else that of the last commit
#
# "build.sh tools" only builds the programs that make packages.
set -eu

CARGO_DEB=3.8.0
CARGO_GENERATE_RPM=0.21.1

main() {
    cd "$(dirname "$0")/.."
    target=${CARGO_TARGET_DIR:-target}
    kind=${1:-}
    folder=${2:-}
    case $kind in
    deb) tool cargo-deb "$CARGO_DEB" ;;
    rpm) tool cargo-generate-rpm "$CARGO_GENERATE_RPM" ;;
    tools)
        tool cargo-deb "$CARGO_DEB"
        tool cargo-generate-rpm "$CARGO_GENERATE_RPM"
        return
        ;;
    *)
        echo "build.sh: '$kind' is neither deb nor rpm" >&2
        exit 2
        ;;
    esac
    version=${EBPFIX_VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)}
    # 1.0.0-rc.1 comes before 1.0.0 here too.
    version=$(echo "$version" | tr - '~')
    # Reserved by RFC 2606: who builds a package without a name of their own promises no address.
    maintainer="${DEBFULLNAME:-the ebpfix developers} <${DEBEMAIL:-ebpfix@ebpfix.invalid}>"
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
    export SOURCE_DATE_EPOCH
    cargo build --release -p ebpfix
    fill_package_folder
    case $kind in
    deb)
        folder=${folder:-$target/debian}
        "$tool" --quiet --package ebpfix --no-build --strip --deb-version "$version-1" \
            --maintainer "$maintainer" --output "$folder/"
        ;;
    rpm)
        folder=${folder:-$target/generate-rpm}
        mkdir -p "$folder"
        "$tool" generate-rpm --package exporter --output "$folder/" \
            --set-metadata "version = \"$version\"" --set-metadata "vendor = \"$maintainer\""
        echo "$folder/ebpfix-$version-1.$(uname -m).rpm"
        ;;
    esac
}

# What packages hold beside the files of the project, where exporter/Cargo.toml looks for it.
fill_package_folder() {
    package=target/package
    rm -rf "$package"
    cargo run -q -p ebpfix-manual -- "$package"
    strip -o "$package/ebpfix" "$target/release/ebpfix"
    gzip -9n <CHANGELOG.md >"$package/changelog.gz"
    for page in ebpfix.8 ebpfix.toml.5; do
        gzip -9n <"$package/$page" >"$package/$page.gz"
    done
    debian_changelog >"$package/changelog"
}

# Finds a tool of this version, or builds it beside our own build: quickly, since it runs for seconds.
tool() {
    tool=$target/tools/bin/$1
    if [ ! -x "$tool" ] || ! "$tool" --version 2>/dev/null | grep -qF "$2"; then
        echo "build.sh: building $1 $2" >&2
        CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_TARGET_DIR="$target/tools/build" \
            cargo install --quiet --locked --debug --root "$target/tools" --version "$2" "$1"
        rm -rf "$target/tools/build"
    fi
}

# The package's own history; that of the program is in changelog.gz.
debian_changelog() {
    cat <<END
ebpfix ($version-1) unstable; urgency=medium

  * Version $version: see changelog.gz.

 -- $maintainer  $(date -R -u -d "@$SOURCE_DATE_EPOCH")
END
}

main "$@"
