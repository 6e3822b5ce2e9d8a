// SPDX-License-Identifier: Apache-2.0
//! Random draws for the timing of memory and requester. Each draw is a hash of its key, not the
//! next number of a sequence.
//!
//! The key is the seed, the stream, and the cycle since the last restart; for a memory request also
//! its address. [`crate::shrink`] needs this: if an operation is removed from a scenario, the draws
//! of all other cycles stay the same. A restart is the start of a run, a reset, or an
//! [`Op::Timing`](crate::scenario::Op::Timing).

/// The increment of SplitMix64: 2^64 divided by the golden ratio, odd.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// log2 of the number of cycles for which the draws of a memory address stay the same. So a read
/// that is granted a few cycles earlier or later mostly keeps its latency.
const WINDOW: u32 = 5;

/// A stream of draws. Draws of different streams are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Memory is busy, and accepts no request in a cycle.
    MemoryBusy,
    /// The requester is busy, and accepts no response in a cycle.
    ResponseBusy,
    /// The requester begins no request in a cycle.
    RequestIdle,
    /// Cycles from the grant of a memory request to its data.
    Latency,
    /// A memory request is answered with an error.
    Error,
    /// The data that memory returns together with an error.
    Beside,
}

impl Stream {
    /// The number of streams.
    const COUNT: usize = Stream::Beside as usize + 1;
}

/// The draws of one seed since one restart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draws {
    /// A key for each stream.
    keys: [u64; Stream::COUNT],
    /// The cycle of the restart.
    since: u64,
}

impl Draws {
    /// The draws of a seed, restarted in a cycle.
    pub fn new(seed: u64, since: u64) -> Self {
        let mut keys = [0; Stream::COUNT];
        for (stream, key) in (1u64..).zip(&mut keys) {
            *key = mix(mix(seed).wrapping_add(stream.wrapping_mul(GOLDEN)));
        }
        Self { keys, since }
    }

    /// Restarts the draws in a cycle. The cycle `n` after the restart has the same draws as the
    /// cycle `n` after any other restart with the same seed.
    pub fn restart(&mut self, since: u64) {
        self.since = since;
    }

    /// Returns the draw of a cycle.
    #[inline]
    pub fn in_cycle(&self, stream: Stream, cycle: u64) -> Draw {
        let cycle = cycle.wrapping_sub(self.since);
        Draw(mix(
            self.keys[stream as usize].wrapping_add(cycle.wrapping_mul(GOLDEN))
        ))
    }

    /// Returns the draw of a cycle. The draw is the same in `run` consecutive cycles. If `run` is 0
    /// or 1, each cycle has its own draw.
    #[inline]
    pub fn in_spell(&self, stream: Stream, cycle: u64, run: u32) -> Draw {
        let run = u64::from(run);
        let late = match run {
            0 | 1 => 0,
            _ => cycle.wrapping_sub(self.since) % run,
        };
        self.in_cycle(stream, cycle - late)
    }

    /// Returns the draw of a memory address in a cycle. The draw is the same in all cycles of a
    /// window of 2^[`WINDOW`] cycles.
    #[inline]
    pub fn of_address(&self, stream: Stream, address: u64, cycle: u64) -> Draw {
        let window = cycle.wrapping_sub(self.since) >> WINDOW;
        let address = mix(self.keys[stream as usize].wrapping_add(address.wrapping_mul(GOLDEN)));
        Draw(mix(address.wrapping_add(window.wrapping_mul(GOLDEN))))
    }
}

/// 64 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Draw(u64);

impl Draw {
    /// Returns a number in `0..n`, uniformly distributed.
    #[inline]
    pub fn below(self, n: u32) -> u32 {
        (((self.0 >> 32) * u64::from(n)) >> 32) as u32
    }

    /// Returns all 64 bits.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Returns true with a probability of `percent` %.
    #[inline]
    pub fn chance(self, percent: u32) -> bool {
        self.below(100) < percent
    }
}

/// The output function of SplitMix64: a bijection in which every bit of the result depends on every
/// bit of the argument.
#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAMS: [Stream; Stream::COUNT] = [
        Stream::MemoryBusy,
        Stream::ResponseBusy,
        Stream::RequestIdle,
        Stream::Latency,
        Stream::Error,
        Stream::Beside,
    ];

    #[test]
    fn a_percentage_is_drawn_as_often_as_it_says_in_every_stream() {
        for stream in STREAMS {
            for seed in [0, 1, u64::MAX] {
                let draws = Draws::new(seed, 17);
                for percent in [1, 25, 70, 90] {
                    let drawn = (17..100_017)
                        .filter(|&cycle| draws.in_cycle(stream, cycle).chance(percent))
                        .count() as f64;
                    let expected = 1000.0 * f64::from(percent);
                    let deviation =
                        (1000.0 * f64::from(percent) * f64::from(100 - percent) / 100.0).sqrt();
                    assert!(
                        (drawn - expected).abs() < 5.0 * deviation,
                        "{stream:?}, {percent} %: {drawn}"
                    );
                }
                assert!((0..1000).all(|cycle| !draws.in_cycle(stream, cycle).chance(0)));
            }
        }
    }

    #[test]
    fn neighbouring_cycles_streams_seeds_and_addresses_draw_independently() {
        // Agreement of two draws below 2, over many keys, is as frequent as chance.
        let agree = |a: &dyn Fn(u64) -> Draw, b: &dyn Fn(u64) -> Draw| {
            let same = (0..40_000)
                .filter(|&key| a(key).below(2) == b(key).below(2))
                .count();
            assert!((19_500..20_500).contains(&same), "{same}");
        };
        let draws = Draws::new(5, 0);
        let other = Draws::new(6, 0);
        let busy = |cycle| draws.in_cycle(Stream::MemoryBusy, cycle);
        agree(&busy, &|cycle| {
            draws.in_cycle(Stream::MemoryBusy, cycle + 1)
        });
        agree(&busy, &|cycle| draws.in_cycle(Stream::ResponseBusy, cycle));
        agree(&busy, &|cycle| other.in_cycle(Stream::MemoryBusy, cycle));
        let latency = |key| draws.of_address(Stream::Latency, key * 8, 0);
        agree(&latency, &|key| {
            draws.of_address(Stream::Latency, key * 8 + 8, 0)
        });
        agree(&latency, &|key| {
            draws.of_address(Stream::Latency, key * 8, 32)
        });
        agree(&latency, &|key| draws.of_address(Stream::Error, key * 8, 0));
    }

    #[test]
    fn a_draw_depends_on_cycles_since_the_restart_alone() {
        let first = Draws::new(9, 0);
        let mut later = Draws::new(9, 0);
        later.restart(12_345);
        for cycle in 0..200 {
            for stream in STREAMS {
                assert_eq!(
                    first.in_cycle(stream, cycle),
                    later.in_cycle(stream, 12_345 + cycle)
                );
                assert_eq!(
                    first.of_address(stream, 0x1000, cycle),
                    later.of_address(stream, 0x1000, 12_345 + cycle)
                );
            }
        }
    }

    #[test]
    fn the_draws_of_an_address_change_with_the_window_and_not_within_it() {
        let draws = Draws::new(9, 100);
        let drawn: Vec<_> = (100..100 + 64 * 32)
            .map(|cycle| draws.of_address(Stream::Latency, 0x2008, cycle).0)
            .collect();
        let windows: Vec<_> = drawn.chunks(32).map(|window| window[0]).collect();
        assert!(
            drawn
                .chunks(32)
                .all(|window| window.iter().all(|draw| *draw == window[0]))
        );
        assert!(windows.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
