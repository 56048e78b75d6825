//! An environment: a WGSL file of three functions, and the same functions on the CPU.

use std::any::Any;
use std::fmt::Debug;

use super::LIBRARY;
use crate::description::joined::joined;
use crate::random::threefry;
use crate::{Binding, Error, RuntimeChecks, Sizes, product, sum};

/// A world that policies act in.
///
/// The WGSL file defines
///
/// ```wgsl
/// fn environment_reset(random: ptr<function, Random>) -> array<f32, STATE>
/// fn environment_observe(state: array<f32, STATE>) -> array<f32, OBSERVATIONS>
/// fn environment_step(state: ptr<function, array<f32, STATE>>, action: array<f32, ACTIONS>,
///                     random: ptr<function, Random>) -> Outcome
/// ```
///
/// with `struct Outcome { reward: f32, done: bool }`. It may draw with `random_uniform(random)` (in [0, 1)) and
/// `random_normal(random)`, use the functions of `mathematics.wgsl`, and names the sizes that this description gives.
/// The kernel adds what all worlds have in common: time limits, returns, episodes that follow each other.
///
/// A world that is seen gives a *scene* as its observation, a few numbers that say all that a picture of it shows. The
/// picture itself is drawn where it is consumed, pixel by pixel, by one more function of the file:
///
/// ```wgsl
/// fn environment_pixel(scene: array<f32, OBSERVATIONS>, row: u32, column: u32) -> f32
/// ```
///
/// It returns a grey from 0 to 255 of the pixel, counted from the top left; a world whose [picture](Self::picture) has three
/// channels returns red, green and blue as a `vec3<f32>`. Pictures are stored nowhere unless somebody asks for
/// [them](crate::rollout::picture).
///
/// A world with a [table](Self::table), such as the tracks of a race, reads it as `environment_table: array<f32>`.
///
/// The methods are the twin: they compute the same in f64, in the plainest way.
pub trait Environment: Any + Debug + Send + Sync {
    /// The name of the WGSL file, for messages: `cart_pole_swing_up.wgsl`.
    fn file(&self) -> &str;

    /// The text of the WGSL file.
    fn source(&self) -> &str;

    /// Numbers in the state, at least 1: `STATE` in the WGSL.
    fn states(&self) -> usize;

    /// Numbers in an observation, at least 1: `OBSERVATIONS` in the WGSL.
    fn observations(&self) -> usize;

    /// Numbers in an action, at least 1: `ACTIONS` in the WGSL.
    fn actions(&self) -> usize;

    /// Steps after which an episode is cut off, unless the user chooses otherwise.
    fn horizon(&self) -> usize;

    /// Checks the environment's own sizes: every plan does before it asks for anything else.
    ///
    /// # Errors
    /// A size or a factor out of range.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Values of pipeline-overridable constants of the WGSL file.
    fn constants(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// Units of 2^-24, relative to the larger of 1 and the value, by which one step in f32 may err.
    fn rounding(&self) -> f64 {
        64.0
    }

    /// The shader's runtime checks of the WGSL file: on, unless the author promises what it takes
    /// ([`RuntimeChecks::off`]), or it is [seen](super::Composition::without_needless_checks) to need none.
    fn runtime_checks(&self) -> RuntimeChecks {
        RuntimeChecks::ON
    }

    /// The size of the picture that the world is seen as; `None` if it is not.
    fn picture(&self) -> Option<PictureSize> {
        None
    }

    /// Numbers that all episodes read and none changes, made on the host. The WGSL file reads them as the storage buffer
    /// `environment_table: array<f32>`. They must stay the same for the life of the value.
    ///
    /// The buffer takes the place of another one: beside it, a step has no trace, and an unroll no wiring with a trace or
    /// with perturbed weights.
    fn table(&self) -> Option<&[f32]> {
        None
    }

    /// True if a step decides by comparisons of its numbers, such that a last bit may move others by a jump: whether a
    /// wheel touches a tile, say. A kernel is then not judged where the twin itself jumps for a difference that small.
    fn decides(&self) -> bool {
        false
    }

    /// Passes through loops of the WGSL in a reset and a step together, at most; 0 where it has none. A software driver's
    /// limit is held against them.
    fn iterations(&self) -> usize {
        0
    }

    /// Passes through loops of the WGSL to draw a pixel, at most.
    fn pixel_iterations(&self) -> usize {
        0
    }

    /// The magnitude that numbers of an observation reach, where that is more than a few units: the sums of a policy that
    /// reads them round by so much more.
    fn largest_observation(&self) -> f64 {
        1.0
    }

    /// The state at the start of an episode.
    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]);

    /// Writes the policy's view of a state.
    fn observe(&self, state: &[f64], observation: &mut [f64]);

    /// Advances the state by one step.
    fn step(&self, state: &mut [f64], action: &[f64], random: &mut EpisodeRandom) -> Outcome;

    /// The grey of a pixel of a scene, from 0 to 255; asked only of a world that has a [picture](Self::picture).
    fn pixel(&self, _scene: &[f64], _row: usize, _column: usize) -> f64 {
        0.0
    }

    /// Red, green and blue of a pixel of a scene, from 0 to 255; asked only of a world whose [picture](Self::picture) has
    /// three channels.
    fn colour(&self, scene: &[f64], row: usize, column: usize) -> [f64; 3] {
        [self.pixel(scene, row, column); 3]
    }
}

