// SPDX-License-Identifier: Apache-2.0
//! Devices drawn from the whole space of legal parameters.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::Draw;
use crate::dut::variants::{SecondTlb, Variant, WalkCacheEntries};
use crate::format::Format;

/// The most devices of a campaign.
pub const MOST_DEVICES: usize = 64;

/// `count` devices of a format, no two of them the same, drawn by a seed. Fewer devices of the same
/// seed are the first of more. `every_mode`: each device has every mode of the format, and Svadu.
///
/// # Panics
/// If more than [`MOST_DEVICES`] are asked for.
pub fn devices(format: Format, seed: u64, count: usize, every_mode: bool) -> Vec<&'static Variant> {
    assert!(
        count <= MOST_DEVICES,
        "there are {MOST_DEVICES} devices at most"
    );
    let mut first = Xoshiro256PlusPlus::seed_from_u64(seed);
    let key = first.next_u64() ^ (format as u64 + 1).wrapping_mul(0x9FB2_1C65_1E98_DF25);
    let mut draw = Draw(Xoshiro256PlusPlus::seed_from_u64(key));
    let mut devices: Vec<&'static Variant> = Vec::new();
    while devices.len() < count {
        let drawn = draw_device(format, &mut draw, every_mode);
        let device = drawn.interned().expect("what is drawn is legal");
        if !devices.contains(&device) {
            devices.push(device);
        }
    }
    devices
}

/// A device of legal parameters. Small numbers are more likely: they show more of what goes wrong,
/// and compile faster.
fn draw_device(format: Format, draw: &mut Draw, every_mode: bool) -> Variant {
    let slots = match draw.percent(50) {
        true => 2 + draw.below(2) as u32,
        false => 1 + draw.below(16) as u32,
    };
    let tlb_entries = *draw.of(&[2, 2, 4, 4, 8, 16, 32]);
    let mut entries = || {
        if format.has_walk_caches() {
            *draw.of(&[0, 0, 2, 2, 4, 8])
        } else {
            0
        }
    };
    let walk_cache_entries = WalkCacheEntries {
        guest: entries(),
        host: entries(),
        nested: entries(),
    };
    let read_bypass = draw.percent(50);
    let max_levels = match format {
        Format::Rv64 if !every_mode => 3 + draw.below(3) as u32,
        _ => 5,
    };
    let svadu = !format.updates_entries() || every_mode || draw.percent(75);
    let tlb2 = draw.percent(50).then(|| SecondTlb {
        sets: *draw.of(&[2, 4, 8, 16]),
        ways: *draw.of(&[2, 4]),
        superpages: match format.has_superpages() {
            true => *draw.of(&[0, 2, 4, 8]),
            false => 0,
        },
    });
    Variant {
        name: "",
        format: format as u32,
        slots,
        tlb_entries,
        walk_cache_entries,
        read_bypass,
        max_levels,
        svadu,
        tlb2,
        checked: draw.percent(50),
        foreign: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_devices_are_legal_differ_and_follow_from_the_seed() {
        for format in Format::ALL {
            let many = devices(format, 1, MOST_DEVICES, false);
            assert!(many.iter().all(|device| device.paging_format() == format));
            for (number, device) in many.iter().enumerate() {
                assert!(!many[..number].contains(device));
                assert_eq!(Variant::parse(device.name), Ok(*device));
            }
            assert_eq!(devices(format, 1, 5, false), many[..5]);
            assert_ne!(devices(format, 2, 5, false), many[..5]);
            let every_mode = devices(format, 1, 20, true);
            assert!(
                every_mode
                    .iter()
                    .all(|device| device.max_levels == 5 && device.svadu)
            );
        }
    }

    #[test]
    fn drawn_devices_have_what_no_device_of_the_table_has() {
        let drawn = devices(Format::Rv64, 1, MOST_DEVICES, false);
        let some = |is_it: &dyn Fn(&Variant) -> bool| drawn.iter().any(|device| is_it(device));
        assert!(some(&|device| device.slots == 2) && some(&|device| device.slots == 3));
        assert!(some(&|device| device.max_levels == 4));
        assert!(some(&|device| device.read_bypass && device.tlb2.is_some()));
        let only_one = |device: &Variant| {
            let WalkCacheEntries {
                guest,
                host,
                nested,
            } = device.walk_cache_entries;
            [guest, host, nested].iter().filter(|&&n| n > 0).count() == 1
        };
        assert!(some(&only_one));
    }
}
