//! Environments side by side, in several processes.

use std::io;
use std::ops::Range;
use std::path::Path;

use super::link::{Answer, Greeting, Link};
use super::process::Process;
use super::program::Program;
use crate::failure::Failure;

/// Environments of one kind side by side, each a lane, in several worker processes.
pub struct Environments {
    workers: Vec<Worker>,
    greeting: Greeting,
}

struct Worker {
    number: usize,
    lanes: Range<usize>,
    // Before the process: the end of its commands is what ends it.
    link: Link,
    /// `None` if it is no process of ours.
    process: Option<Process>,
}

impl Environments {
    /// Starts `workers` processes of the interpreter, one for each processor if none, which share `lanes` environments.
    ///
    /// # Errors
    /// Python, a package or the environment is missing (which is the user's input), or a worker fails.
    pub fn open(
        python: &Path,
        program: Program,
        environment: &str,
        lanes: usize,
        workers: Option<usize>,
    ) -> Result<Self, Failure> {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        let spans = spans(lanes, workers.unwrap_or_else(processors));
        let start = |(number, lanes): (usize, Range<usize>)| {
            let (process, link) = Process::start(python, program, environment, lanes.len())?;
            Ok(Worker { number, lanes, link, process: Some(process) })
        };
        Self::greeted(spans.into_iter().enumerate().map(start).collect::<Result<_, Failure>>()?)
    }

    /// Waits until all have greeted: they start at the same time.
    fn greeted(mut workers: Vec<Worker>) -> Result<Self, Failure> {
        let mut greeting: Option<Greeting> = None;
        for worker in &mut workers {
            let own = worker.link.greeting().map_err(|error| worker.failure(&error))?;
            let first = greeting.get_or_insert_with(|| own.clone());
            if *first != own {
                let number = worker.number;
                return Err(Failure::Run(format!("Gymnasium's worker {number} has {own:?}, the first {first:?}")));
            }
        }
        let greeting = greeting.ok_or_else(|| Failure::Input("there must be at least one environment".into()))?;
        Ok(Self { workers, greeting })
    }

    /// Workers that are somewhere else: tests play them.
    #[cfg(test)]
    pub(super) fn linked(links: Vec<(usize, Link)>) -> Result<Self, Failure> {
        let mut first = 0;
        let worker = |(number, (lanes, link)): (usize, (usize, Link))| {
            let lanes = first..first + lanes;
            first = lanes.end;
            Worker { number, lanes, link, process: None }
        };
        Self::greeted(links.into_iter().enumerate().map(worker).collect())
    }

    pub fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    pub fn lanes(&self) -> usize {
        self.workers.last().map_or(0, |worker| worker.lanes.end)
    }

    /// Begins an episode in each lane with its seed; the observations, (lanes, observations).
    ///
    /// # Errors
    /// A worker failed.
    pub fn reset(&mut self, seeds: &[u32]) -> Result<Vec<f32>, Failure> {
        self.begin(|lanes| seeds[lanes].to_vec())
    }

    /// Begins an episode in each lane from random numbers of its own, which a program expects instead of a seed.
    ///
    /// # Errors
    /// A worker failed.
    pub fn reset_with(&mut self, numbers: &[Vec<u32>]) -> Result<Vec<f32>, Failure> {
        let counted = |numbers: &Vec<u32>| [&[numbers.len() as u32], &numbers[..]].concat();
        self.begin(|lanes| numbers[lanes].iter().flat_map(counted).collect())
    }

    /// Sends what lanes begin with, and waits for what they observe.
    fn begin(&mut self, words: impl Fn(Range<usize>) -> Vec<u32>) -> Result<Vec<f32>, Failure> {
        for worker in &mut self.workers {
            let sent = worker.link.send_reset(&words(worker.lanes.clone()));
            sent.map_err(|error| worker.failure(&error))?;
        }
        let mut observations = Vec::with_capacity(self.lanes() * self.greeting.observations);
        for worker in &mut self.workers {
            let received = worker.link.receive_observations(worker.lanes.len() * self.greeting.observations);
            observations.extend(received.map_err(|error| worker.failure(&error))?);
        }
        Ok(observations)
    }

    /// Takes a step in the lanes that go on: `going` (lanes), `actions` (lanes, numbers).
    ///
    /// # Errors
    /// A worker failed.
    pub fn step(&mut self, going: &[bool], actions: &[f32]) -> Result<Answer, Failure> {
        let width = self.greeting.actions.width();
        // All work at once: each has its command before the first answer is waited for.
        for worker in &mut self.workers {
            let Range { start, end } = worker.lanes;
            let sent = worker.link.send_step(&going[start..end], &actions[start * width..end * width]);
            sent.map_err(|error| worker.failure(&error))?;
        }
        let mut answer = Answer::default();
        for worker in &mut self.workers {
            let received = worker.link.receive_step(worker.lanes.len(), self.greeting.observations);
            let Answer { observations, rewards, ends } = received.map_err(|error| worker.failure(&error))?;
            answer.observations.extend(observations);
            answer.rewards.extend(rewards);
            answer.ends.extend(ends);
        }
        Ok(answer)
    }
}

impl Worker {
    fn failure(&mut self, error: &io::Error) -> Failure {
        self.link.close();
        match &mut self.process {
            Some(process) => process.failure(self.number, error),
            None => Failure::Run(format!("Gymnasium's worker {} failed ({error})", self.number)),
        }
    }
}

