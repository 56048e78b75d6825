//! Returns-to-go: what is still to be earned at each step of an episode, `returns[t] = sum over t' >= t of rewards[t']`,
//! undiscounted, the step's own reward included (Decision Transformer, section 3).
//!
//! Where rewards are *delayed*, paid in one sum at the episode's last step, every step of it has the whole return.

use bytemuck::{Pod, Zeroable};

use crate::description::elementwise_layout::NARROW;
use crate::{
    Binding, Call, Case, Data, Error, Generator, Kernel, Module, Sequence, Sizes, Slot, Target, Tolerance, grid,
    trajectories::windows,
};

const MODULE: Module = Module::new::<Uniform>(wgsl!("../library/place.wgsl", "returns_to_go.wgsl"), passes);

/// The steps of an episode that one dispatch takes.
fn passes(call: &Call) -> u64 {
    let Uniform { most, steps, .. } = call.uniform();
    1 + u64::from(most.min(steps))
}

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&SUFFIX_SUMS, &SPREAD];

/// Sums from each step to its episode's end.
pub static SUFFIX_SUMS: Kernel = MODULE
    .kernel(
        "returns_to_go.suffix_sums",
        &[
            Binding::read("firsts", "(episodes + 1)").u32(),
            Binding::read("rewards", "(steps)"),
            Binding::update("returns", "(steps)"),
        ],
        |call, operands| {
            let [firsts, rewards, returns] = operands else { unreachable!("suffix_sums has three operands") };
            suffix_sums(&call.uniform(), firsts.u32(), rewards.f32(), returns.f32());
        },
        suffix_sums_tolerance,
        suffix_sums_case,
    )
    .with_flops(|call| call.lengths[1] as f64);

/// The return of the first step of each episode, at all of its steps.
pub static SPREAD: Kernel = MODULE.kernel(
    "returns_to_go.spread",
    &[Binding::read("firsts", "(episodes + 1)").u32(), Binding::update("whole", "(steps)")],
    |call, operands| {
        let [firsts, whole] = operands else { unreachable!("spread has two operands") };
        spread(&call.uniform(), firsts.u32(), whole.f32());
    },
    // A copy, in which subnormal numbers may be flushed.
    |_, _, _| Tolerance::Within { relative: 0.0, absolute: 0.0 },
    spread_case,
);

/// The uniform block of `returns_to_go.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub episodes: u32,
    /// Steps of each episode that another dispatch computes before this one.
    pub skip: u32,
    /// Steps of each episode that this dispatch computes at most.
    pub most: u32,
    /// Steps of all episodes.
    pub steps: u32,
}

/// The returns-to-go of `episodes` episodes of together `steps` steps, the longest of which has `longest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Episodes of the data set.
    pub episodes: usize,
    /// Steps of all episodes.
    pub steps: usize,
    /// Steps of the longest episode.
    pub longest: usize,
    /// Every step has its episode's whole return.
    pub delayed: bool,
}

impl Problem {
    /// Steps that an invocation goes through in one dispatch. Mesa's software driver leaves all loops of an invocation
    /// after 65,535 passes without a word.
    const MOST: usize = 32_768;

