//! The ends of a run: a failure, a stop, or a device that is lost, after which it goes on with another.

use std::path::Path;

use super::record::{self, End, STOPPED};
use super::{Earlier, REPORT, Run};
use crate::failure::Failure;
use crate::options::Common;

/// Says how to go on with a run that has not ended.
pub(super) fn resume_hint(command: &str, path: &Path) -> String {
    format!("Resume with `fourfold {command} --resume {}`", path.display())
}

impl Run {
    /// Returns the failure, or the loss of the device where that explains it.
    pub fn explained(&self, failure: Failure) -> Failure {
        match failure {
            known @ (Failure::Lost(_) | Failure::Stopped) => known,
            other if self.gpu.lost().is_some() => Failure::Lost(other.to_string()),
            other => other,
        }
    }

    /// Opens the run again from its last checkpoint, on a device that is opened for it.
    ///
    /// # Errors
    /// There is no device any more, or the folder cannot be read; the sentence says how to resume.
    pub fn reopened(mut self, common: &Common) -> Result<Self, Failure> {
        self.end_progress();
        let (path, command) = (self.path().to_owned(), self.configuration.command.clone());
        // Its lock, and the memory of its device.
        drop(self);
        let earlier = Earlier::open(&path, &command);
        let again = earlier.and_then(|earlier| {
            let gpu = common.reopen(&path, earlier.configuration.tuning.as_deref())?;
            earlier.resume(common, gpu)
        });
        again.map_err(|failure| Failure::Lost(format!("{failure}\n{}", resume_hint(&command, &path))))
    }

    /// Ends a run that failed: one that was refused for its input leaves nothing, one that was stopped a report of what
    /// it did.
    pub fn abandon(&mut self, failure: &Failure) {
        self.end_progress();
        match failure {
            Failure::Input(_) if !self.resumed => self.folder.discard(),
            // An earlier run that is refused is left as it was.
            Failure::Input(_) => {}
            Failure::Stopped => {
                let (report, command) = (self.partial_report(), &self.configuration.command);
                let written = self.folder.write(REPORT, report.markdown().as_bytes());
                if let Err(failure) = written.and_then(|()| self.end(STOPPED, None)) {
                    crate::tell!("error: {failure}");
                }
                if self.ranks.is_root() {
                    crate::tell!("Stopped. {}", resume_hint(command, self.path()));
                }
            }
            Failure::Lost(_) => {
                // The folder may be what failed.
                drop(self.end(&failure.to_string(), None));
                crate::tell!("{}", resume_hint(&self.configuration.command, self.path()));
            }
            // The folder may be what failed.
            failure => drop(self.end(&failure.to_string(), None)),
        }
    }

    /// Records the end.
    pub(super) fn end(&self, outcome: &str, result: Option<String>) -> Result<(), Failure> {
        let (unix_time, outcome) = (record::now(), outcome.to_owned());
        self.folder.end(End { unix_time, seconds: self.begun.elapsed().as_secs_f64(), outcome, result })
    }
}
