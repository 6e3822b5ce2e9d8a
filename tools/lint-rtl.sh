#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs Verilator's lint over the RTL with every warning on, under each parameter set of
# tools/rtl-params, and over the socket adapters. There is no waiver file: a warning is an error.
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

# The socket adapters, with an entry as wide as the bus and on a wider one, and for RV32.
for file in sim/socket/*.sv; do
    module=$(basename "$file" .sv)
    case $module in
    csr_images) sets='Rv32=0 Rv32=1' ;;
    data_lanes) sets='DataWidth=64 DataWidth=128 PteWidth=32' ;;
    fence_pulse) sets='BusyAfter=1 BusyAfter=3' ;;
    hold_request | comb_hit) sets='ReqWidth=1 ReqWidth=200' ;;
    *) sets='DataWidth=64 DataWidth=128 DataWidth=64,PteWidth=32,HpaWidth=34' ;;
    esac
    for set in $sets; do
        # shellcheck disable=SC2046 # one word a parameter
        if out=$("$bin" --lint-only -Wall -y sim/socket "$file" --top-module "$module" \
            $(printf '%s\n' "$set" | tr , '\n' | sed 's/^/-G/') 2>&1 </dev/null); then
            result=clean
        else
            result=FAILED
            failed=1
        fi
        printf '%s\n' "$out" | sed '/^$/d; /^- /d' >&2
        echo "lint: $module $set: $result"
    done
done
exit "$failed"
