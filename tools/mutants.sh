#!/bin/sh
# Plants each bug of tests/mutants/*.patch (or of the patches named) into a copy of the project, and looks whether a random
# campaign finds it and whether the scenario that it leaves fails again by itself.
#
# usage: tools/mutants.sh [PATCH...]      NESTWALK_COUNT: accesses for each profile (default 100000)
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
count=${NESTWALK_COUNT:-100000}
work=$root/target/mutants
tree=$work/tree
mkdir -p "$work"
[ $# -gt 0 ] || set -- "$root"/tests/mutants/*.patch

survived=0
killed=0
printf '%-42s %-16s %9s  %-42s %5s  %s\n' mutant profile accesses 'found by' ops again
for patch in "$@"; do
    name=$(basename "$patch" .patch)
    mkdir -p "$tree"
    # Whatever is unchanged keeps its time, so that only what the patch reaches is built again.
    (cd "$root" && tar cf - Cargo.toml Cargo.lock build.rs benches rtl sim src tools) |
        (cd "$tree" && rm -rf rtl && tar xf -)
    [ -e "$tree/.tools" ] || ln -s "$root/.tools" "$tree/.tools"
    if ! patch -s -p1 -d "$tree" <"$patch"; then
        echo "tools/mutants.sh: $patch does not apply to rtl/; make it anew" >&2
        exit 2
    fi
    # The first line says whose bug it is; only devices that have it are built.
    case $(head -n 1 "$patch") in
    Handout:*) profiles="handout handout-rights classic32 classic32-rights" formats="handout classic32" ;;
    RISC-V:*) profiles="rv64" formats="rv64" ;;
    *) profiles="classic32-rights rv64" formats="classic32 rv64" ;;
    esac
    # A model's speed matters here, the bench's own does not: it would be optimised anew for every patch.
    (cd "$tree" && CARGO_TARGET_DIR="$work/target" CARGO_PROFILE_RELEASE_OPT_LEVEL=1 NESTWALK_FORMATS="$formats" \
        cargo build --release --locked --quiet)
    nestwalk=$work/target/release/nestwalk

    found=
    tried=0
    for profile in $profiles; do
        out=$work/out/$name
        rm -rf "$out"
        code=0
        "$nestwalk" fuzz --profile "$profile" --seed 1 --count "$count" -o "$out" --json >"$work/result.json" || code=$?
        set_of() { python3 -c "import json,sys; r=json.load(open(sys.argv[1])); print($1)" "$work/result.json"; }
        tried=$((tried + $(set_of "r['stats']['accesses']")))
        if [ "$code" -eq 1 ] || [ "$code" -eq 3 ]; then
            again=0
            "$nestwalk" run "$(set_of "r['failure']['folder']")/scenario.toml" >/dev/null || again=$?
            found=$(set_of "r['failure']['shrunk'].get('check') or r['failure']['shrunk']['kind']")
            printf '%-42s %-16s %9s  %-42s %5s  exit %s\n' "$name" "$profile" "$tried" "$found" \
                "$(set_of "r['failure']['ops']")" "$again"
            [ "$again" -eq "$code" ] || found=
            break
        elif [ "$code" -ne 0 ]; then
            echo "tools/mutants.sh: fuzz ended with exit code $code" >&2
            exit 2
        fi
    done
    if [ -n "$found" ]; then
        killed=$((killed + 1))
    else
        survived=$((survived + 1))
        printf '%-42s %-16s %9s  SURVIVED\n' "$name" all "$tried"
    fi
done
echo "$killed killed, $survived survived"
[ "$survived" -eq 0 ]
