//! `fourfold neuron watch`: one episode, what the network attends to in it, and its inputs being shuffled.

use clap::Args;
use fourfold::rollout::environments::CartPoleSwingUp;
use serde_json::json;

use super::weights::{File, Network};
use crate::failure::Failure;
use crate::neuron::evaluation::HORIZON;
use crate::neuron::scene::Film;
use crate::neuron::stage::animated;
use crate::neuron::strip::strip;
use crate::neuron::terminal;
use crate::neuron::watching::{Script, Shown};
use crate::options::Common;
use crate::progress::Progress;
use crate::run::folder::{RunFolder, adapter_json};

/// Watch one episode of the cart-pole swing-up: the cart, how much the network attends to each of its inputs, and what
/// happens when they are shuffled; in the terminal, as an animated PNG and as a strip
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub file: File,
    #[command(flatten)]
    pub network: Network,
    /// The steps in which the inputs are shuffled; 0 is from the start
    #[arg(long, value_name = "STEPS", value_delimiter = ',', default_values_t = [500])]
    pub shuffle_at: Vec<usize>,
    /// Never shuffle the inputs
    #[arg(long, conflicts_with_all = ["shuffle_at", "forget"])]
    pub never_shuffle: bool,
    /// Clear the memory of the channels when the inputs are shuffled
    #[arg(long)]
    pub forget: bool,
    /// The number of the episode [default: of the first 32, the first that lasts the longest]
    #[arg(long, value_name = "NUMBER")]
    pub episode: Option<usize>,
    /// Start hanging near rest instead of anywhere at any speed
    #[arg(long)]
    pub easy: bool,
    /// Steps from one frame to the next
    #[arg(long, value_name = "STEPS", default_value_t = 4)]
    pub every: usize,
    /// Inputs of nothing but noise beside the five observations
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub noise_channels: usize,
}

impl Arguments {
    fn script(&self, seed: u64) -> Result<Script, Failure> {
        let mut shuffles = if self.never_shuffle { Vec::new() } else { self.shuffle_at.clone() };
        shuffles.sort_unstable();
        shuffles.dedup();
        let refuse = |sentence: String| Err(Failure::Input(sentence));
        if let Some(step) = shuffles.iter().find(|&&step| step >= HORIZON) {
            return refuse(format!("--shuffle-at: expected steps from 0 to {}, got {step}", HORIZON - 1));
        }
        if !(1..=100).contains(&self.every) {
            return refuse(format!("--every: expected 1 to 100 steps, got {}", self.every));
        }
        if self.noise_channels > 27 {
            return refuse(format!("--noise-channels: expected 0 to 27, got {}", self.noise_channels));
        }
        if let Some(episode) = self.episode.filter(|&episode| episode > 99_999) {
            return refuse(format!("--episode: expected 0 to 99999, got {episode}"));
        }
        let world = CartPoleSwingUp { easy: self.easy };
        let script =
            Script { world, noise_channels: self.noise_channels, shuffles, forget: self.forget, seed: seed as u32 };
        script.check()?;
        Ok(script)
    }
}

