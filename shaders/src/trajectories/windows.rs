//! Windows of trajectories drawn at random, as rows of the trajectories' tables: what [`crate::layout::gather`] makes a training
//! batch of. Episodes lie one after the other; a window begins at a step that is drawn and ends `context` steps later or
//! with its episode, and where it has fewer steps than `context`, padding stands before them (section 2.2 of Decision
//! Transformer's code: `get_batch`).

use bytemuck::{Pod, Zeroable};

use crate::description::elementwise_layout::NARROW;
use crate::random::threefry::word;
use crate::{
    Binding, Call, Case, Data, Error, Generator, Kernel, MAX_ELEMENTS, Module, Operand, Sequence, Sizes, Target,
    Tolerance, grid,
};

const MODULE: Module =
    Module::new::<Uniform>(wgsl!("../library/place.wgsl", "../library/random.wgsl", "windows.wgsl"), |_| 0);

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&WINDOWS];

/// `batch` windows of `context` steps.
pub static WINDOWS: Kernel = MODULE.kernel(
    "windows",
    &[
        Binding::read("seed", "(2): key, step").u32(),
        Binding::read("starts", "(count)").u32(),
        Binding::read("episodes", "(steps)").u32(),
        Binding::read("firsts", "(episodes + 1)").u32(),
        Binding::write("rows", "(batch, context)").u32(),
        Binding::write("times", "(batch, context)").u32(),
        Binding::write("mask", "(batch, context)"),
    ],
    twin,
    // Whole numbers, and 0 or 1.
    |_, _, _| Tolerance::Exact,
    case,
);

/// The uniform block of `windows.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Uniform {
    /// Windows to draw.
    pub batch: u32,
    /// Steps of a window.
    pub context: u32,
    /// Starts to draw from.
    pub count: u32,
    /// Steps of all episodes.
    pub steps: u32,
    /// The number of the place that draws.
    pub stream: u32,
    /// 1 where times count from the window's first step, 0 where from the episode's.
    pub restart: u32,
    /// Later times become this one.
    pub largest: u32,
}

/// `batch` windows of `context` steps out of `episodes` episodes of together `steps` steps, drawn by the place `stream`
/// (see [`threefry`](crate::random::threefry)).
///
/// All `count` starts are equally likely. With every step as a start, windows are drawn as from an episode with a
/// probability in proportion to its length and a uniform first step in it; a start that stands twice in the list is twice
/// as likely; with the episodes' first steps alone, windows are the episodes' beginnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Windows to draw.
    pub batch: usize,
    /// Steps of a window.
    pub context: usize,
    /// Starts that windows are drawn from.
    pub count: usize,
    /// Steps of all episodes.
    pub steps: usize,
    /// Episodes of the data set.
    pub episodes: usize,
    /// The number of the place that draws.
    pub stream: u32,
    /// Times count from the window's first step, and not from the episode's.
    pub restart: bool,
    /// Later times become this one.
    pub largest: u32,
}

impl Problem {
    /// Returns the dispatch with operands `seed` (`u32`, 2), `starts` (`u32`, `count`): steps at which windows may begin, `episodes`
    /// (`u32`, `steps`): the episode of each step, `firsts` (`u32`, `episodes + 1`): the first step of each episode,
    /// then `steps`; and the outputs `rows` (`u32`), `times` (`u32`) and `mask` (1, or 0 in padding), each
    /// (`batch`, `context`). The row of padding is `steps`, past every table, and its time 0.
    ///
    /// # Errors
    /// A size or a factor out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        Sizes("windows")
            .tensor(&[("batch", self.batch), ("context", self.context)])?
            .positive(&[("count", self.count), ("steps", self.steps), ("episodes", self.episodes)])?
            .expect(
                "episodes",
                self.episodes <= self.steps,
                format_args!("at most the {} steps", self.steps),
                self.episodes,
            )?
            .sequence(self.call(target))
    }

    pub(crate) fn call(&self, _: &Target) -> Call {
        const WORKGROUP: usize = 64;
        let Self { batch, context, count, steps, episodes, stream, restart, largest } = *self;
        let uniform = Uniform {
            batch: batch as u32,
            context: context as u32,
            count: count as u32,
            steps: steps as u32,
            stream,
            restart: restart.into(),
            largest,
        };
        let elements = batch * context;
        let lengths = [2, count, steps, episodes + 1, elements, elements, elements];
        Call::new(&WINDOWS, &uniform, elements.div_ceil(WORKGROUP), lengths)
    }
}

