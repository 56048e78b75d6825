//! The cases that are left to run: all at once, or a round after another until the time is over.

use std::time::{Duration, Instant};

use fourfold::Gpu;
use fourfold::shaders::kernels;

use super::row::Row;
use super::summary::{self, Summary};
use super::worker::{Job, Order};
use super::{Arguments, CASES, QUICK_CASES, ROWS, Settings, again, flags, repro, supervisor};
use crate::entry::Plain;
use crate::estimate;
use crate::failure::Failure;
use crate::options::Common;
use crate::progress::{self, Progress};
use crate::run::folder::RunFolder;
use crate::run::stop;

/// Cases of each kernel in a round, after which the next kernel has its turn.
const ROUND: u32 = 20;

/// The time that `--hours` gives a run; without it there is one round, of all cases.
#[derive(Debug, Clone, Copy)]
pub struct Rounds {
    end: Option<Instant>,
}

/// The run that the cases belong to.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    pub common: &'a Common,
    pub gpu: &'a Gpu,
    pub folder: &'a RunFolder,
    pub settings: &'a Settings,
    pub order: &'a Order,
    /// The time that a case may take.
    pub limit: Duration,
}

impl Rounds {
    /// Begins to count the hours.
    pub fn begin(hours: Option<f64>) -> Self {
        Self { end: hours.map(|hours| Instant::now() + Duration::from_secs_f64(3600.0 * hours)) }
    }

    /// Returns true if the time is over.
    pub fn is_over(self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// The time that is left, if it is limited.
    pub fn left(self) -> Option<Duration> {
        self.end.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// The jobs of the next round; none where every kernel is done.
    pub fn next(self, settings: &Settings, summaries: &[Summary]) -> Vec<Job> {
        let of = |kernel: &str| summaries.iter().find(|summary| summary.kernel == kernel);
        let left: Vec<(&String, u32)> = settings
            .kernels
            .iter()
            .filter(|kernel| of(kernel).is_none_or(|summary| !summary.is_over))
            .map(|kernel| (kernel, of(kernel).map_or(settings.cases.0, |summary| summary.next)))
            .collect();
        let lowest = left.iter().map(|&(_, from)| from).min().unwrap_or_default();
        let until = match self.end {
            None => settings.cases.1,
            Some(_) => (lowest / ROUND + 1).saturating_mul(ROUND),
        };
        let job = |(kernel, from): (&String, u32)| Job { kernel: kernel.clone(), from, until };
        left.into_iter().map(job).filter(|job| job.from < until).collect()
    }

    /// Runs the cases that are left, writes each row into the run's folder and adds it to the summaries; `keep` has it last.
    ///
    /// # Errors
    /// The run is stopped, or a worker or the folder fails.
    pub fn run(self, work: &Work<'_>, summaries: &mut Vec<Summary>, mut keep: impl FnMut(Row)) -> Result<(), Failure> {
        let &Work { common, gpu, folder, settings, order, limit } = work;
        let done: u64 = summaries.iter().map(|summary| u64::from(summary.cases)).sum();
        loop {
            let jobs = self.next(settings, summaries);
            let left: u64 = jobs.iter().map(|job| u64::from(job.until - job.from)).sum();
            if left == 0 || self.is_over() {
                return Ok(());
            }
            let mut progress = self.progress(work, left, done);
            let mut kernel = String::new();
            let arguments = flags((common.seed, common.adapter.as_deref()), order)?;
            let judged = supervisor::run(&arguments, jobs, limit, |row| {
                if stop::asked() || self.is_over() {
                    return Err(Failure::Stopped);
                }
                if kernel != row.kernel {
                    progress.say(&*row.kernel);
                    kernel.clone_from(&row.kernel);
                }
                progress.advance(1);
                // The first failure of a kernel alone: the table counts the others.
                let told = summaries.iter().any(|summary| summary.kernel == row.kernel && summary.failed > 0);
                if row.outcome.failed() && !told {
                    progress.note(&row.describe(&again(common, settings.checked, &row)));
                }
                if let (Some(folder), true) = (&order.repro, row.outcome.ends_the_kernel()) {
                    repro::write_without_result(folder, gpu, common.seed, &row)?;
                }
                folder.append(ROWS, &serde_json::to_string(&row).map_err(Failure::run)?)?;
                summary::record(summaries, &row);
                keep(row);
                Ok(())
            });
            progress.finish();
            match judged {
                Err(Failure::Stopped) if !stop::asked() => return Ok(()),
                Err(Failure::Stopped) => {
                    crate::tell!("Stopped. Resume with `fourfold verify --resume {}`", folder.path().display());
                    return Err(Failure::Stopped);
                }
                judged => judged?,
            }
            if self.end.is_none() {
                return Ok(());
            }
        }
    }

    /// Begins to show how far a round is.
    fn progress(self, work: &Work<'_>, left: u64, done: u64) -> Progress {
        let common = work.common;
        if let Some(time) = self.left() {
            return Progress::new(&format!("verify, {} left", progress::duration(time)), left, common.quiet);
        }
        // The share of the cases of all kernels that is left.
        let each = if common.quick { QUICK_CASES } else { CASES };
        let share = left as f64 / f64::from(each) / kernels().len() as f64;
        estimate::tell(work.gpu.info(), Arguments::NAME, share, common);
        let mut progress = Progress::new("verify", left + done, common.quiet);
        progress.skip(done);
        progress
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::Kind;
    use super::super::summary::summarise;
    use super::*;

    fn settings(cases: (u32, u32)) -> Settings {
        let kernels = ["a", "b", "c"].map(str::to_owned).to_vec();
        Settings { kernels, cases, checked: false, adapter: None, repro: false, hours: None }
    }

    fn job(kernel: &str, from: u32, until: u32) -> Job {
        Job { kernel: kernel.into(), from, until }
    }

    #[test]
    fn a_resumed_run_does_what_is_left() {
        let (settings, rounds) = (settings((0, 5)), Rounds::begin(None));
        let rows = [Row::of("a", 4, Kind::Right, ""), Row::of("b", 1, Kind::Right, "")];
        assert_eq!(rounds.next(&settings, &summarise(&rows)), [job("b", 2, 5), job("c", 0, 5)]);
        let rows = [Row::of("a", 0, Kind::Hung, "")];
        assert_eq!(rounds.next(&settings, &summarise(&rows)), [job("b", 0, 5), job("c", 0, 5)]);
        assert!(!rounds.is_over() && rounds.left().is_none());
    }

    #[test]
    fn hours_go_round_by_round_until_every_kernel_failed_or_the_time_is_over() {
        let (settings, rounds) = (settings((0, u32::MAX)), Rounds::begin(Some(1.0)));
        assert_eq!(rounds.next(&settings, &[]), [job("a", 0, 20), job("b", 0, 20), job("c", 0, 20)]);
        let mut rows = vec![Row::of("a", 19, Kind::Right, ""), Row::of("b", 7, Kind::Wrong, "")];
        assert_eq!(rounds.next(&settings, &summarise(&rows)), [job("b", 8, 20), job("c", 0, 20)]);
        rows.extend([Row::of("b", 19, Kind::Right, ""), Row::of("c", 0, Kind::Skipped, "")]);
        assert_eq!(rounds.next(&settings, &summarise(&rows)), [job("a", 20, 40), job("b", 20, 40)]);
        rows.extend([Row::of("a", 20, Kind::Crashed, ""), Row::of("b", 20, Kind::Lost, "")]);
        assert!(rounds.next(&settings, &summarise(&rows)).is_empty());
        assert!(!rounds.is_over() && Rounds::begin(Some(0.0)).is_over());
    }
}
