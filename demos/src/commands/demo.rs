//! `fourfold demo`: everything worth showing so far, on whatever adapter there is.

use crate::Failure;
use crate::arguments::Common;
use crate::commands::sam::{Comparison, Settings};
use crate::commands::verify;

/// Cases of each kernel: enough to see a broken driver.
const CASES: u32 = 3;

/// Judges the kernels, then trains on handwritten digits, nearly half of whose labels are wrong.
pub fn run(common: &Common) -> Result<(), Failure> {
    let gpu = common.open(false)?;
    println!("1. The adapter: {} ({})\n", gpu.info().name, gpu.info().backend);

    println!("2. Every kernel against its CPU twin, on this adapter");
    println!("   {}\n", verify::glance(common, &gpu, if common.quick { 1 } else { CASES })?);

    println!(
        "3. A perceptron learns 1,438 real handwritten digits of which 40 % bear a wrong label, and is asked about"
    );
    println!(
        "   359 others: with SGD, and with SAM, which looks for flat minima by a second backward pass (Foret et al."
    );
    println!("   2021). SGD learns the wrong labels by heart; SAM less so.\n");
    let settings = Settings {
        label_noise: 0.4,
        rho: 0.3,
        seeds: if common.quick { 1 } else { 3 },
        epochs: if common.quick { 10 } else { 40 },
        lanczos: 20,
        ..Settings::standard(common)?
    };
    println!("{}", Comparison::begin(common, settings)?.run(common)?);
    println!(
        "The pictures accuracy.png and loss.png there show the epochs. Next: `fourfold sam --help`, `fourfold verify`."
    );
    Ok(())
}
