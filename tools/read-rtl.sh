#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A second front end, slang inside Yosys, reads the RTL under each parameter set of
# tools/rtl-params: once all of it, assertions too, and once down to a netlist, which must have no
# latch, no combinational loop and no net with two drivers or none. A warning is an error.
set -eu
cd "$(dirname "$0")/.."

[ -f rtl/nested_mmu.f ] || {
    echo "rtl-read: error: rtl/nested_mmu.f is missing: it lists the RTL files" >&2
    exit 2
}

# yosys COMMANDS: its output is kept for a failure, where one mistake can be a page for each bit.
yosys() {
    result=0
    out=$(tools/yosys.sh -q -p "$1" 2>&1 </dev/null) || result=$?
    [ "$result" != 0 ] || return 0
    printf '%s\n' "$out" | head -n 20 >&2
    lines=$(printf '%s\n' "$out" | wc -l)
    [ "$lines" -le 20 ] || echo "... $((lines - 20)) more lines" >&2
    # A missing Yosys is not a finding about the RTL.
    [ "$result" != 2 ] || exit 2
    return 1
}

failed=0
while read -r set; do
    case $set in
    '' | '#'*) continue ;;
    esac
    params=
    for param in $set; do
        # slang does not accept a number for an enumeration.
        case $param in
        Format=*) param="Format=nested_mmu_pkg::format_e'(${param#*=})" ;;
        esac
        params="$params -G $param"
    done

    # -j 1: WebAssembly has no threads.
    read="read_slang -j 1 -W error --top nested_mmu_flat $params -F rtl/nested_mmu.f"
    if yosys "$read --ast-compilation-only --no-synthesis-define" &&
        yosys "
            $read --ignore-assertions
            hierarchy -check -top nested_mmu_flat
            proc
            select -assert-none t:\$dlatch t:\$adlatch t:\$dlatchsr
            check -assert
        "; then
        echo "rtl-read: $set: clean"
    else
        echo "rtl-read: $set: FAILED"
        failed=1
    fi
done <tools/rtl-params
exit "$failed"
