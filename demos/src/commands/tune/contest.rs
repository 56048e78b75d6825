//! A contest between the variants of one family on one shape.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use fourfold::shaders::{Call, Choice, Target};
use fourfold::{Gpu, Launch, Recording, verify};
use serde_json::{Value, json};

use super::subjects::{Shape, proof};
use crate::commands::bench::measure::Clock;
use crate::commands::bench::problems::Problem;
use crate::failure::Failure;
use crate::run::stop;
use crate::statistics::median;

/// A variant replaces that of the rule if it takes at most this share of its time, by the median of pairs.
const BETTER: f64 = 0.97;
/// The share of the pairs in which it must be the faster one.
const MOSTLY: f64 = 0.75;
/// Those that take so many times as long as the best are not timed again.
const HOPELESS: f64 = 2.0;
const ROUNDS: std::ops::RangeInclusive<usize> = 5..=25;

/// The device and what is known of its variants.
pub struct Contest<'a> {
    gpu: &'a Gpu,
    target: Target,
    clock: Clock<'a>,
    /// Time for the rounds of a shape.
    budget: Duration,
    /// Variants that were verified, and whether they are right.
    verified: BTreeMap<(&'static str, usize), bool>,
    /// A sentence for each variant that takes no part, since it is wrong here or does not run.
    pub refused: Vec<String>,
}

/// The result of a contest.
pub struct Ranking {
    pub shape: Shape,
    /// The variant by the rule.
    pub rule: String,
    /// The variant that beats it, if one does.
    pub choice: Option<Choice>,
    /// Median seconds of every variant that took part.
    pub seconds: BTreeMap<String, f64>,
}

/// A variant on its way through the rounds.
struct Entrant {
    name: String,
    /// `None` for the rule where it is none of the named variants.
    choice: Option<Choice>,
    recordings: Vec<Recording>,
    repetitions: u32,
    seconds: Vec<f64>,
}

impl<'a> Contest<'a> {
    pub fn new(gpu: &'a Gpu, quick: bool) -> Result<Self, Failure> {
        let budget = Duration::from_millis(if quick { 200 } else { 1500 });
        let (verified, refused) = (BTreeMap::new(), Vec::new());
        Ok(Self { gpu, target: gpu.target(), clock: Clock::new(gpu)?, budget, verified, refused })
    }

    /// Verifies and times the variants that suit a shape.
    ///
    /// # Errors
    /// The device is lost, or the variant of the rule does not run.
    pub fn hold(&mut self, shape: Shape) -> Result<Ranking, Failure> {
        let by_rule = shape.problems(&self.target);
        let mut entrants = Vec::new();
        for (variant, name) in shape.family().variants().iter().enumerate() {
            let problems = shape.problems(&shape.forced(&self.target, variant));
            let Some(choice) = choice(&problems) else { continue };
            if !self.is_right(shape, choice) {
                continue;
            }
            match self.enter((*name).to_owned(), Some(choice), &problems) {
                Ok(entrant) => entrants.push((entrant, same(&problems, &by_rule))),
                Err(fourfold::Error::DeviceLost { reason, message }) => {
                    return Err(fourfold::Error::DeviceLost { reason, message }.into());
                }
                Err(error) => self.refused.push(format!("{}, {name}: {error}", shape.family().name())),
            }
        }
        // The rule's variant stands first.
        entrants.sort_by_key(|(_, is_rule)| !is_rule);
        let mut entrants = match entrants.first() {
            Some((_, true)) => Vec::new(),
            _ => vec![self.enter("another".to_owned(), None, &by_rule)?],
        }
        .into_iter()
        .chain(entrants.into_iter().map(|(entrant, _)| entrant))
        .collect::<Vec<_>>();
        self.race(&mut entrants)?;
        Ok(rank(shape, &entrants))
    }

    /// Verifies a variant against its twins, once: on a small ragged shape, or on this one where that suits it no better.
    fn is_right(&mut self, shape: Shape, choice: Choice) -> bool {
        let key = (shape.family().name(), choice.variant);
        if let Some(&known) = self.verified.get(&key) {
            return known;
        }
        let target = shape.forced(&self.target, choice.variant);
        let small = proof(shape.family()).problems(&target);
        let problems = if self::choice(&small).is_some() { small } else { shape.problems(&target) };
        let cases = problems.iter().flat_map(|problem| problem.sequence.cases(&problem.size, problem.operands()));
        let mut wrong = None;
        for case in cases {
            match verify::run(self.gpu, &case) {
                Ok(verdict) if verdict.passed() => {}
                Ok(_) => wrong = Some("it computes wrong numbers on this adapter".to_owned()),
                Err(error) => wrong = Some(error.to_string()),
            }
        }
        self.refused.extend(wrong.iter().map(|wrong| format!("{}, {choice}: {wrong}", shape.family().name())));
        self.verified.insert(key, wrong.is_none());
        wrong.is_none()
    }

