#!/bin/sh
# Runs the end-to-end tests, built before by `cargo test -p ebpfix-tests --no-run`. Needs root.
#
# Those that emulate machines keep a processor busy for minutes and care little when they get it; the others
# wait for timers most of their time, and care. So the first run beside the second, and give way to them.
set -eu

MACHINES="install kernels"
# Seconds. Each test has a limit of its own: this is for what hangs all the same.
LIMIT=2700

main() {
    cd "$(dirname "$0")/.."
    output=$(mktemp)
    trap 'end_machines; rm -f "$output"' EXIT
    trap 'exit 130' INT TERM
    # shellcheck disable=SC2046 # one word for each option
    timeout --kill-after=10 "$LIMIT" nice -n 5 \
        cargo test -p ebpfix-tests --no-fail-fast $(machines) -- --test-threads=1 >"$output" 2>&1 &
    machines=$!
    status=0
    # shellcheck disable=SC2046
    cargo test -p ebpfix-tests --no-fail-fast --lib $(others) -- --test-threads=2 || status=$?
    wait_for_machines || status=$?
    exit "$status"
}

wait_for_machines() {
    start=$(date +%s)
    result=0
    wait "$machines" || result=$?
    machines=
    echo "--- emulated machines; waited for another $(($(date +%s) - start)) s:"
    cat "$output"
    [ "$result" -ne 124 ] || echo "--- emulated machines: not done within $LIMIT s"
    return "$result"
}

end_machines() {
    [ -z "${machines:-}" ] || kill "$machines" 2>/dev/null || true
}

machines() {
    for name in $MACHINES; do
        echo "--test $name"
    done
}

others() {
    for file in tests/tests/*.rs tests/tests/*/main.rs; do
        name=${file#tests/tests/}
        name=${name%/main.rs}
        name=${name%.rs}
        case " $MACHINES " in
        *" $name "*) ;;
        *) echo "--test $name" ;;
        esac
    done
}

main "$@"
