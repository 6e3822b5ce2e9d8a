#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Lints the RTL as an integrator gets it, from a folder outside of the project: by the file list,
# with -f and with -F, and by the FuseSoC core, with its defaults and with a value for every
# parameter of nested_mmu. A warning is an error.
set -eu
cd "$(dirname "$0")/.."
project=$(pwd)

fail() {
    echo "lint-package: error: $1" >&2
    exit "${2:-1}"
}

found=$(tools/find-verilator.sh) || fail "no usable Verilator: run tools/setup.sh" 2
bin=$(printf '%s\n' "$found" | sed -n 1p)
VERILATOR_ROOT=$(printf '%s\n' "$found" | sed -n 2p)
export VERILATOR_ROOT
fusesoc=${NESTWALK_FUSESOC:-$project/.tools/fusesoc}
[ -d "$fusesoc/fusesoc" ] ||
    fail "FuseSoC is not installed in $fusesoc: run tools/setup.sh --with-fusesoc" 2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM
cd "$work"

# lint OPTION...: lints the file list, by these options, with struct ports and with flat ports.
lint() {
    for top in nested_mmu nested_mmu_flat; do
        out=$("$bin" --lint-only -Wall "$@" --top-module "$top" 2>&1 </dev/null) || {
            printf '%s\n' "$out" >&2
            fail "verilator $* --top-module $top does not work in $work"
        }
        echo "lint-package: $top: $*: clean"
    done
}
lint -F "$project/rtl/nested_mmu.f"
lint "+incdir+$project/rtl" -f "$project/rtl/nested_mmu.f"

# FuseSoC calls the Verilator that it finds on PATH. The user's settings of FuseSoC are not used.
mkdir bin
{
    echo '#!/bin/sh'
    echo "exec '$bin' \"\$@\""
} >bin/verilator
chmod +x bin/verilator
cat >run.py <<'END'
import sys
sys.path.insert(0, sys.argv.pop(1))
from fusesoc.main import main
main()
END

# core NAME [OPTION]...: runs the lint target of the core.
core() {
    name=$1
    shift
    out=$(PATH=$work/bin:$PATH HOME=$work XDG_CONFIG_HOME=$work XDG_DATA_HOME=$work \
        XDG_CACHE_HOME=$work python3 run.py "$fusesoc" --cores-root "$project/rtl" \
        run --build-root "$work/$name" --target lint nestwalk:mmu:nested_mmu "$@" \
        2>&1 </dev/null) || {
        printf '%s\n' "$out" >&2
        fail "FuseSoC's lint target, $name"
    }
    case $out in
    *%Warning* | *%Error*)
        printf '%s\n' "$out" >&2
        fail "FuseSoC's lint target, $name"
        ;;
    esac
}
core defaults
echo "lint-package: FuseSoC's target lint, defaults: clean"

# Each parameter of devices/parameters.toml gets a value other than its default.
set --
samples=$(python3 "$project/tools/generate.py" samples) ||
    fail "tools/generate.py gives no values of parameters" 2
for parameter in $samples; do
    set -- "$@" "--${parameter%=*}" "${parameter#*=}"
done
core parameters "$@"
# Every parameter must have reached Verilator.
[ $# -ge 32 ] || fail "devices/parameters.toml has too few parameters"
for parameter in $samples; do
    grep -rq -e "-G$parameter" parameters --include='*.vc' ||
        fail "FuseSoC passes the parameter ${parameter%=*} to no tool: is it in rtl/nested_mmu.core?"
done
echo "lint-package: FuseSoC's target lint, every parameter: clean"
