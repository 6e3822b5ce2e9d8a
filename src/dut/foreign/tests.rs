// SPDX-License-Identifier: Apache-2.0
//! Tests of the stimulus for a foreign device, with the MMU of `examples/classic_mmu`.

use super::*;
use crate::scenario::{Scenario, abilities};
use crate::stimulus::{self, Profile};

const RV64: Profile = Profile::ALL[5];

fn classic() -> &'static Variant {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/classic_mmu/classic_mmu.toml");
    load(absolute(&path)).unwrap().variant
}

fn scenario(variant: &'static Variant, number: u64) -> Scenario {
    stimulus::scenario_toward(RV64, 1, number, 500, &[], Some(variant))
}

#[test]
fn the_stimulus_for_a_device_needs_none_of_the_abilities_that_it_does_not_have() {
    let variant = classic();
    let description = variant.description();
    for number in 0..40 {
        let scenario = scenario(variant, number);
        assert_eq!(abilities::missing(&scenario, description), None);
        assert!(
            !scenario.contexts.is_empty() && scenario.ops.len() > 400,
            "{number}"
        );
    }
}
