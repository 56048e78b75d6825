//! The tests: what either part does, and the result that is looked for.

use super::{Finding, Observed};

/// The memory of a test's two locations, and the invocations that share them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Atomics in storage memory; the parts run in different workgroups.
    Storage,
    /// Atomics in storage memory at one location that the parts compute in two ways.
    OneLocation,
    /// Plain variables in storage memory; the parts run in one workgroup with `storageBarrier` between.
    StorageBarrier,
    /// Plain variables in workgroup memory; the parts run in one workgroup with `workgroupBarrier` between.
    WorkgroupBarrier,
}

/// One litmus test.
///
/// The WGSL of a part calls `load(i)`, `store(i, value)`, `exchange(i, value)` and `keep(instance, 0 or 1, value)`. The
/// first part knows its instance as `a` and its locations as `ax` and `ay`, the second as `b`, `bx` and `by`.
pub(super) struct Test {
    pub name: &'static str,
    /// The result that is looked for: r0 and r1 are what was read, x and y the last values.
    pub condition: &'static str,
    /// The model allows the condition.
    pub allowed: bool,
    pub place: Place,
    /// The first part, before the barrier and after it; all of it before where there is none.
    pub first: [&'static str; 2],
    /// The second part.
    pub second: [&'static str; 2],
    pub holds: fn(&Observed) -> bool,
}

impl Test {
    /// Judges the result of an instance.
    pub fn judge(&self, observed: &Observed) -> Finding {
        match ((self.holds)(observed), self.allowed) {
            (false, _) => Finding::Ordinary,
            (true, true) => Finding::Weak,
            (true, false) => Finding::Forbidden,
        }
    }
}

/// All tests.
pub(super) const ALL: &[Test] = &[
    Test {
        name: "coherence of two reads",
        condition: "r0 = 1 and r1 = 0: the later read sees the older value",
        allowed: false,
        place: Place::OneLocation,
        first: ["keep(a, 0u, load(ax)); keep(a, 1u, load(ay));", ""],
        second: ["store(bx, 1u);", ""],
        holds: |seen| seen.read == [1, 0],
    },
    Test {
        name: "coherence of two writes",
        condition: "x = 1: the earlier write of one invocation is the last",
        allowed: false,
        place: Place::OneLocation,
        first: ["store(ax, 1u); store(ay, 2u);", ""],
        second: ["keep(b, 0u, load(bx));", ""],
        holds: |seen| seen.last[0] == 1,
    },
    Test {
        name: "coherence of a write and a read",
        condition: "r0 = 0, or r0 = 2 and x = 1: a read passes over the own write, or a write over what was read",
        allowed: false,
        place: Place::OneLocation,
        first: ["store(ax, 1u); keep(a, 0u, load(ay));", ""],
        second: ["store(bx, 2u);", ""],
        holds: |seen| seen.read[0] == 0 || seen.read[0] == 2 && seen.last[0] == 1,
    },
    Test {
        name: "coherence of a read and a write",
        condition: "r0 = 1, or r0 = 2 and x = 2: a read sees a later write",
        allowed: false,
        place: Place::OneLocation,
        first: ["keep(a, 0u, load(ax)); store(ay, 1u);", ""],
        second: ["store(bx, 2u);", ""],
        holds: |seen| seen.read[0] == 1 || seen.read[0] == 2 && seen.last[0] == 2,
    },
    Test {
        name: "atomicity",
        condition: "r0 = 0 and x = 1: a write was lost within an exchange",
        allowed: false,
        place: Place::OneLocation,
        first: ["keep(a, 0u, exchange(ax, 1u));", ""],
        second: ["store(by, 2u);", ""],
        holds: |seen| seen.read[0] == 0 && seen.last[0] == 1,
    },
    Test {
        name: "message passing through storageBarrier",
        condition: "r0 is not 0, or r1 is not 1: a write crosses the barrier, or is not seen behind it",
        allowed: false,
        place: Place::StorageBarrier,
        first: ["store(ax, 1u);", "store(ay, 1u);"],
        second: ["keep(b, 0u, load(by));", "keep(b, 1u, load(bx));"],
        holds: |seen| seen.read != [0, 1],
    },
    Test {
        name: "message passing through workgroupBarrier",
        condition: "r0 is not 0, or r1 is not 1: a write crosses the barrier, or is not seen behind it",
        allowed: false,
        place: Place::WorkgroupBarrier,
        first: ["store(ax, 1u);", "store(ay, 1u);"],
        second: ["keep(b, 0u, load(by));", "keep(b, 1u, load(bx));"],
        holds: |seen| seen.read != [0, 1],
    },
    Test {
        name: "message passing",
        condition: "r0 = 1 and r1 = 0: the flag is seen, and the message is not",
        allowed: true,
        place: Place::Storage,
        first: ["store(ax, 1u); store(ay, 1u);", ""],
        second: ["keep(b, 0u, load(by)); keep(b, 1u, load(bx));", ""],
        holds: |seen| seen.read == [1, 0],
    },
    Test {
        name: "store buffering",
        condition: "r0 = 0 and r1 = 0: neither part sees the other's write",
        allowed: true,
        place: Place::Storage,
        first: ["store(ax, 1u); keep(a, 0u, load(ay));", ""],
        second: ["store(by, 1u); keep(b, 1u, load(bx));", ""],
        holds: |seen| seen.read == [0, 0],
    },
    Test {
        name: "load buffering",
        condition: "r0 = 1 and r1 = 1: each part reads what the other writes later",
        allowed: true,
        place: Place::Storage,
        first: ["keep(a, 0u, load(ay)); store(ax, 1u);", ""],
        second: ["keep(b, 1u, load(bx)); store(by, 1u);", ""],
        holds: |seen| seen.read == [1, 1],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// One step of a part on the two locations and the two numbers read.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Store(usize, u32),
        Load(usize, usize),
        Exchange(usize, u32, usize),
    }

    /// Reads the WGSL of a part.
    fn steps(test: &Test, text: &str) -> Vec<Step> {
        let location = |name: &str| match name.trim().trim_start_matches(['a', 'b']) {
            "x" => 0,
            _ if test.place == Place::OneLocation => 0,
            "y" => 1,
            other => panic!("no location is named {other}"),
        };
        let number = |text: &str| text.trim().trim_end_matches('u').parse::<u32>().expect("a number");
        let step = |statement: &str| {
            let words: Vec<&str> =
                statement.split(['(', ')', ',']).map(str::trim).filter(|word| !word.is_empty()).collect();
            match words[..] {
                ["store", place, value] => Step::Store(location(place), number(value)),
                ["keep", _, slot, "load", place] => Step::Load(location(place), number(slot) as usize),
                ["keep", _, slot, "exchange", place, value] => {
                    Step::Exchange(location(place), number(value), number(slot) as usize)
                }
                _ => panic!("no statement of a litmus test: {statement}"),
            }
        };
        text.split(';').map(str::trim).filter(|statement| !statement.is_empty()).map(step).collect()
    }

    /// The results of all interleavings of two parts, from a state on.
    fn interleave(one: &[Step], two: &[Step], state: Observed) -> Vec<Observed> {
        let apply = |step: Step, mut state: Observed| {
            match step {
                Step::Store(place, value) => state.last[place] = value,
                Step::Load(place, slot) => state.read[slot] = state.last[place],
                Step::Exchange(place, value, slot) => {
                    state.read[slot] = state.last[place];
                    state.last[place] = value;
                }
            }
            state
        };
        if one.is_empty() && two.is_empty() {
            return vec![state];
        }
        let mut all = Vec::new();
        if let [step, rest @ ..] = one {
            all.extend(interleave(rest, two, apply(*step, state)));
        }
        if let [step, rest @ ..] = two {
            all.extend(interleave(one, rest, apply(*step, state)));
        }
        all
    }

    /// The results of a device that interleaves and keeps barriers.
    fn sequential(test: &Test) -> Vec<Observed> {
        let part = |index: usize| (steps(test, test.first[index]), steps(test, test.second[index]));
        let ((one, two), (one_after, two_after)) = (part(0), part(1));
        let before = interleave(&one, &two, Observed { read: [0; 2], last: [0; 2] });
        before.into_iter().flat_map(|state| interleave(&one_after, &two_after, state)).collect()
    }

    #[test]
    fn no_interleaving_gives_a_weak_or_forbidden_result() {
        for test in ALL {
            for observed in sequential(test) {
                assert_eq!(test.judge(&observed), Finding::Ordinary, "{}: {observed:?}", test.name);
            }
        }
    }

    #[test]
    fn a_device_that_swaps_the_steps_of_a_part_is_seen() {
        for test in ALL.iter().filter(|test| test.first[1].is_empty()) {
            let (mut one, mut two) = (steps(test, test.first[0]), steps(test, test.second[0]));
            if test.name == "atomicity" {
                // An exchange torn into a load and a store.
                let Step::Exchange(place, value, slot) = one[0] else { panic!("an exchange") };
                one = vec![Step::Load(place, slot), Step::Store(place, value)];
            } else {
                one.reverse();
                two.reverse();
            }
            let results = interleave(&one, &two, Observed { read: [0; 2], last: [0; 2] });
            let seen = results.iter().any(|observed| test.judge(observed) != Finding::Ordinary);
            assert!(seen, "{}: swapped steps give no other result", test.name);
        }
    }

    #[test]
    fn a_device_without_barriers_is_seen() {
        for test in ALL.iter().filter(|test| !test.first[1].is_empty()) {
            let whole = |part: [&str; 2]| part.iter().flat_map(|text| steps(test, text)).collect::<Vec<_>>();
            let results = interleave(&whole(test.first), &whole(test.second), Observed { read: [0; 2], last: [0; 2] });
            assert!(results.iter().any(|observed| test.judge(observed) == Finding::Forbidden), "{}", test.name);
        }
    }
}