    /// The dispatches with the arguments `firsts` (`u32`, `episodes + 1`): the first step of each episode, then `steps`;
    /// `rewards` (`steps`), and `returns` (`steps`): one for every 32,768 steps of the longest episode, twice that
    /// where rewards are delayed.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, _: &Target) -> Result<Sequence, Error> {
        let sizes = self.check()?;
        let mut sequence = Sequence::default();
        let parts = || (0..self.longest.div_ceil(Self::MOST)).map(|part| part * Self::MOST);
        for skip in parts() {
            let arguments = [Slot::Argument(0), Slot::Argument(1), Slot::Argument(2)];
            sequence.step(self.suffix_sums(skip, Self::MOST), arguments);
        }
        for skip in parts().filter(|_| self.delayed) {
            sequence.step(self.spread(skip, Self::MOST), [Slot::Argument(0), Slot::Argument(2)]);
        }
        sizes.sequence(sequence)
    }

    fn check(&self) -> Result<Sizes, Error> {
        let Self { episodes, steps, longest, .. } = *self;
        let most = format!("at most the {steps} steps");
        Sizes("returns_to_go")
            .positive(&[("episodes", episodes), ("steps", steps), ("longest", longest)])?
            .expect("episodes", episodes <= steps, &most, episodes)?
            .expect("longest", longest <= steps, &most, longest)
    }

    fn suffix_sums(&self, skip: usize, most: usize) -> Call {
        let lengths = [self.episodes + 1, self.steps, self.steps];
        Call::new(&SUFFIX_SUMS, &self.uniform(skip, most), self.workgroups(), lengths)
    }

    fn spread(&self, skip: usize, most: usize) -> Call {
        Call::new(&SPREAD, &self.uniform(skip, most), self.workgroups(), [self.episodes + 1, self.steps])
    }

    fn uniform(&self, skip: usize, most: usize) -> Uniform {
        Uniform { episodes: self.episodes as u32, skip: skip as u32, most: most as u32, steps: self.steps as u32 }
    }

    fn workgroups(&self) -> usize {
        const WORKGROUP: usize = 64;
        self.episodes.div_ceil(WORKGROUP)
    }
}

/// The twin of `suffix_sums`.
pub(crate) fn suffix_sums(uniform: &Uniform, firsts: &[u32], rewards: &[f32], returns: &mut [f32]) {
    let Uniform { skip, most, .. } = *uniform;
    for bounds in firsts.windows(2) {
        let (first, end) = (bounds[0] as usize, bounds[1] as usize);
        if end - first <= skip as usize {
            continue;
        }
        let behind = end - skip as usize;
        let mut total = if skip > 0 { f64::from(returns[behind]) } else { 0.0 };
        for step in (first..behind).rev().take(most as usize) {
            total += f64::from(rewards[step]);
            returns[step] = total as f32;
        }
    }
}

/// The twin of `spread`.
pub(crate) fn spread(uniform: &Uniform, firsts: &[u32], whole: &mut [f32]) {
    for bounds in firsts.windows(2) {
        let (first, end) = (bounds[0] as usize, bounds[1] as usize);
        let total = whole[first];
        whole[first..end].iter_mut().skip(uniform.skip as usize).take(uniform.most as usize).for_each(|r| *r = total);
    }
}

/// A sum of n numbers one after the other is off by at most n rounding errors of the sum of magnitudes so far, and by
/// one smallest normal number for each subnormal one that is flushed.
fn suffix_sums_tolerance(call: &Call, operands: &[Data], _: usize) -> Tolerance {
    let Uniform { skip, most, .. } = call.uniform();
    let (firsts, rewards, returns) = (operands[0].u32(), operands[1].f32(), operands[2].f32());
    let mut bounds = vec![0.0; returns.len()];
    for episode in firsts.windows(2) {
        let (first, end) = (episode[0] as usize, episode[1] as usize);
        if end - first <= skip as usize {
            continue;
        }
        let behind = end - skip as usize;
        let mut magnitudes = if skip > 0 { f64::from(returns[behind].abs()) } else { 0.0 };
        for (count, step) in (1..).zip((first..behind).rev().take(most as usize)) {
            magnitudes += f64::from(rewards[step].abs());
            let count = f64::from(count);
            bounds[step] = (count + 1.0) * (Tolerance::EPSILON * magnitudes + f64::from(f32::MIN_POSITIVE));
        }
    }
    Tolerance::PerElement(bounds)
}