/// Lanes in spans that are as equal as can be, none empty.
fn spans(lanes: usize, workers: usize) -> Vec<Range<usize>> {
    let workers = workers.clamp(1, lanes.max(1));
    (0..workers).map(|worker| worker * lanes / workers..(worker + 1) * lanes / workers).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Read, Write};
    use std::thread;

    use fourfold::data::Actions;

    use super::super::link::End;
    use super::*;

    /// Plays a worker whose lanes count up from their seeds, `(count, count / 10)`, earn their action, terminate in step
    /// 3 where the seed is odd, and run out of time in step 5. It dies in the step `dies`.
    fn fake(lanes: usize, dies: Option<usize>) -> (usize, Link) {
        let (mut from_us, commands) = io::pipe().unwrap();
        let (answers, mut to_us) = io::pipe().unwrap();
        thread::spawn(move || {
            let numbers = [2_u32, 0, 1, 5, 4].map(u32::to_le_bytes);
            to_us.write_all(&[b"4FLD", numbers.as_flattened(), b"fake"].concat()).unwrap();
            let (mut seeds, mut steps) = (vec![0_u32; lanes], vec![0_u32; lanes]);
            let mut command = [0];
            // The commands end where the test does.
            while from_us.read_exact(&mut command).is_ok() {
                let mut numbers = vec![[0; 4]; lanes];
                let mut going = vec![1; lanes];
                if &command == b"S" {
                    from_us.read_exact(&mut going).unwrap();
                }
                from_us.read_exact(numbers.as_flattened_mut()).unwrap();
                let (mut rewards, mut ends) = (Vec::new(), vec![0; lanes]);
                for lane in 0..lanes {
                    if &command == b"R" {
                        (seeds[lane], steps[lane]) = (u32::from_le_bytes(numbers[lane]), 0);
                        continue;
                    }
                    let action = if going[lane] == 1 { f64::from(f32::from_le_bytes(numbers[lane])) } else { 0.0 };
                    rewards.extend(action.to_le_bytes());
                    steps[lane] += u32::from(going[lane]);
                    let odd = seeds[lane] % 2 == 1;
                    ends[lane] = if odd && steps[lane] == 3 { 1 } else { 2 * u8::from(steps[lane] == 5) };
                }
                if dies.is_some_and(|dies| steps.iter().any(|&step| step as usize == dies)) {
                    return;
                }
                let count = |lane: usize| (seeds[lane] + steps[lane]) as f32;
                let seen = (0..lanes).flat_map(|lane| [count(lane), count(lane) / 10.0]);
                let mut answer: Vec<u8> = seen.flat_map(f32::to_le_bytes).collect();
                if &command == b"S" {
                    answer.extend(rewards);
                    answer.extend(ends);
                }
                to_us.write_all(&answer).unwrap();
            }
        });
        (lanes, Link::new(commands, answers))
    }

    /// Five lanes in two workers.
    pub fn fakes(dies: Option<usize>) -> Environments {
        Environments::linked(vec![fake(2, None), fake(3, dies)]).unwrap()
    }

    #[test]
    fn lanes_are_shared_out_evenly() {
        assert_eq!(spans(7, 3), [0..2, 2..4, 4..7]);
        assert_eq!(spans(2, 8), [0..1, 1..2]);
        assert_eq!(spans(3, 0), vec![0..3; 1]);
    }

    #[test]
    fn lanes_of_all_workers_are_one_batch() {
        let mut environments = fakes(None);
        assert_eq!((environments.lanes(), environments.greeting().actions), (5, Actions::Continuous(1)));
        let seen = environments.reset(&[10, 20, 30, 40, 51]).unwrap();
        assert_eq!(seen, [10.0, 1.0, 20.0, 2.0, 30.0, 3.0, 40.0, 4.0, 51.0, 5.1]);
        let answer = environments.step(&[true, false, true, true, true], &[0.5, 9.0, 1.5, 2.5, 3.5]).unwrap();
        assert_eq!(answer.rewards, [0.5, 0.0, 1.5, 2.5, 3.5]);
        assert_eq!(answer.observations[..4], [11.0, 1.1, 20.0, 2.0]);
        environments.step(&[true; 5], &[0.0; 5]).unwrap();
        let answer = environments.step(&[true; 5], &[0.0; 5]).unwrap();
        let ends = [End::GoesOn, End::GoesOn, End::GoesOn, End::GoesOn, End::Terminated];
        assert_eq!(answer.ends, ends);
    }

    #[test]
    fn a_worker_that_dies_is_an_error_with_its_number() {
        let mut environments = fakes(Some(2));
        environments.reset(&[0; 5]).unwrap();
        environments.step(&[true; 5], &[0.0; 5]).unwrap();
        let failure = environments.step(&[true; 5], &[0.0; 5]).unwrap_err();
        assert_eq!(failure.code(), 1);
        assert!(failure.to_string().starts_with("Gymnasium's worker 1 failed ("), "{failure}");
    }

    #[test]
    fn a_missing_interpreter_is_told_with_the_flag_that_names_it() {
        let failure = Environments::open(Path::new("no-such-python"), Program::ENVIRONMENTS, "Hopper-v5", 2, Some(1))
            .err()
            .unwrap();
        assert_eq!(failure.code(), 2);
        let sentence = failure.to_string();
        assert!(sentence.starts_with("cannot run `no-such-python`: ") && sentence.contains("--python"), "{sentence}");
        assert_eq!(sentence.lines().count(), 1);
    }
}
