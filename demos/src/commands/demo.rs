//! `fourfold demo`: everything worth showing so far, on whatever adapter there is.

use std::sync::Arc;

use fourfold::shaders::policies::AttentionNeuron;

use crate::Failure;
use crate::arguments::Common;
use crate::commands::neuron::weights::trained;
use crate::commands::sam::{Comparison, Settings};
use crate::commands::verify;
use crate::neuron::evaluation::{Order, Protocol};

/// Cases of each kernel: enough to see a broken driver.
const CASES: u32 = 3;

/// Episodes of the policy.
const EPISODES: usize = 200;

/// Judges the kernels, trains on handwritten digits, nearly half of whose labels are wrong, and shuffles the inputs of
/// a trained policy.
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
    println!("The pictures accuracy.png and loss.png there show the epochs.\n");

    println!(
        "4. An attention neuron (Tang & Ha 2021), trained before, swings a pole up and balances it, {EPISODES} times"
    );
    println!("   at once on the GPU. Then its five inputs come in another order in every episode:\n");
    let network = AttentionNeuron::cart_pole();
    let weights = trained()?;
    let plain = Protocol::plain(EPISODES, common.seed as u32);
    for (order, name) in [(Order::Plain, "as trained"), (Order::Shuffled, "shuffled")] {
        let scores = Protocol { order, ..plain }.scores(&gpu, Arc::new(network), &weights)?;
        println!("   {name:<10}  mean score {:.0}, standard error {:.0}", scores.mean(), scores.error());
    }
    println!("\nNext: `fourfold neuron --help`, `fourfold sam --help`, `fourfold verify`.");
    Ok(())
}