/// Plays the episode, writes its pictures and shows it.
pub fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let script = arguments.script(common.seed)?;
    let network = arguments.network.description()?;
    let weights = arguments.file.load(&network)?;
    let every = if common.quick { 5 * arguments.every } else { arguments.every };
    let gpu = common.open(false)?;
    let settings = json!({
        "weights": arguments.file.weights, "rows": network.rows, "key_bias": network.key_bias,
        "shuffles": script.shuffles, "forget": script.forget, "episode": arguments.episode, "easy": arguments.easy,
        "every": every, "noise_channels": script.noise_channels,
    });
    let folder = RunFolder::create(common, "neuron-watch", &gpu, settings)?;

    let played = match arguments.episode {
        Some(episode) => script.play(&gpu, network, &weights, episode)?,
        None => script.pick(&gpu, network, &weights, if common.quick { 8 } else { 32 })?,
    };
    let Shown { film, differences } = script.show(network, &weights, &played)?;
    folder.write("strip.png", &strip(&film)?.png()?)?;
    let mut progress = Progress::new("frames", film.frames(every).len() as u64, common.quiet);
    folder.write("episode.png", &animated(&film, every, || progress.advance(1))?)?;
    progress.finish();

    write_steps(&folder, &film)?;
    let stretches: Vec<_> = film
        .stretches()
        .into_iter()
        .map(|steps| {
            let order: Vec<&str> =
                film.scenes[steps.start].channels.iter().map(|channel| film.sources[channel.source].as_str()).collect();
            json!({
                "from": steps.start, "until": steps.end, "order": order,
                "attention": film.sources.iter().zip(film.attention(steps)).collect::<Vec<_>>(),
            })
        })
        .collect();
    let results = json!({
        "episode": played.episode, "score": film.score(), "steps": film.scenes.len(), "left_the_track": film.fell,
        "stretches": stretches, "largest_difference_from_twin": { "first_50_steps": differences[0],
        "episode": differences[1] }, "adapter": adapter_json(gpu.info()),
    });
    folder.write_json("results.json", &results)?;
    let note = note(&film, &script, played.episode, arguments.episode.is_none());
    let report = format!(
        "# One episode of an attention neuron\n\n{note}\n\n![the episode](episode.png)\n\n![stills and attention \
         over time](strip.png)\n\n{}\nThe attention to an input is the mean of |A| over the rows of the message; what the \
         input adds to the message is A times its value, so that much attention to a quiet input (noise, say) moves \
         little. Every number is in `steps.csv`.\n\nAdapter: {} ({}).\n",
        attention_table(&film),
        gpu.info().name,
        gpu.info().driver_info,
    );
    folder.write("report.md", report.as_bytes())?;

    if common.quiet || !terminal::play(&film, every)? {
        println!("{}", terminal::listing(&film));
    }
    println!("\n{note}\n\nThe run is in {}", folder.path().display());
    Ok(())
}

/// What was seen, in a few sentences.
fn note(film: &Film, script: &Script, episode: usize, picked: bool) -> String {
    let start = if script.world.easy { "started hanging near rest" } else { "hard reset" };
    let chosen = if picked { ", picked because it lasts the longest" } else { "" };
    let (score, steps) = (film.score(), film.scenes.len());
    let mut text =
        format!("Episode {episode} of seed {} ({start}{chosen}): a score of {score:.0} in {steps} steps", script.seed);
    text += if film.fell { ", then the cart left the track." } else { "." };
    let seen = film.shuffles().len();
    match script.shuffles.len() {
        0 => text += " The inputs were never shuffled.",
        _ if seen == 0 => text += " It ended before the inputs were shuffled.",
        _ => {
            let steps = film.shuffles().iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
            let memory = if film.forgets { "cleared" } else { "kept" };
            let plural = if seen == 1 { "" } else { "s" };
            text += &format!(
                " The inputs were shuffled at step{plural} {steps}, with the memory of the channels {memory}."
            );
        }
    }
    text
}

/// The mean attention to each source while each order of the inputs lasted, in Markdown.
fn attention_table(film: &Film) -> String {
    let mut text = format!("| steps | {} |\n|---|{}\n", film.sources.join(" | "), "---|".repeat(film.inputs()));
    for steps in film.stretches() {
        let cells: Vec<String> = film.attention(steps.clone()).iter().map(|mean| format!("{mean:.2}")).collect();
        text += &format!("| {} to {} | {} |\n", steps.start, steps.end - 1, cells.join(" | "));
    }
    text
}

fn write_steps(folder: &RunFolder, film: &Film) -> Result<(), Failure> {
    let fixed = ["step", "position", "angle", "action", "score"].map(String::from);
    let slots =
        (1..=film.inputs()).flat_map(|slot| ["source", "value", "attention"].map(|name| format!("{name}_{slot}")));
    let header: Vec<String> = fixed.into_iter().chain(slots).collect();
    let row = |scene: &crate::neuron::scene::Scene| {
        let fixed = [scene.position, scene.angle, scene.action, scene.score].map(|number| number.to_string());
        let channels = scene.channels.iter().flat_map(|channel| {
            [film.sources[channel.source].clone(), channel.value.to_string(), channel.attention.to_string()]
        });
        [scene.step.to_string()].into_iter().chain(fixed).chain(channels).collect()
    };
    let rows: Vec<Vec<String>> = film.scenes.iter().map(row).collect();
    folder.write_csv("steps.csv", &header.iter().map(String::as_str).collect::<Vec<_>>(), &rows)
}
