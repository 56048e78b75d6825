//! `fourfold neuron watch`: one episode, what the network attends to in it, and its inputs being shuffled.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use fourfold::models::TrainedVision;
use fourfold::rollout::environments::CartPoleSwingUp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::evaluation::HORIZON;
use super::network::{File, Network};
use super::scene::{Film, Scene};
use super::sight::{self, SeenWorld, Sight};
use super::strip::strip;
use super::terminal;
use super::watching::{Script, Shown};
use crate::animation::{self, Animation, projector};
use crate::experiment::Experiment;
use crate::failure::Failure;
use crate::limits;
use crate::picture::film::Format;
use crate::run::Run;
use crate::run::report::Report;

/// Watch one episode of the cart-pole swing-up, or of a network that sees: what it attends to, and what happens when its
/// inputs are shuffled; in the terminal, as an animated PNG and as stills
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    /// The world; the file of one that is seen decides which network sees it
    #[arg(long, value_enum, default_value_t = WatchedWorld::CartPole)]
    pub world: WatchedWorld,
    #[command(flatten)]
    #[serde(flatten)]
    pub file: File,
    #[command(flatten)]
    #[serde(flatten)]
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
    /// The number of the episode [default: the first of the longest among --candidates]
    #[arg(long, value_name = "NUMBER")]
    pub episode: Option<usize>,
    /// Start hanging near rest instead of anywhere at any speed
    #[arg(long)]
    pub easy: bool,
    /// Steps from one frame to the next
    #[arg(long, value_name = "STEPS", default_value_t = 4)]
    pub every: usize,
    /// Noise inputs beside the five observations
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub noise_channels: usize,
    /// Episodes from the first on, of which the first of the longest is shown
    #[arg(long, value_name = "COUNT", default_value_t = 32)]
    pub candidates: usize,
    /// Write the film to this file too, as a GIF, or as an animated PNG if its name ends in .png
    #[arg(long, value_name = "FILE")]
    pub gif: Option<PathBuf>,
}

/// A world to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WatchedWorld {
    /// The cart-pole swing-up, by its numbers
    CartPole,
    /// The car race, by its picture in patches
    Car,
    /// Pong, by its picture in patches
    Pong,
}

impl Experiment for Settings {
    const NAME: &'static str = "neuron watch";
    const SEEDS: Option<&'static str> = None;
    const QUICK: &'static [(&'static str, &'static str)] = &[("every", "20"), ("candidates", "8")];

    const ACTS_WITH: &'static [(&'static str, &'static str, &'static [&'static str])] = &[
        ("candidates", "episode", &["null"]),
        ("candidates", "world", &["cart-pole"]),
        ("rows", "world", &["cart-pole"]),
        ("key_bias", "world", &["cart-pole"]),
        ("forget", "world", &["cart-pole"]),
        ("episode", "world", &["cart-pole"]),
        ("easy", "world", &["cart-pole"]),
        ("noise_channels", "world", &["cart-pole"]),
    ];

    fn inputs(&self) -> Vec<PathBuf> {
        self.file.weights.iter().cloned().collect()
    }

    fn check(&self) -> Result<(), Failure> {
        limits::counts([("--candidates", self.candidates, 1..=100_000)])?;
        self.script(0)?;
        self.gif.as_deref().map_or(Ok(()), |file| limits::file("--gif", file))?;
        match self.world {
            WatchedWorld::CartPole => self.file.load(&self.network.description()?).map(drop),
            _ => self.seeing().map(drop),
        }
    }

    fn run(&self, run: &mut Run) -> Result<Report, Failure> {
        if self.world != WatchedWorld::CartPole {
            return self.watch_sight(run);
        }
        let script = self.script(run.seed())?;
        let network = self.network.description()?;
        let weights = self.file.load(&network)?;
        let played = match self.episode {
            Some(episode) => script.play(&run.gpu(), Arc::new(network), &weights, episode)?,
            None => script.pick(&run.gpu(), Arc::new(network), &weights, self.candidates)?,
        };
        let Shown { film, differences } = script.show(network, &weights, &played)?;
        let episode = animation::export(run, &film, Format::Apng, self.every, self.gif.as_deref())?;
        let stretches: Vec<_> = film
            .stretches()
            .into_iter()
            .map(|steps| {
                let order: Vec<&str> = film.scenes[steps.start]
                    .channels
                    .iter()
                    .map(|channel| film.sources[channel.source].as_str())
                    .collect();
                json!({
                    "from": steps.start, "until": steps.end, "order": order,
                    "attention": film.sources.iter().zip(film.attention(steps)).collect::<Vec<_>>(),
                })
            })
            .collect();
        write_steps(run, &film)?;
        let mut report = Report::new("One episode of an attention neuron");
        report.paragraph(self.note(&film, &script, played.episode));
        report.picture("episode.png", "the episode", episode);
        report.picture("strip.png", "stills and attention over time", strip(&film).png()?);
        let header: Vec<&str> = ["steps"].into_iter().chain(film.sources.iter().map(String::as_str)).collect();
        report.table(
            &header,
            film.stretches().into_iter().map(|steps| {
                let attention = film.attention(steps.clone()).into_iter().map(|mean| format!("{mean:.2}"));
                [format!("{} to {}", steps.start, steps.end - 1)].into_iter().chain(attention).collect::<Vec<_>>()
            }),
        );
        report.explanation(
            "The attention to an input is the mean of |A| over the rows of the message; what the input adds to the message \
             is A times its value, so that much attention to a quiet input (noise, say) moves little. Every number is in \
             `steps.csv`.",
        );
        for (key, value) in [
            ("episode", json!(played.episode)),
            ("score", json!(film.score())),
            ("steps", json!(film.scenes.len())),
            ("left_the_track", json!(film.fell)),
            ("stretches", json!(stretches)),
            ("largest_difference_from_twin", json!({ "first_50_steps": differences[0], "episode": differences[1] })),
        ] {
            report.result(key, value);
        }
        if run.is_quiet() || projector::show(Rc::new(film.clone()), self.every, &[], None)?.is_none() {
            crate::show!("{}", terminal::listing(&film));
        }
        Ok(report)
    }
}

