#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# After an edit: builds the devices that the edited files belong to, quickly, and runs 100,000
# random accesses of each of their profiles. `make try` calls it.
#
#   profile=P [device=D]  this profile alone, on this device
#   file=F                as if only F were edited
#
# Otherwise the edited files are those that differ from the last commit. Without a commit it tries
# all profiles.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "try: error: $1" >&2
    exit 2
}

every="handout handout-rights classic32 classic32-rights rv32 rv64"
file=${file-}
profile=${profile-}
device=${device-}
target=${CARGO_TARGET_DIR:-target}
cargo=${CARGO:-cargo}
[ -z "$device" ] || [ -n "$profile" ] || profile=$(printf '%s\n' "$device" | sed 's/[_:].*//')

# profiles_of FILE: prints profile:device pairs, without a device for the profile's default device.
profiles_of() {
    case $1 in
    # Only these devices have a second-level TLB.
    rtl/tlb2.sv | rtl/ram_1r1w.sv | golden/src/occupancy/l2_tlb.rs)
        echo classic32:classic32_l2 classic32-rights:classic32_l2 rv32:rv32_l2 rv64:rv64_l2
        ;;
    # Only RISC-V has walk caches.
    rtl/walk_cache.sv | rtl/walk_caches.sv | golden/src/occupancy/page_walk_cache/*)
        echo rv32: rv64:
        ;;
    rtl/*riscv* | golden/*riscv* | src/*riscv*) echo rv32: rv64: ;;
    rtl/*handout* | golden/*handout* | src/*handout*)
        echo handout: handout-rights: classic32: classic32-rights:
        ;;
    rtl/*.sv | rtl/*.svh | sim/* | golden/* | src/* | build.rs | Cargo.toml | Cargo.lock)
        for one in $every; do echo "$one:"; done
        ;;
    esac
}

pairs=
add() { # PAIR...
    for pair in "$@"; do
        case " $pairs " in
        *" $pair "*) ;;
        *) pairs="$pairs $pair" ;;
        esac
    done
}

if [ -n "$profile" ]; then
    add "$profile:$device"
elif [ -n "$file" ]; then
    [ -e "$file" ] || fail "the file $file does not exist"
    # shellcheck disable=SC2046 # one word a pair
    add $(profiles_of "${file#./}")
    [ -n "$pairs" ] ||
        fail "$file belongs to no profile: name a file of rtl/, sim/, golden/ or src/"
    echo "try: $file"
else
    edited=$(git status --porcelain --no-renames --untracked-files=all 2>/dev/null |
        cut -c4-) || edited=
    for one in $edited; do
        now=$(profiles_of "$one")
        [ -z "$now" ] || echo "try: edited: $one"
        # shellcheck disable=SC2086 # one word a pair
        add $now
    done
    if [ -z "$pairs" ]; then
        echo "try: no file of rtl/, sim/, golden/ or src/ differs from the last commit:" \
            "every profile"
        # shellcheck disable=SC2046 # one word a pair
        add $(profiles_of rtl/nested_mmu.sv)
    fi
fi

devices=
for pair in $pairs; do
    name=${pair#*:}
    [ -n "$name" ] || name=$(printf '%s\n' "${pair%%:*}" | sed 's/-.*//')
    case " $devices " in
    *" $name "*) ;;
    *) devices="$devices $name" ;;
    esac
done
devices=${devices# }

echo "try: devices: $devices"
# shellcheck disable=SC2086 # CARGO may be several words
NESTWALK_PROGRESS=9 NESTWALK_DEVICES=$devices NESTWALK_MODEL_OPT_LEVEL=1 \
    $cargo build --profile try --locked 9>&2
for pair in $pairs; do
    name=${pair#*:}
    [ -n "$name" ] || name=$(printf '%s\n' "${pair%%:*}" | sed 's/-.*//')
    "$target/try/nestwalk" fuzz --profile "${pair%%:*}" --device "$name" --count "${count:-100000}"
done
