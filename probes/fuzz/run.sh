#!/bin/sh
# Fuzzes the dissector:  run.sh [SECONDS] [TARGET...]   as ipfix/fuzz/run.sh, which says more.
#
# Seeds are made from the frames of probes/tests/frames, and from the captures in `pcaps` of the
# folder that EBPFIX_SHARED names (else ../shared beside the project).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
exec env FUZZ_CRATE="$here" "$here/../../ipfix/fuzz/run.sh" "$@"
