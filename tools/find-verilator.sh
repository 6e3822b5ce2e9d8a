#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Finds the Verilator of this project and prints four lines: the binary, the VERILATOR_ROOT to
# run it with, its version as it states it, and where it was found (env, path or tools).
#
#   1. $NESTWALK_VERILATOR, if set and not empty: it must work, and no other one is tried
#   2. `verilator` on PATH, if it states a version from the minimum on
#   3. .tools/verilator, where tools/setup.sh puts the pinned one
#
# build.rs uses this script too. Exit code 1: none found; 2: $NESTWALK_VERILATOR is unusable.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
# Messages are parsed, so they must be in one language.
export LC_ALL=C

minimum=$(sed -n 's/^minimum=\([0-9][0-9]*\.[0-9][0-9]*\)$/\1/p' "$root/tools/verilator-version")
[ -n "$minimum" ] || {
    echo "find-verilator: $root/tools/verilator-version: no line minimum=<major>.<minor>" >&2
    exit 2
}

# probe BINARY NUMBER: sets vroot and version, or sets why and fails. NUMBER is `needed` or `any`:
# the PyPI build has no number, only "rev vUNKNOWN-built<date>".
probe() {
    # A Verilator that is not in its compiled-in folder has its files next to it.
    vroot=$(dirname "$1")/..
    if [ -f "$vroot/include/verilated.cpp" ]; then
        vroot=$(cd "$vroot" && pwd)
    else
        vroot=$("$1" --getenv VERILATOR_ROOT 2>/dev/null) || vroot=
    fi

    version=$(VERILATOR_ROOT=$vroot "$1" --version 2>&1) || {
        why="it does not run: $(printf '%s\n' "$version" | head -n 1)"
        return 1
    }
    version=$(printf '%s\n' "$version" | sed -n '1s/^ *//p')
    case $version in
    "Verilator "[0-9]*.[0-9]*)
        number=$(printf '%s\n' "$version" | sed 's/^Verilator \([0-9]*\)\.\([0-9]*\).*/\1 \2/')
        # Another major version may have another interface, so the major version must be the same.
        if [ "${number% *}" -ne "${minimum%.*}" ] || [ "${number#* }" -lt "${minimum#*.}" ]; then
            why="it is $version"
            return 1
        fi
        ;;
    *Verilator* | *vUNKNOWN*)
        if [ "$2" = needed ]; then
            why="it states no version number"
            return 1
        fi
        ;;
    *)
        why="it is no Verilator: its --version says '$version'"
        return 1
        ;;
    esac

    if [ ! -f "$vroot/include/verilated.cpp" ]; then
        why="its run-time sources are missing: no include/verilated.cpp in ${vroot:-its folder}"
        return 1
    fi
}

found() {
    printf '%s\n' "$1" "$vroot" "$version" "$2"
    exit 0
}

if [ -n "${NESTWALK_VERILATOR-}" ]; then
    if ! bin=$(command -v -- "$NESTWALK_VERILATOR"); then
        why="no such program"
    elif probe "$bin" any; then
        found "$bin" env
    fi
    echo "NESTWALK_VERILATOR=$NESTWALK_VERILATOR: $why" >&2
    echo "  It must name a Verilator $minimum or newer that runs." \
        "Unset it to use the one on PATH or in .tools." >&2
    exit 2
fi

note=
if bin=$(command -v verilator); then
    if probe "$bin" needed; then
        found "$bin" path
    fi
    note="passed over $bin: $why (wanted: Verilator $minimum or newer)"
fi

bin=$root/.tools/verilator/verilator/bin/verilator_bin
if [ -x "$bin" ] && probe "$bin" any; then
    found "$bin" tools
fi

[ -z "$note" ] || echo "$note" >&2
exit 1
