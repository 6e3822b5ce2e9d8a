// SPDX-License-Identifier: Apache-2.0
//! The check that a failure is reported with a scenario that fails by itself.
//!
//! `nestwalk run FILE` runs a scenario on a new device. A scenario that failed on a device that had
//! run others before, or that the shrinker has made, is therefore run once more from its file on a
//! new device before it is reported.

use super::shrink;
use super::signature::Signature;
use crate::bench::{Failed, run};
use crate::campaign::Devices;
use crate::dut::DutError;
use crate::scenario::{Scenario, parse, write};

/// A failure with the scenario that is reported for it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The shrunk scenario if it fails by itself; otherwise the scenario that was found.
    pub scenario: Scenario,
    /// The failure of the scenario.
    pub failed: Failed,
    /// The scenario is the shrunk one.
    pub shrunk: bool,
    /// The result of the scenario on a new device, if it did not fail there again.
    pub not_again: Option<String>,
}

/// Makes the result for a scenario that is reported unchanged, and fails again.
impl From<(Scenario, Failed)> for Found {
    fn from((scenario, failed): (Scenario, Failed)) -> Self {
        Self {
            scenario,
            failed,
            shrunk: false,
            not_again: None,
        }
    }
}

/// The result of a scenario when it is run from its file on a new device.
enum Again {
    Fails(Box<Failed>),
    Agrees,
    Refused(String),
}

/// Runs a failing scenario again from its file on a new device, shrinks it if `small`, and returns
/// the smallest scenario that fails on a new device: the shrunk one, or `scenario` itself. If not
/// even `scenario` fails again, the result states so, and `failed` is kept as the evidence.
///
/// `devices` has the device of the scenario.
///
/// # Errors
/// If there is no such device.
pub fn confirm(
    devices: &Devices,
    scenario: Scenario,
    failed: &Failed,
    small: bool,
) -> Result<Found, DutError> {
    let mut dut = devices.fresh(&scenario)?;
    let shrink = |scenario: &Scenario, failed: &Failed| match small {
        true => Some(shrink(&mut dut, scenario, failed)),
        false => None,
    };
    settle(scenario, failed, shrink, |scenario| {
        let parsed = match parse::parse(&write::to_toml(scenario), "scenario.toml") {
            Ok(parsed) => parsed,
            Err(error) => return Ok(Again::Refused(error.to_string())),
        };
        // The device is chosen for the scenario. Its file may not name another.
        let mut dut = devices.fresh(scenario)?;
        Ok(match run(&mut dut, &parsed, &mut ()) {
            Ok(_) => Again::Agrees,
            Err(failed) => Again::Fails(failed),
        })
    })
}

fn settle(
    scenario: Scenario,
    failed: &Failed,
    shrink: impl FnOnce(&Scenario, &Failed) -> Option<(Scenario, Failed)>,
    mut run_again: impl FnMut(&Scenario) -> Result<Again, DutError>,
) -> Result<Found, DutError> {
    let not_again = match run_again(&scenario)? {
        Again::Fails(whole) => {
            if let Some((small, _)) = shrink(&scenario, &whole)
                && let Again::Fails(again) = run_again(&small)?
                && Signature::of(&whole.failure).is_kept_by(&Signature::of(&again.failure))
            {
                return Ok(Found {
                    shrunk: true,
                    ..(small, *again).into()
                });
            }
            return Ok((scenario, *whole).into());
        }
        Again::Agrees => "it agreed".to_owned(),
        Again::Refused(why) => format!("its file is refused: {why}"),
    };
    Ok(Found {
        scenario,
        failed: failed.clone(),
        shrunk: false,
        not_again: Some(not_again),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{Failure, Stats};
    use crate::format::Format;
    use crate::stimulus::{self, Profile};

    fn scenario() -> Scenario {
        let profile = Profile {
            format: Format::Handout,
            rights: false,
        };
        stimulus::scenario(profile, 1, 0, 50)
    }

    fn hang(cycle: u64) -> Failed {
        Failed {
            failure: Failure::Hang {
                cycle,
                op: 0,
                since: 0,
            },
            stats: Stats::default(),
            begun: 0,
            memory: scenario().memory,
        }
    }

    /// Shrinks a scenario to its first operation.
    fn first_op(scenario: &Scenario, _: &Failed) -> Option<(Scenario, Failed)> {
        let mut small = scenario.clone();
        small.ops.truncate(1);
        Some((small, hang(2)))
    }

    fn settled(again: impl Fn(&Scenario) -> Again) -> Found {
        settle(scenario(), &hang(1), first_op, |s| Ok(again(s))).unwrap()
    }

    #[test]
    fn the_shrunk_scenario_is_reported_where_it_fails_again() {
        let found = settled(|_| Again::Fails(Box::new(hang(3))));
        assert!(found.shrunk);
        assert_eq!(found.scenario.ops.len(), 1);
        assert_eq!(found.failed.failure.cycle(), 3);
        assert_eq!(found.not_again, None);
    }

    #[test]
    fn the_unshrunk_scenario_is_reported_where_the_shrunk_one_agrees_or_fails_otherwise() {
        let whole = scenario().ops.len();
        let otherwise = || Failed {
            failure: Failure::Device {
                cycle: 9,
                error: DutError::Stopped("an assertion".to_owned()),
            },
            ..hang(9)
        };
        let small: [&dyn Fn() -> Again; 3] = [
            &|| Again::Agrees,
            &|| Again::Fails(Box::new(otherwise())),
            &|| Again::Refused("line 3".into()),
        ];
        for small in small {
            let found = settled(|s| match s.ops.len() == whole {
                true => Again::Fails(Box::new(hang(3))),
                false => small(),
            });
            assert!(!found.shrunk);
            assert_eq!(found.scenario.ops.len(), whole);
            assert_eq!(found.failed.failure.cycle(), 3);
            assert_eq!(found.not_again, None);
        }
    }

    #[test]
    fn a_failure_that_does_not_come_again_is_kept_and_said_so_and_not_shrunk() {
        let whole = scenario().ops.len();
        let found = settled(|s| match s.ops.len() == whole {
            true => Again::Agrees,
            false => Again::Fails(Box::new(hang(3))),
        });
        assert_eq!(found.scenario.ops.len(), whole);
        assert_eq!(found.failed.failure.cycle(), 1);
        assert_eq!(found.not_again.as_deref(), Some("it agreed"));

        let found = settled(|_| Again::Refused("line 3 has no `gva`".into()));
        let why = found.not_again.unwrap();
        assert_eq!(why, "its file is refused: line 3 has no `gva`");
    }

    #[test]
    fn what_is_not_to_be_shrunk_is_run_again_all_the_same() {
        let again = |_: &Scenario| Ok(Again::Agrees);
        let found = settle(scenario(), &hang(1), |_, _| None, again).unwrap();
        assert!(found.not_again.is_some());
        let again = |_: &Scenario| Ok(Again::Fails(Box::new(hang(7))));
        let found = settle(scenario(), &hang(1), |_, _| None, again).unwrap();
        assert_eq!((found.not_again, found.failed.failure.cycle()), (None, 7));
        assert_eq!(found.scenario.ops, scenario().ops);
    }
}
