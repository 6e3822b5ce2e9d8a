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

# lint OPTION...: the file list, by these options.
lint() {
    out=$("$bin" --lint-only -Wall "$@" --top-module nested_mmu 2>&1 </dev/null) || {
        printf '%s\n' "$out" >&2
        fail "verilator $* does not work in $work"
    }
    echo "lint-package: $*: clean"
}
lint -F "$project/rtl/nested_mmu.f"
lint "+incdir+$project/rtl" -f "$project/rtl/nested_mmu.f"

# FuseSoC calls the Verilator that it finds on PATH. Its settings of the user stay out.
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

# core NAME [OPTION]...: the lint target of the core.
core() {
    name=$1
    shift
    out=$(PATH=$work/bin:$PATH HOME=$work XDG_CONFIG_HOME=$work XDG_DATA_HOME=$work \
        XDG_CACHE_HOME=$work python3 run.py "$fusesoc" --cores-root "$project/rtl" \
        run --build-root "$work/$name" --target lint nestwalk:mmu:nested_mmu "$@" 2>&1 </dev/null) || {
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

# Each value is another one than the default.
set --
for parameter in Format=3 TlbEntries=8 WalkSlots=2 MissEntries=6 IdWidth=6 AsidWidth=9 VmidWidth=7 \
    MaxLevels=3 Svadu=0 GuestCacheEntries=2 HostCacheEntries=4 NestedTlbEntries=8 ReadBypass=1 \
    Tlb2Sets=4 Tlb2Ways=2 Tlb2Superpages=2; do
    set -- "$@" "--${parameter%=*}" "${parameter#*=}"
done
core parameters "$@"
# Every parameter of nested_mmu.sv has reached Verilator.
sed -n 's/^  parameter .* \([A-Za-z0-9][A-Za-z0-9]*\) *= .*/\1/p' "$project/rtl/nested_mmu.sv" >parameters.txt
[ "$(wc -l <parameters.txt)" -ge 16 ] || fail "no parameters found in rtl/nested_mmu.sv"
while read -r parameter; do
    grep -rq -e "-G$parameter=" parameters --include='*.vc' ||
        fail "rtl/nested_mmu.core, or this script, lacks the parameter $parameter of rtl/nested_mmu.sv"
done <parameters.txt
echo "lint-package: FuseSoC's target lint, every parameter: clean"
