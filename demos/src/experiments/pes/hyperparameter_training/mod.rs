//! Hyperparameters of networks that are trained side by side (Vicol et al. 2021, sections 5.2 and 5.3): the parts that
//! the experiments share.

mod descent;
mod images;
mod measurement;

pub use descent::{Defaults, PES, Path, TRUNCATED_ES, Training, with_default};
pub use images::Images;
pub use measurement::{MEASURED, check as check_measurement, measured};

/// Flags that `--quick` sets for both experiments.
pub const QUICK: &[(&str, &str)] =
    &[("data", "digits"), ("pool", "1"), ("units", "16"), ("batch", "16"), ("horizon", "20"), ("truncation", "5")];
