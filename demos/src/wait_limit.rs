//! The time after which a submission counts as hanging.

use std::time::Duration;

use fourfold::Gpu;

use crate::failure::Failure;

/// A variable with the seconds that a command waits for the device, at most.
const VARIABLE: &str = "FOURFOLD_WAIT_LIMIT";

/// No submission takes a GPU more than seconds.
const OF_A_GPU: Duration = Duration::from_secs(10 * 60);

/// A software driver takes minutes for steps of large networks, and compiles in the first of them.
const OF_A_PROCESSOR: Duration = Duration::from_secs(2 * 60 * 60);

/// Lets the device count as lost once a submission hangs.
///
/// # Errors
/// The variable is no number of seconds above 0.
pub fn limit(gpu: &Gpu) -> Result<(), Failure> {
    let longest = match std::env::var(VARIABLE) {
        Ok(text) => seconds(&text)
            .ok_or_else(|| Failure::Input(format!("{VARIABLE}: expected seconds above 0, got `{text}`")))?,
        Err(_) if gpu.target().software => OF_A_PROCESSOR,
        Err(_) => OF_A_GPU,
    };
    gpu.limit_waits(longest);
    Ok(())
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok().filter(|time| !time.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_numbers_above_0() {
        assert_eq!(seconds("0.25"), Some(Duration::from_millis(250)));
        for wrong in ["", "0", "-1", "NaN", "inf", "5 s"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