/// The twin.
#[allow(clippy::too_many_arguments, reason = "one for each binding")]
pub fn windows(
    uniform: &Uniform,
    seed: &[u32],
    starts: &[u32],
    episodes: &[u32],
    firsts: &[u32],
    rows: &mut [u32],
    times: &mut [u32],
    mask: &mut [f32],
) {
    let context = uniform.context as usize;
    for window in 0..uniform.batch {
        let word = word([seed[0], seed[1]], uniform.stream, window);
        let choice = (u64::from(word) * u64::from(uniform.count)) >> 32;
        let start = starts[choice as usize];
        let episode = episodes[start as usize] as usize;
        let length = uniform.context.min(firsts[episode + 1] - start);
        let padding = uniform.context - length;
        for place in 0..uniform.context {
            let element = window as usize * context + place as usize;
            let (row, time, there) = match place.checked_sub(padding) {
                Some(place) => {
                    let before = if uniform.restart == 1 { 0 } else { start - firsts[episode] };
                    (start + place, (before + place).min(uniform.largest), 1.0)
                }
                None => (uniform.steps, 0, 0.0),
            };
            (rows[element], times[element], mask[element]) = (row, time, there);
        }
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let [seed, starts, episodes, firsts, rows, times, mask] = operands else {
        unreachable!("windows has seven operands")
    };
    let (seed, starts, episodes, firsts) = (seed.u32(), starts.u32(), episodes.u32(), firsts.u32());
    windows(&call.uniform(), seed, starts, episodes, firsts, rows.u32(), times.u32(), mask.f32());
}

/// The episode of each step and the first step of each episode with the end after them, from the episodes' lengths.
///
/// # Errors
/// If there are too many steps.
pub fn tables(lengths: &[usize]) -> Result<(Vec<u32>, Vec<u32>), Error> {
    let steps = lengths.iter().fold(0, |sum: usize, length| sum.saturating_add(*length));
    let most = format!("at most {MAX_ELEMENTS}");
    Sizes("windows").expect("the steps of all episodes", steps <= MAX_ELEMENTS, most, steps)?;
    let episodes = (0..).zip(lengths).flat_map(|(episode, &length)| std::iter::repeat_n(episode, length)).collect();
    let mut firsts = vec![0];
    for &length in lengths {
        firsts.push(firsts[firsts.len() - 1] + length as u32);
    }
    Ok((episodes, firsts))
}

fn case(generator: &mut Generator) -> Case {
    let huge = generator.huge();
    let lengths: Vec<usize> = (0..generator.length(40)).map(|_| generator.length(90)).collect();
    let (episodes, firsts) = tables(&lengths).expect("few steps");
    let steps = episodes.len();
    let count = generator.length(2 * steps);
    let context = if huge { 4 } else { generator.length(60) };
    let problem = Problem {
        batch: if huge { NARROW * 65_537 / context + 1 } else { generator.length(100) },
        context,
        count,
        steps,
        episodes: lengths.len(),
        stream: generator.pick(&[0, 1, 77, u32::MAX]),
        restart: generator.chance(0.5),
        largest: generator.pick(&[0, 10, 999, u32::MAX]),
    };
    let mut call = problem.call(&Target::default());
    if huge {
        // Past 65,535 workgroups by narrow workgroups.
        let elements = problem.batch * problem.context;
        call = call.with_grid(grid(elements.div_ceil(NARROW))).with_constant("WORKGROUP", NARROW as u32);
    }
    let seed = generator.indices(2, u32::MAX);
    let starts = generator.indices(count, steps as u32);
    Case::new(problem, call, [seed, starts, Data::U32(episodes), Data::U32(firsts)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows, times and the mask of all windows of `batch` draws from `starts` in episodes of these lengths.
    fn run(lengths: &[usize], starts: &[u32], problem: Problem) -> [Vec<u32>; 3] {
        let (episodes, firsts) = tables(lengths).unwrap();
        let problem = Problem { count: starts.len(), steps: episodes.len(), episodes: lengths.len(), ..problem };
        let inputs = [vec![5, 6], starts.to_vec(), episodes, firsts].map(Data::U32);
        let outputs = Case::new((), problem.call(&Target::default()), inputs).expected();
        let mask = outputs[6].f32().iter().map(|&mask| mask as u32).collect();
        [outputs[4].u32().to_vec(), outputs[5].u32().to_vec(), mask]
    }

    const PROBLEM: Problem =
        Problem { batch: 1, context: 4, count: 0, steps: 0, episodes: 0, stream: 3, restart: false, largest: u32::MAX };

    #[test]
    fn a_window_ends_with_its_episode_and_stands_last() {
        // Episodes of 5 and 3 steps: the window at step 3 has the two steps that are left of the first.
        assert_eq!(run(&[5, 3], &[3], PROBLEM), [vec![8, 8, 3, 4], vec![0, 0, 3, 4], vec![0, 0, 1, 1]]);
        assert_eq!(run(&[5, 3], &[1], PROBLEM), [vec![1, 2, 3, 4], vec![1, 2, 3, 4], vec![1, 1, 1, 1]]);
        assert_eq!(run(&[5, 3], &[7], PROBLEM), [vec![8, 8, 8, 7], vec![0, 0, 0, 2], vec![0, 0, 0, 1]]);
        assert_eq!(run(&[1], &[0], PROBLEM), [vec![1, 1, 1, 0], vec![0; 4], vec![0, 0, 0, 1]]);
    }

    #[test]
    fn times_count_from_the_window_where_asked_and_stop_at_the_largest() {
        let restarted = Problem { restart: true, ..PROBLEM };
        assert_eq!(run(&[9], &[4], restarted)[1], [0, 1, 2, 3]);
        assert_eq!(run(&[9], &[7], restarted)[1], [0, 0, 0, 1]);
        assert_eq!(run(&[9], &[4], Problem { largest: 6, ..PROBLEM })[1], [4, 5, 6, 6]);
    }

    #[test]
    fn episodes_come_in_proportion_to_their_lengths_and_starts_within_them_uniformly() {
        let batch = 60_000;
        let starts: Vec<u32> = (0..12).collect();
        let [rows, ..] = run(&[1, 8, 3], &starts, Problem { batch, context: 1, ..PROBLEM });
        let mut counts = [0; 12];
        rows.iter().for_each(|&row| counts[row as usize] += 1);
        // Five standard deviations of a binomial count with p = 1 / 12.
        let (expected, deviation) = (5_000.0, (60_000.0f64 / 12.0 * 11.0 / 12.0).sqrt());
        assert!(counts.iter().all(|&count| (f64::from(count) - expected).abs() < 5.0 * deviation), "{counts:?}");
    }

    #[test]
    fn a_start_that_stands_three_times_is_three_times_as_likely() {
        let batch = 40_000;
        let [rows, ..] = run(&[4], &[0, 2, 2, 2], Problem { batch, context: 1, ..PROBLEM });
        let twos = rows.iter().filter(|&&row| row == 2).count() as f64;
        assert!(rows.iter().all(|&row| row == 0 || row == 2));
        assert!((twos - 30_000.0).abs() < 5.0 * (40_000.0f64 * 0.75 * 0.25).sqrt(), "{twos}");
    }

    #[test]
    fn every_window_is_a_run_of_steps_of_one_episode_that_ends_early_only_with_it() {
        let lengths = [1, 2, 7, 30, 3];
        let (episodes, firsts) = tables(&lengths).unwrap();
        let starts: Vec<u32> = (0..episodes.len() as u32).collect();
        let problem = Problem { batch: 500, context: 6, ..PROBLEM };
        let [rows, times, mask] = run(&lengths, &starts, problem);
        let windows = rows.chunks(6).zip(times.chunks(6)).zip(mask.chunks(6));
        for ((rows, times), mask) in windows {
            let padding = mask.iter().filter(|&&there| there == 0).count();
            assert!(mask[..padding].iter().all(|&there| there == 0), "{mask:?}");
            assert!(rows[..padding].iter().all(|&row| row == 43), "{rows:?}");
            let (rows, times) = (&rows[padding..], &times[padding..]);
            let episode = episodes[rows[0] as usize] as usize;
            assert!(rows.windows(2).all(|pair| pair[1] == pair[0] + 1), "{rows:?}");
            assert!(rows.iter().zip(times).all(|(row, time)| row - firsts[episode] == *time), "{rows:?} {times:?}");
            let last = rows[rows.len() - 1] + 1;
            assert!(last <= firsts[episode + 1] && (padding == 0 || last == firsts[episode + 1]), "{rows:?}");
        }
    }

    #[test]
    fn the_next_step_of_a_run_and_another_place_draw_other_windows() {
        let (episodes, firsts) = tables(&[1_000]).unwrap();
        let starts: Vec<u32> = (0..1_000).collect();
        let rows = |step: u32, stream: u32| {
            let problem = Problem { batch: 8, context: 1, count: 1_000, steps: 1_000, episodes: 1, stream, ..PROBLEM };
            let inputs = [vec![5, step], starts.clone(), episodes.clone(), firsts.clone()].map(Data::U32);
            Case::new((), problem.call(&Target::default()), inputs).expected().swap_remove(4)
        };
        assert_eq!(rows(1, 3), rows(1, 3));
        assert_ne!(rows(1, 3), rows(2, 3));
        assert_ne!(rows(1, 3), rows(1, 4));
    }
}
