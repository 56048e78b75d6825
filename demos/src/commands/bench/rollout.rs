//! `fourfold bench rollout`: environment steps per second of a population on this adapter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use cpu_time::ProcessTime;
use fourfold::Gpu;
use fourfold::rollout::environments::{CarRacing, CartPoleSwingUp};
use fourfold::rollout::policies::{AttentionNeuron, Linear, Perceptron};
use fourfold::rollout::{
    Composition, Environment, Operands, Plan, Policy, Rollout, Sensors, Settings, WeightSource, Weights,
};
use fourfold::shaders::rollout::ENVIRONMENTS;
use fourfold::shaders::{Data, Generator};
use serde_json::{Value, json};

use crate::adapter::adapter_json;
use crate::failure::Failure;
use crate::options::Common;
use crate::progress::{Progress, duration};
use crate::run::Run;
use crate::statistics::median;
use crate::table::{broken, table, width};

/// Measure rollouts: a population of perturbed members plays an environment, as in a generation of PGPE without its update
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Environment that is played
    #[arg(long, value_name = "NAME", value_parser = environments(), default_value = SWING_UP)]
    environment: String,
    /// Policy that plays
    #[arg(long, value_enum, default_value_t = PolicyName::AttentionNeuron)]
    policy: PolicyName,
    /// Length of the attention neuron's message, or width of the perceptron's two layers [default: 64]
    #[arg(long, value_name = "COUNT")]
    hidden: Option<usize>,
    /// Members of the population, an even number
    #[arg(long, value_name = "COUNT", default_value_t = 256)]
    members: usize,
    /// Episodes of each member
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    episodes: usize,
    /// Time limit of an episode, in steps
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    steps: usize,
    /// Nearly all episodes last to the end: easy starts, perturbations of 0.001 instead of 0.082
    #[arg(long)]
    alive: bool,
    /// Timed runs, each of another generation
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    runs: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The environment of the comparison with EvoJAX.
const SWING_UP: &str = "cart_pole_swing_up";
const CAR: &str = "car_racing";

