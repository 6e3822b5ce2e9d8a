// SPDX-License-Identifier: Apache-2.0
//! The project's own devices, of which the checks see less and less.

use std::sync::atomic::AtomicBool;

use nestwalk::bench::Failure;
use nestwalk::campaign::{Campaign, Devices, Outcome};
use nestwalk::dut::description::Visibility;
use nestwalk::shard::Shard;
use nestwalk::stimulus::Profile;

fn campaign(profile: Profile, seed: u64, count: u64, visibility: Visibility) -> Outcome {
    let campaign = Campaign {
        profile,
        seed,
        count,
        jobs: 1,
        coverage: false,
        lean: None,
        device: None,
        devices: Vec::new(),
        visibility,
    };
    let interrupt = AtomicBool::new(false);
    let at_end = |_: &mut Devices| Ok(());
    campaign
        .run_shard(
            Shard::WHOLE,
            &Devices::default,
            &|_| {},
            &interrupt,
            &at_end,
        )
        .unwrap()
}

/// Runs a campaign of each profile, in which nothing may fail.
fn agrees(visibility: Visibility) {
    for profile in Profile::ALL {
        let outcome = campaign(profile, 5, 4000, visibility);
        let failed = outcome.failed.as_ref().map(|(_, failed)| &failed.failure);
        if let Some(Failure::Mismatch(mismatch)) = failed {
            panic!("{profile} at {visibility}: {mismatch:?}");
        }
        assert!(failed.is_none(), "{profile} at {visibility}: {failed:?}");
        assert!(outcome.stats.accesses >= 4000, "{profile}");
    }
}

#[test]
fn campaigns_agree_by_the_ports_alone() {
    agrees(Visibility::Ports);
}

#[test]
fn campaigns_agree_by_attributed_reads() {
    agrees(Visibility::Attributed);
}

#[test]
fn campaigns_agree_by_requests() {
    agrees(Visibility::Requests);
}

#[test]
fn a_device_does_the_same_whatever_the_checks_see() {
    let stats = |visibility| {
        let stats = campaign(Profile::ALL[0], 3, 2000, visibility).stats;
        (
            stats.cycles,
            stats.accesses,
            stats.reads,
            stats.faults,
            stats.replays,
        )
    };
    let all = stats(Visibility::Steps);
    for visibility in Visibility::ALL {
        assert_eq!(stats(visibility), all, "{visibility}");
    }
}
