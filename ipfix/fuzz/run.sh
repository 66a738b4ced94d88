#!/bin/sh
# Fuzzes the ipfix crate, or the crate whose fuzz folder FUZZ_CRATE names (see probes/fuzz/run.sh).
#
#   run.sh [SECONDS] [TARGET...]   each target (default: all) for SECONDS (default: 20)
#
# Exits with 1 on a crash and says where its input is. Seeds, corpus and crashes are below the target
# directory; the corpus stays there for the next run.
#
# Needs a C++ compiler. Takes a nightly compiler where rustup has one; the instrumentation has no
# stable switch, so without one the stable compiler is told to pass for a nightly. cargo-fuzz is
# installed into the target directory where there is none.
set -eu

CARGO_FUZZ_VERSION=0.13.2

main() {
    own=$(cd "$(dirname "$0")" && pwd)
    here=${FUZZ_CRATE:-$own}
    seconds=${1:-20}
    [ $# -eq 0 ] || shift
    case $seconds in
    '' | *[!0-9]*) fail "'$seconds' is not a number of seconds" ;;
    esac
    [ $# -gt 0 ] || set -- $(cd "$here/targets" && ls | sed 's/\.rs$//')
    target_directory=${CARGO_TARGET_DIR:-$own/../../target}
    mkdir -p "$target_directory/fuzz"
    work=$(cd "$target_directory/fuzz" && pwd)

    for target; do
        rm -rf "$work/seeds/$target"
    done
    (cd "$here" && cargo run -q --locked --target-dir "$work/seeds-build" --example seeds -- "$work/seeds") ||
        fail "the seeds could not be made"
    choose_compiler
    provide_cargo_fuzz
    for target; do
        [ -f "$here/targets/$target.rs" ] || fail "there is no target '$target'"
        cargo fuzz build --fuzz-dir "$here" --target-dir "$work/build" --sanitizer "$sanitizer" "$target" ||
            fail "$target could not be built"
    done
    host=$(rustc -vV | sed -n 's/^host: //p')
    for target; do
        fuzz "$target" "$work/build/$host/release/$target"
    done
}

choose_compiler() {
    if nightly=$(rustup toolchain list 2>/dev/null | grep -o '^nightly[^ ]*' | head -n 1) && [ -n "$nightly" ]; then
        export RUSTUP_TOOLCHAIN="$nightly"
    else
        export RUSTC_BOOTSTRAP=1
    fi
    # The crate forbids unsafe code, its dependencies are none: what the address sanitizer adds is
    # the memory of the standard library.
    sanitizer=address
    probe=$work/probe.rs
    echo 'fn main() {}' >"$probe"
    if ! rustc -Zsanitizer=address -o "$work/probe" "$probe" 2>/dev/null || ! "$work/probe"; then
        echo "fuzz: no address sanitizer here; going on without"
        sanitizer=none
    fi
}

provide_cargo_fuzz() {
    PATH=$PATH:$work/tools/bin
    export PATH
    if ! command -v cargo-fuzz >/dev/null; then
        echo "fuzz: installing cargo-fuzz $CARGO_FUZZ_VERSION into $work/tools"
        (unset RUSTC_BOOTSTRAP RUSTUP_TOOLCHAIN &&
            cargo install --locked --version "$CARGO_FUZZ_VERSION" --root "$work/tools" \
                --target-dir "$work/tools/build" cargo-fuzz) || fail "cargo-fuzz could not be installed"
        rm -rf "$work/tools/build"
    fi
}

fuzz() {
    corpus=$work/corpus/$1
    crashes=$work/crashes/$1
    rm -rf "$crashes"
    mkdir -p "$corpus" "$crashes"
    echo "fuzz: $1 for $seconds s"
    log=$work/$1.log
    # 4096 octets: several messages, and fast. A run of more than 5 s is a finding too.
    if "$2" -max_total_time="$seconds" -max_len=4096 -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$crashes/" "$corpus" "$work/seeds/$1" >"$log" 2>&1; then
        sed -n 's/^stat::number_of_executed_units: */fuzz: runs: /p; /^Done/s/^/fuzz: /p' "$log"
    else
        grep -h -A 4 -E 'panicked at|^==[0-9]+== *ERROR' "$log" >&2 || tail -n 30 "$log" >&2
        fail "$1 found something: all of it is in $log, the input in $(ls "$crashes"/* 2>/dev/null || echo "no file")"
    fi
}

fail() {
    echo "fuzz: $*" >&2
    exit 1
}

main "$@"