    fn enter(&self, name: String, choice: Option<Choice>, problems: &[Problem]) -> Result<Entrant, fourfold::Error> {
        let mut recordings = Vec::new();
        for problem in problems {
            let mut views = Vec::new();
            for operand in &problem.operands() {
                views.push(self.gpu.upload(&problem.operation, operand)?);
            }
            recordings.push(self.gpu.prepare(&[Launch::new(&problem.sequence, &views)])?);
        }
        let mut entrant = Entrant { name, choice, recordings, repetitions: 1, seconds: Vec::new() };
        entrant.repetitions = self.clock.repetitions(|pass| entrant.record(pass))?;
        Ok(entrant)
    }

    /// Times the entrants in turns, so that what else the machine does meets all alike.
    fn race(&self, entrants: &mut [Entrant]) -> Result<(), Failure> {
        let begun = Instant::now();
        for round in 0..*ROUNDS.end() {
            if round >= *ROUNDS.start() && begun.elapsed() > self.budget || stop::asked() {
                break;
            }
            let best = entrants.iter().map(|entrant| median(&entrant.seconds)).fold(f64::INFINITY, f64::min);
            for (index, entrant) in entrants.iter_mut().enumerate() {
                if index > 0 && round > 0 && median(&entrant.seconds) > HOPELESS * best {
                    continue;
                }
                let seconds = self.clock.round(entrant.repetitions, |pass| entrant.record(pass))?;
                entrant.seconds.push(seconds);
            }
        }
        Ok(())
    }
}

impl Entrant {
    fn record(&self, pass: &mut fourfold::wgpu::ComputePass<'_>) {
        self.recordings.iter().for_each(|recording| recording.record(pass));
    }
}

/// Compares every entrant with the first, which is the rule's, round by round.
fn rank(shape: Shape, entrants: &[Entrant]) -> Ranking {
    let rule = &entrants[0];
    let faster = entrants[1..].iter().filter(|entrant| entrant.seconds.len() == rule.seconds.len());
    let faster = faster.filter_map(|entrant| {
        let ratios: Vec<f64> = entrant.seconds.iter().zip(&rule.seconds).map(|(own, rule)| own / rule).collect();
        let wins = ratios.iter().filter(|ratio| **ratio < 1.0).count();
        let ratio = median(&ratios);
        (ratio < BETTER && wins as f64 >= MOSTLY * ratios.len() as f64).then_some((ratio, entrant.choice))
    });
    let best = faster.min_by(|(one, _), (other, _)| one.total_cmp(other));
    let seconds = entrants.iter().map(|entrant| (entrant.name.clone(), median(&entrant.seconds))).collect();
    Ranking { shape, rule: rule.name.clone(), choice: best.and_then(|(_, choice)| choice), seconds }
}

impl Ranking {
    pub fn json(&self) -> Value {
        json!({
            "family": self.shape.family().name(),
            "shape": self.shape.name(),
            "rule": self.rule,
            "choice": self.choice.map(|choice| choice.to_string()),
            "class": self.choice.map(|choice| choice.class),
            "median_seconds": self.seconds,
        })
    }
}

/// Returns the choice that decided for every operation on a shape; `None` if it suits one of them not.
fn choice(problems: &[Problem]) -> Option<Choice> {
    let mut choices = problems.iter().map(|problem| problem.sequence.steps.iter().find_map(|step| step.call.choice()));
    let first = choices.next()??;
    choices.all(|choice| choice == Some(first)).then_some(first)
}

/// Returns true if two lists of operations make the same dispatches.
fn same(one: &[Problem], other: &[Problem]) -> bool {
    let calls = |problems: &[Problem]| -> Vec<(String, BTreeSet<String>, [u32; 3])> {
        let steps = problems.iter().flat_map(|problem| &problem.sequence.steps);
        steps.map(|step| described(&step.call)).collect()
    };
    calls(one) == calls(other)
}

fn described(call: &Call) -> (String, BTreeSet<String>, [u32; 3]) {
    let constants = call.constants.iter().map(|(name, value)| format!("{name}={value}")).collect();
    (call.kernel.name.to_string(), constants, call.grid)
}
