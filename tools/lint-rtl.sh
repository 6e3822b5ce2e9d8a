#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs Verilator's lint over the RTL with every warning on, under each parameter set of
# tools/rtl-params. There is no waiver file: a warning is an error.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "lint: error: $1" >&2
    exit 2
}

[ -f rtl/nested_mmu.f ] || fail "rtl/nested_mmu.f is missing: it lists the RTL files"
found=$(tools/find-verilator.sh) || fail "no usable Verilator: run tools/setup.sh"
bin=$(printf '%s\n' "$found" | sed -n 1p)
VERILATOR_ROOT=$(printf '%s\n' "$found" | sed -n 2p)
export VERILATOR_ROOT

failed=0
while read -r set; do
    case $set in
    '' | '#'*) continue ;;
    esac
    params=
    for param in $set; do
        params="$params -G$param"
    done
    # The top of the models has nested_mmu_flat in it, and that nested_mmu.
    # shellcheck disable=SC2086 # one word a parameter
    if out=$("$bin" --lint-only -Wall -F rtl/nested_mmu.f sim/tb_top.sv --top-module tb_top \
        $params 2>&1 </dev/null); then
        result=clean
    else
        result=FAILED
        failed=1
    fi
    # Removes the statistics that newer versions print.
    printf '%s\n' "$out" | sed '/^$/d; /^- /d' >&2
    echo "lint: $set: $result"
done <tools/rtl-params
exit "$failed"