/// A problem with its episodes' first steps, how many steps are skipped and taken, and whether workgroups are narrow.
fn draw(generator: &mut Generator) -> (Problem, Vec<u32>, [usize; 2], bool) {
    let huge = generator.huge();
    let episodes = if huge { NARROW * 65_537 + 1 } else { generator.length(200) };
    let longest = if huge { 2 } else { 300 };
    let lengths: Vec<usize> = (0..episodes).map(|_| generator.length(longest)).collect();
    let (_, firsts) = windows::tables(&lengths).expect("few steps");
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let problem = Problem { episodes, steps: lengths.iter().sum(), longest, delayed: false };
    let skip = generator.pick(&[0, 0, 1, 40]);
    let most = generator.pick(&[1, 50, Problem::MOST]);
    (problem, firsts, [skip, most], huge)
}

fn folded(problem: &Problem, call: Call, huge: bool) -> Call {
    if !huge {
        return call;
    }
    // Past 65,535 workgroups by narrow workgroups.
    call.with_grid(grid(problem.episodes.div_ceil(NARROW))).with_constant("WORKGROUP", NARROW as u32)
}

fn suffix_sums_case(generator: &mut Generator) -> Case {
    let (problem, firsts, [skip, most], huge) = draw(generator);
    let call = folded(&problem, problem.suffix_sums(skip, most), huge);
    let rewards = crate::description::elementwise_layout::values_with_specials(generator, problem.steps, 1e30);
    // The sum that an earlier dispatch has left.
    let returns = crate::description::elementwise_layout::values(generator, problem.steps, 1e30);
    Case::new((problem, skip, most), call, [Data::U32(firsts), rewards, returns])
}

fn spread_case(generator: &mut Generator) -> Case {
    let (problem, firsts, [skip, most], huge) = draw(generator);
    let call = folded(&problem, problem.spread(skip, most), huge);
    let returns = crate::description::elementwise_layout::values(generator, problem.steps, 1e30);
    Case::new((problem, skip, most), call, [Data::U32(firsts), returns])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operand;

    fn run(lengths: &[usize], rewards: &[f32], delayed: bool) -> Vec<f32> {
        let (_, mut firsts) = windows::tables(lengths).unwrap();
        let longest = lengths.iter().copied().max().unwrap();
        let problem = Problem { episodes: lengths.len(), steps: rewards.len(), longest, delayed };
        let (mut rewards, mut returns) = (rewards.to_vec(), vec![f32::NAN; rewards.len()]);
        for step in problem.sequence(&Target::default()).unwrap().steps {
            let mut operands: Vec<Operand<'_>> = vec![Operand::U32(&mut firsts)];
            if step.operands.len() == 3 {
                operands.push(Operand::F32(&mut rewards));
            }
            operands.push(Operand::F32(&mut returns));
            step.call.run_twin(&mut operands);
        }
        returns
    }

    #[test]
    fn a_return_to_go_is_the_sum_of_the_rewards_from_a_step_to_its_episodes_end() {
        assert_eq!(run(&[3, 1, 2], &[1.0, 2.0, 4.0, 7.0, -1.0, 3.0], false), [7.0, 6.0, 4.0, 7.0, 2.0, 3.0]);
    }

    #[test]
    fn with_delayed_rewards_every_step_has_its_episodes_whole_return() {
        assert_eq!(run(&[3, 1, 2], &[1.0, 2.0, 4.0, 7.0, -1.0, 3.0], true), [7.0, 7.0, 7.0, 7.0, 2.0, 2.0]);
    }

    #[test]
    fn an_episode_longer_than_a_dispatch_takes_goes_on_in_the_next() {
        let steps = 2 * Problem::MOST + 5;
        let returns = run(&[2, steps], &vec![1.0; steps + 2], false);
        assert!(returns[2..].iter().rev().zip(1..).all(|(&got, expected)| got == expected as f32));
        assert_eq!(returns[..2], [2.0, 1.0]);
        assert!(run(&[2, steps], &vec![1.0; steps + 2], true)[2..].iter().all(|&got| got == steps as f32));
    }
}