impl dyn Environment {
    /// The functions that the WGSL file must define, without the names of their arguments.
    pub fn functions(&self) -> Vec<String> {
        let sizes = [self.states(), self.observations(), self.actions()];
        let [state, observation, action] = sizes.map(|size| format!("array<f32, {size}>"));
        let mut functions = vec![
            format!("fn environment_reset(ptr<function, Random>) -> {state}"),
            format!("fn environment_observe({state}) -> {observation}"),
            format!("fn environment_step(ptr<function, {state}>, {action}, ptr<function, Random>) -> Outcome"),
        ];
        if let Some(size) = self.picture() {
            let level = if size.channels == 1 { "f32" } else { "vec3<f32>" };
            functions.push(format!("fn environment_pixel({observation}, u32, u32) -> {level}"));
        }
        functions
    }
}

/// The size of a picture in pixels, each a grey, or red, green and blue, from 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PictureSize {
    /// Pixels from top to bottom: `PICTURE_ROWS` in the WGSL.
    pub rows: usize,
    /// Pixels from left to right: `PICTURE_COLUMNS` in the WGSL.
    pub columns: usize,
    /// Numbers of a pixel, 1 or 3: `PICTURE_CHANNELS` in the WGSL.
    pub channels: usize,
}

impl PictureSize {
    /// A picture of greys.
    pub const fn grey(rows: usize, columns: usize) -> Self {
        Self { rows, columns, channels: 1 }
    }

    /// A picture of red, green and blue.
    pub const fn colour(rows: usize, columns: usize) -> Self {
        Self { rows, columns, channels: 3 }
    }

    /// Pixels of a picture.
    pub fn pixels(self) -> usize {
        product(&[self.rows, self.columns])
    }

    /// Bytes of a picture, row by row, the channels of a pixel side by side.
    pub fn bytes(self) -> usize {
        product(&[self.pixels(), self.channels])
    }

    /// Words of a picture of bytes, four bytes to a word. Four pixels fill one for each channel; what is left of the last
    /// ones is 0.
    pub fn words(self) -> usize {
        product(&[self.pixels().div_ceil(4), self.channels])
    }
}

impl std::fmt::Display for PictureSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rows, columns, channels } = self;
        write!(f, "{rows} x {columns}")?;
        if *channels == 1 { Ok(()) } else { write!(f, " in colour") }
    }
}

/// Numbers that a trace holds of one step: state, observation, action, reward, end.
pub fn traced(environment: &dyn Environment) -> usize {
    sum(&[environment.states(), environment.observations(), environment.actions(), 2])
}