fn environments() -> PossibleValuesParser {
    ENVIRONMENTS.iter().map(|listed| listed.name).collect::<Vec<_>>().into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PolicyName {
    /// One layer: 6 parameters
    Linear,
    /// Two hidden layers and tanh
    Perceptron,
    /// The network of EvoJAX, with biases in queries and keys: 1,025 parameters with --hidden 64
    AttentionNeuron,
}

/// Longest dispatch.
const DISPATCH: Duration = Duration::from_millis(200);

/// Deviation of the members from a centre of zeros, EvoJAX's first: and one so small that nobody leaves the track.
const DEVIATION: f32 = 0.082;
const ALIVE_DEVIATION: f32 = 0.001;

/// The measurements of one run.
struct Sample {
    wall: f64,
    /// CPU seconds of all threads, where the system tells.
    cpu: Option<f64>,
    /// Steps before the ends of the episodes.
    live: u64,
    mean_return: f64,
}

/// The settings of a run.
struct Work {
    environment: String,
    policy: PolicyName,
    hidden: Option<usize>,
    alive: bool,
    settings: Settings,
    runs: usize,
}

/// Measures rollouts; `json` asks for JSON as the flag does.
pub fn run(common: &Common, arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let work = Work::new(common, arguments)?;
    let composition = work.composition();
    let gpu = common.open()?;
    let plan = Plan::new(&composition, &work.settings, &gpu.target())?;
    let mut run = Run::of_command(common, "bench-rollout", &gpu, work.json())?;

    let mut progress = Progress::new("bench rollout", work.runs as u64 + 1, common.quiet);
    progress.say("compiling");
    let mut bench = Bench::new(&gpu, plan, common.seed as u32, work.deviation())?;
    bench.sample()?;
    progress.advance(1);
    progress.say("timed runs");
    let mut samples = Vec::with_capacity(work.runs);
    for _ in 0..work.runs {
        samples.push(bench.sample()?);
        progress.advance(1);
    }
    progress.finish();

    let result = work.result(&gpu, bench.rollout.plan(), &samples);
    run.write_json("result.json", &result)?;
    if json || arguments.json {
        crate::show!("{result:#}");
    } else {
        crate::show!("{}", work.report(&gpu, bench.rollout.plan(), &samples));
        crate::show!("{}", run.ending());
    }
    Ok(())
}

/// A rollout whose population and starts are new in each run.
struct Bench {
    gpu: Gpu,
    rollout: Rollout,
    seed: [u32; 2],
}

impl Bench {
    fn new(gpu: &Gpu, plan: Plan, key: u32, deviation: f32) -> Result<Self, Failure> {
        let count = plan.composition.parameters();
        let seed = [key, 0];
        let operands = Operands {
            seed: gpu.upload("seed", &Data::U32(seed.to_vec()))?,
            weights: Weights::Perturbed {
                center: gpu.zeros("center", count)?,
                deviation: gpu.upload("deviation", &Data::F32(vec![deviation; count]))?,
            },
            wiring: None,
        };
        let mut rollout = Rollout::new(gpu, plan, operands)?;
        rollout.pace(DISPATCH)?;
        Ok(Self { gpu: gpu.clone(), rollout, seed })
    }

    /// Plays the next generation, from the first dispatch to its returns and lengths on the CPU.
    fn sample(&mut self) -> Result<Sample, Failure> {
        let (begun, cpu) = (Instant::now(), ProcessTime::try_now().ok());
        let episodes = self.rollout.run()?;
        let wall = begun.elapsed().as_secs_f64();
        let cpu = cpu.and_then(|cpu| cpu.try_elapsed().ok()).map(|cpu| cpu.as_secs_f64());
        self.advance();
        let sum: f64 = episodes.returns.iter().map(|&score| f64::from(score)).sum();
        Ok(Sample {
            wall,
            cpu,
            live: episodes.lengths.iter().map(|&length| u64::from(length)).sum(),
            mean_return: sum / episodes.returns.len() as f64,
        })
    }

    fn advance(&mut self) {
        self.seed[1] = self.seed[1].wrapping_add(1);
        let view = &self.rollout.operands().seed;
        self.gpu.queue().write_buffer(&view.buffer, view.offset, bytemuck::bytes_of(&self.seed));
    }
}

impl Work {
    fn new(common: &Common, arguments: &Arguments) -> Result<Self, Failure> {
        let Arguments { policy, hidden, members, episodes, steps, alive, runs, .. } = *arguments;
        let environment = arguments.environment.clone();
        if alive && environment != SWING_UP {
            return Err(Failure::input(format!("--alive: expected --environment {SWING_UP}, got {environment}")));
        }
        let hidden = match (policy, hidden) {
            (PolicyName::Linear, Some(_)) => {
                return Err(Failure::input("--hidden: the linear policy has no hidden numbers; leave it out"));
            }
            (PolicyName::Linear, None) => None,
            (_, hidden) => Some(hidden.unwrap_or(64)),
        };
        if let Some(hidden) = hidden.filter(|hidden| !(1..=256).contains(hidden)) {
            return Err(Failure::input(format!("--hidden: expected 1 to 256, got {hidden}")));
        }
        if runs == 0 {
            return Err(Failure::input("--runs: expected at least 1, got 0"));
        }
        let (steps, runs) = if common.quick { (steps.min(100), runs.min(2)) } else { (steps, runs) };
        // As in a training, whose rollouts are to be measured.
        let settings = Settings { allow_slow_compile: true, ..Settings::new(members, episodes, steps) };
        Ok(Self { environment, policy, hidden, alive, settings, runs })
    }

    fn composition(&self) -> Composition {
        let width = self.hidden.unwrap_or_default();
        let policy: Arc<dyn Policy> = match self.policy {
            PolicyName::Linear => Arc::new(Linear),
            PolicyName::Perceptron => Arc::new(Perceptron::new(&[width, width])),
            PolicyName::AttentionNeuron => Arc::new(AttentionNeuron { rows: width, ..AttentionNeuron::evojax() }),
        };
        let environment: Arc<dyn Environment> = match ENVIRONMENTS.iter().find(|listed| listed.name == self.environment)
        {
            // Whose episodes end early are nearly all over before the car has gone a metre.
            Some(listed) if listed.name == CAR => Arc::new(CarRacing::new(1, 1, 16)),
            Some(listed) if listed.name != SWING_UP => (listed.draw)(&mut Generator::new(0, Generator::FULL)),
            _ => Arc::new(CartPoleSwingUp { easy: self.alive }),
        };
        Composition { environment, policy, sensors: Sensors::default(), weights: WeightSource::Perturbed }
    }

    fn deviation(&self) -> f32 {
        if self.alive { ALIVE_DEVIATION } else { DEVIATION }
    }

    fn policy_name(&self) -> String {
        self.policy.to_possible_value().map_or_else(String::new, |value| value.get_name().into())
    }

    /// Episodes of all members.
    fn lanes(&self) -> usize {
        self.settings.members * self.settings.episodes
    }

    /// Steps if every episode lasted to the end.
    fn lane_steps(&self) -> u64 {
        self.lanes() as u64 * self.settings.horizon as u64
    }

    fn json(&self) -> Value {
        let Settings { members, episodes, horizon, .. } = self.settings;
        json!({
            "environment": self.environment, "policy": self.policy_name(), "hidden": self.hidden, "members": members, "episodes": episodes,
            "steps": horizon, "alive": self.alive, "runs": self.runs,
        })
    }

    /// Returns the figures that EvoJAX's half of the comparison prints, and this adapter's own.
    fn result(&self, gpu: &Gpu, plan: &Plan, samples: &[Sample]) -> Value {
        let mut result = json!({
            "library": format!("fourfold {}", env!("CARGO_PKG_VERSION")),
            "adapter": adapter_json(gpu.info()),
            "parameters": plan.composition.parameters(),
            "dispatches": plan.dispatches(),
            "steps_of_a_dispatch": plan.settings.steps,
            "bytes": plan.bytes(),
            "lane_steps": self.lane_steps(),
            "live_steps": samples.iter().map(|sample| sample.live).collect::<Vec<_>>(),
            "wall_s": samples.iter().map(|sample| sample.wall).collect::<Vec<_>>(),
            "mean_return": samples.iter().map(|sample| sample.mean_return).collect::<Vec<_>>(),
        });
        let Value::Object(entries) = &mut result else { unreachable!("it was written as an object above") };
        if let Value::Object(settings) = self.json() {
            entries.extend(settings);
        }
        if let Some(cpu) = samples.iter().map(|sample| sample.cpu).collect::<Option<Vec<f64>>>() {
            entries.insert("cpu_s".into(), json!(cpu));
        }
        result
    }

    fn report(&self, gpu: &Gpu, plan: &Plan, samples: &[Sample]) -> String {
        let (lanes, lane_steps) = (self.lanes() as f64, self.lane_steps() as f64);
        let rate = |name: &str, count: &dyn Fn(&Sample) -> f64, seconds: &dyn Fn(&Sample) -> Option<f64>| {
            let rates: Option<Vec<f64>> =
                samples.iter().map(|sample| seconds(sample).map(|seconds| count(sample) / seconds)).collect();
            let cell = |rate: Option<f64>| rate.map_or("unknown".into(), grouped);
            let best = rates.as_ref().map(|rates| rates.iter().copied().fold(0.0, f64::max));
            [name.to_owned(), cell(best), cell(rates.map(|rates| median(&rates)))]
        };
        let wall = |sample: &Sample| Some(sample.wall);
        let cpu = |sample: &Sample| sample.cpu;
        let rows = [
            rate("live steps / s", &|sample| sample.live as f64, &wall),
            rate("all lane steps / s", &|_| lane_steps, &wall),
            rate("episodes / s", &|_| lanes, &wall),
            rate("live steps / CPU second", &|sample| sample.live as f64, &cpu),
            rate("all lane steps / CPU second", &|_| lane_steps, &cpu),
        ];
        let live: u64 = samples.iter().map(|sample| sample.live).sum();
        let share = live as f64 / (lane_steps * samples.len() as f64);
        let shortest = samples.iter().map(|sample| sample.wall).fold(f64::INFINITY, f64::min);
        let text = format!(
            "{} ({} parameters) in {}{}: {} members x {} episodes x {} steps \
             (dispatches: {}, of {} steps), best run {}; {} ({}).\nAll lane steps count every episode as if it had lasted to the \
             end; live steps are those played, {:.1} % of them here.",
            self.policy_name(),
            plan.composition.parameters(),
            self.environment,
            if self.alive { ", easy starts" } else { "" },
            self.settings.members,
            self.settings.episodes,
            self.settings.horizon,
            plan.dispatches(),
            plan.settings.steps,
            duration(Duration::from_secs_f64(shortest)),
            gpu.info().name,
            gpu.info().backend,
            100.0 * share,
        );
        format!("{}\n{}", table(["", "best run", "median run"], rows), broken(&text, width()))
    }
}

/// A rate with its thousands grouped.
fn grouped(rate: f64) -> String {
    let digits = format!("{rate:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped_from_the_right() {
        assert_eq!(grouped(999.4), "999");
        assert_eq!(grouped(1_000.0), "1,000");
        assert_eq!(grouped(15_123_456.0), "15,123,456");
    }
}
