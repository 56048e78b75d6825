//! Frames of a stage in tests.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Stage;

/// Frames until a condition holds.
pub(crate) fn frames_until(stage: &mut Stage, done: impl Fn(&Stage) -> bool) {
    let start = Instant::now();
    while !done(stage) {
        stage.frame(start.elapsed().as_secs_f64()).unwrap();
        sleep(Duration::from_millis(1));
        // Far longer than a loaded machine takes: a scene that never gets there ends here.
        assert!(start.elapsed() < Duration::from_secs(300), "{:?} {:?}", stage.counts(), stage.readings());
    }
}

/// The reading of a name.
#[track_caller]
pub(crate) fn reading(stage: &Stage, name: &str) -> f64 {
    let readings = stage.readings();
    readings.iter().find(|reading| reading.name == name).unwrap_or_else(|| panic!("{name}: {readings:?}")).value
}
