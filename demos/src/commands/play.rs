//! `fourfold play`: a trained policy as a film, in the terminal and as a file.

use std::path::PathBuf;
use std::rc::Rc;

use clap::Args;
use serde_json::json;

use crate::animation::{self, Animation, projector};
use crate::entry::Plain;
use crate::failure::Failure;
use crate::limits;
use crate::options::Common;
use crate::picture::film::Format;
use crate::player::{SHIPPED, Scene, Trained};
use crate::run::Run;
use crate::run::report::Report;
use crate::table::{broken, width};

/// Play a trained policy as a film in the terminal (keys: s shuffles its inputs, n adds noise inputs, r begins another
/// episode, q quits) and as a GIF or animated PNG
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The policy: one that is built in (see --list), a file of weights, the folder of a run that trained one, or a folder
    /// of HuggingFace's decision transformer
    #[arg(value_name = "POLICY", default_value = "attention-neuron")]
    pub policy: PathBuf,
    /// List the policies that are built in
    #[arg(long)]
    pub list: bool,
    /// The world to play in, where the file names none [default: the one whose sizes fit]
    #[arg(long, value_name = "NAME")]
    pub world: Option<String>,
    /// The steps in which the inputs are shuffled [default: 400 for the attention neuron, none for others]
    #[arg(long, value_name = "STEPS", value_delimiter = ',')]
    pub shuffle_at: Option<Vec<usize>>,
    /// Noise inputs beside the observations of an attention neuron
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub noise_channels: usize,
    /// The return that is asked of a transformer [default: the one in its file]
    #[arg(long, value_name = "RETURN")]
    pub target: Option<f32>,
    /// Steps from one frame to the next [default: those of a 25th of a second]
    #[arg(long, value_name = "STEPS")]
    pub every: Option<usize>,
    /// The kind of the file in the folder of the run
    #[arg(long, value_name = "KIND", default_value = "gif")]
    pub format: Format,
    /// Write the film to this file too, as a GIF, or as an animated PNG if its name ends in .png
    #[arg(long, value_name = "FILE")]
    pub gif: Option<PathBuf>,
}

impl Plain for Arguments {
    const NAME: &'static str = "play";
    const COMMON: &'static [&'static str] = &["seed", "adapter", "no-tune", "out", "quick"];

    fn run(&self, common: &Common) -> Result<(), Failure> {
        if self.list {
            for shipped in SHIPPED {
                crate::show!("{}\n  {}", shipped.name, broken(shipped.about, width() - 2).replace('\n', "\n  "));
            }
            return Ok(());
        }
        if let Some(every) = self.every {
            limits::counts([("--every", every, 1..=100)])?;
        }
        if self.noise_channels > 27 {
            return Err(Failure::Input(format!("--noise-channels: expected 0 to 27, got {}", self.noise_channels)));
        }
        let shuffles = self.shuffle_at.clone().map(|mut shuffles| {
            shuffles.sort_unstable();
            shuffles.dedup();
            shuffles
        });
        let scene = Scene { shuffles, noise_channels: self.noise_channels, target: self.target };
        let trained = Trained::open(&self.policy, self.world.as_deref())?;
        trained.check(&scene)?;
        self.gif.as_deref().map_or(Ok(()), |file| limits::file("--gif", file))?;
        let gpu = common.open()?;
        let settings = json!({
            "policy": self.policy, "world": self.world, "shuffle_at": scene.shuffles,
            "noise_channels": self.noise_channels, "target": self.target,
        });
        let mut run = Run::of_command(common, Self::NAME, &gpu, settings)?;
        let mut player = trained.player(gpu, &scene)?;
        let first = player.first(common.seed)?;
        let every = self.every.unwrap_or_else(|| first.pace());
        let every = if common.quick { every.max(20) } else { every };
        let keys = player.keys();
        let shown = if common.quiet {
            None
        } else {
            projector::show(first.clone(), every, keys, Some(&mut |key, step| player.answer(key, step)))?
        };
        let film = shown.unwrap_or(first);
        self.publish(&mut run, &film, every)
    }
}

impl Arguments {
    fn publish(&self, run: &mut Run, film: &Rc<dyn Animation>, every: usize) -> Result<(), Failure> {
        let name = match self.format {
            Format::Gif => "film.gif",
            Format::Apng => "film.png",
        };
        let bytes = animation::export(run, &**film, self.format, every, self.gif.as_deref())?;
        let mut report = Report::new("A film of a policy");
        let shuffles: Vec<String> = film.shuffles().iter().map(usize::to_string).collect();
        let times = match shuffles.len() {
            0 => String::new(),
            1 => format!(", the inputs shuffled at step {}", shuffles[0]),
            _ => format!(", the inputs shuffled at steps {}", shuffles.join(", ")),
        };
        let title = film.title();
        let title = title[..1].to_uppercase() + &title[1..];
        report.paragraph(format!("{title}{times}; the film is `{name}`."));
        report.picture(name, "the film", bytes);
        report.result("score", json!(film.score()));
        report.result("steps", json!(film.length()));
        report.result("shuffles", json!(film.shuffles()));
        crate::show!("{}", run.publish(&report)?);
        Ok(())
    }
}