impl Settings {
    /// The network that sees, and its weights.
    fn seeing(&self) -> Result<TrainedVision, Failure> {
        let Some(file) = &self.file.weights else {
            let expected = "expected a file of a network that sees, as `fourfold neuron drive train` writes it";
            return Err(Failure::Input(format!("--weights: {expected}, got none")));
        };
        let trained = TrainedVision::load(file, self.file.tensor.as_deref(), &sight::networks())?;
        let (expected, found) = (self.world, SeenWorld::of(trained.network()));
        if (expected == WatchedWorld::Pong) != (found == SeenWorld::Pong) {
            let found = found.name();
            return Err(Failure::Input(format!("--world: {} holds a network of {found}", file.display())));
        }
        Ok(trained)
    }

    /// An episode of a network that sees: what there is, what it is shown, and where it looks.
    fn watch_sight(&self, run: &mut Run) -> Result<Report, Failure> {
        let shuffles = self.script(run.seed())?.shuffles;
        let film = Sight { seed: run.seed() as u32, shuffles, horizon: HORIZON }.film(&run.gpu(), &self.seeing()?)?;
        let episode = animation::export(run, &film, Format::Apng, self.every, self.gif.as_deref())?;
        let mut report = Report::new("One episode of a network that sees");
        let title = film.title();
        report.paragraph(format!("{}{}.", title[..1].to_uppercase(), &title[1..]));
        report.explanation(
            "At the left what there is, at the right what the network is shown: its patches in the order of the last shuffle. \
             Those that it looks at most are framed in both.",
        );
        report.picture("episode.png", "the episode", episode);
        let still = film.shuffles().last().map_or(film.length() - 1, |&shuffle| (shuffle + 1).min(film.length() - 1));
        report.picture("still.png", "a still", film.frame(still).png()?);
        report.result("score", json!(film.score()));
        report.result("steps", json!(film.length()));
        report.result("shuffles", json!(film.shuffles()));
        if !run.is_quiet() {
            projector::show(Rc::new(film), self.every, &[], None)?;
        }
        Ok(report)
    }

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
        let noise_channels = self.noise_channels;
        let script =
            Script { world: Arc::new(world), noise_channels, shuffles, forget: self.forget, seed: seed as u32 };
        script.check()?;
        Ok(script)
    }

    /// Describes the episode in a few sentences.
    fn note(&self, film: &Film, script: &Script, episode: usize) -> String {
        let start = if self.easy { "started hanging near rest" } else { "hard reset" };
        let chosen = if self.episode.is_none() { ", picked because it lasts the longest" } else { "" };
        let (score, steps) = (film.score(), film.scenes.len());
        let mut text = format!(
            "Episode {episode} of seed {} ({start}{chosen}): a score of {score:.0} in {steps} steps",
            script.seed
        );
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
}

fn write_steps(run: &mut Run, film: &Film) -> Result<(), Failure> {
    let fixed = ["step", "position", "angle", "action", "score"].map(String::from);
    let slots =
        (1..=film.inputs()).flat_map(|slot| ["source", "value", "attention"].map(|name| format!("{name}_{slot}")));
    let header: Vec<String> = fixed.into_iter().chain(slots).collect();
    let row = |scene: &Scene| {
        let fixed = [scene.position, scene.angle, scene.action, scene.score].map(|number| number.to_string());
        let channels = scene.channels.iter().flat_map(|channel| {
            [film.sources[channel.source].clone(), channel.value.to_string(), channel.attention.to_string()]
        });
        [scene.step.to_string()].into_iter().chain(fixed).chain(channels).collect()
    };
    let rows: Vec<Vec<String>> = film.scenes.iter().map(row).collect();
    run.write_csv("steps.csv", &header.iter().map(String::as_str).collect::<Vec<_>>(), &rows)
}