/// Checks the sizes of an environment.
pub(crate) fn check_environment(environment: &dyn Environment) -> Result<(), Error> {
    environment.check()?;
    let sizes = [environment.states(), environment.observations(), environment.actions()];
    let [states, observations, actions] = sizes;
    Sizes("environment").positive(&[("states", states), ("observations", observations), ("actions", actions)])?;
    if let Some(table) = environment.table() {
        Sizes("environment").positive(&[("numbers in the table", table.len())])?;
    }
    if let Some(PictureSize { rows, columns, channels }) = environment.picture() {
        let sizes = [("rows", rows), ("columns", columns)];
        Sizes("picture").positive(&sizes)?.expect("channels", [1, 3].contains(&channels), "1 or 3", channels)?;
    }
    Ok(())
}

/// The sizes that the file of an environment names, as WGSL constants.
pub fn sizes(environment: &dyn Environment) -> String {
    let sizes = [
        ("STATE", environment.states()),
        ("OBSERVATIONS", environment.observations()),
        ("ACTIONS", environment.actions()),
        ("TRACE", traced(environment)),
    ];
    let picture = environment.picture().map(|PictureSize { rows, columns, channels }| {
        [("PICTURE_ROWS", rows), ("PICTURE_COLUMNS", columns), ("PICTURE_CHANNELS", channels)]
    });
    let sizes = sizes.into_iter().chain(picture.into_iter().flatten());
    sizes.map(|(name, value)| format!("const {name}: u32 = {value}u;\n")).collect()
}

/// The binding of the table of an environment that has one, behind all others of a kernel.
pub fn table_binding(environment: &dyn Environment) -> Option<Binding> {
    environment.table().map(|_| Binding::read("environment_table", "(numbers): made by the environment"))
}

/// The functions of an environment alone, for a kernel of any kind that calls them: its sizes, what its file may use, and
/// the file. The kernel adds bindings (that of a [table](table_binding), too), the uniform block, overrides and the entry point behind.
pub fn functions_alone(environment: &dyn Environment) -> String {
    joined(sizes(environment), LIBRARY.into_iter().chain([environment.source()]))
}

/// The whole text of a kernel that calls the functions of an environment: behind them the place of an invocation, and `own`,
/// the kernel's file.
pub(crate) fn with_functions(about: &str, bindings: &[Binding], environment: &dyn Environment, own: &str) -> String {
    let head = format!("// {about}: put together from plain files.\n\n{}", Binding::declare(bindings));
    joined(head, [&*functions_alone(environment), wgsl!("../../library/place.wgsl"), own])
}

/// The result of a step of an environment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The reward of the step.
    pub reward: f64,
    /// True if the episode ended of itself; time limits are not the environment's.
    pub done: bool,
}

impl Outcome {
    /// The end of the episode: 0 it goes on, 1 it ended of itself, 2 its time is up. `end_of` of
    /// `stepping.wgsl`.
    pub(crate) fn end(self, timed_out: bool) -> u32 {
        match (self.done, timed_out) {
            (true, _) => 1,
            (false, true) => 2,
            (false, false) => 0,
        }
    }
}

/// The deviates of one step of one episode, drawn in order: `Random` of `episode.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpisodeRandom {
    key: [u32; 2],
    episode: u32,
    drawn: u32,
}

impl EpisodeRandom {
    /// The deviates of step `time` of the episode of this number, for the place `(seed, stream)`.
    pub fn new(seed: u32, stream: u32, episode: u32, time: u32) -> Self {
        Self { key: [seed, stream], episode, drawn: time.wrapping_mul(256) }
    }

    fn words(&mut self) -> [u32; 2] {
        let words = threefry::threefry(self.key, [self.drawn, self.episode]);
        self.drawn = self.drawn.wrapping_add(1);
        words
    }

    /// The number of the episode.
    pub fn episode(&self) -> u32 {
        self.episode
    }

    /// A deviate in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        f64::from(threefry::uniform_of(self.words()[0]))
    }

    /// A deviate of the standard normal distribution.
    pub fn normal(&mut self) -> f64 {
        threefry::box_muller(self.words())[0]
    }
}
