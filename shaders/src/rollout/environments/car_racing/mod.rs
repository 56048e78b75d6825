//! Car racing: a car of one rigid body on a track of its own, as Gymnasium's `CarRacing` without its physics engine.

mod background;
mod body;
mod driver;
mod picture;
mod table;
pub mod track;

use std::fmt;
use std::sync::Arc;

pub use background::Background;
use body::{Car, TIME_STEP};
use picture::View;
pub use picture::{Camera, Picture};
use track::Track;

use crate::rollout::unroll::{Environment, EpisodeRandom, Outcome, PictureSize};
use crate::{Error, RuntimeChecks, Sizes};

/// Half of the side of the field: a car beyond it is lost.
const FIELD: f64 = 1000.0 / 3.0;

/// Words of the tiles that were visited, 16 tiles each: more bits would not fit an f32, and a pattern of 32 bits could be
/// none of its numbers.
const WORDS: usize = track::MOST_SECTIONS / 16;

/// Numbers of a state before the words.
const BEFORE_WORDS: usize = 21;

/// Numbers of a state.
const STATES: usize = BEFORE_WORDS + WORDS;

/// Passes through loops over all tiles by their circles, each with one that finds its condition false.
const TILE_PASSES: usize = WORDS * (16 + 2) + 8;

/// Tiles within reach of a point, more than tracks have anywhere.
const WITHIN_REACH: usize = 40;

/// Steps of negative reward after which a [training episode](CarRacing::early_end) ends with the next one.
const PATIENCE: f64 = 20.0;

/// The task of Gymnasium's `CarRacing`, by equations of our own: one rigid body on four wheels without mass, whose contacts
/// are found by separating axes. On the same track a script that knows it scores the same here and there.
///
/// State: place of the centre of mass (2), angle, velocity (2), spin, steering angle, gas, speeds of the wheels (4) and how
/// far they have turned (4), steps since the start, number of the track, the wheels on the road (bits), tiles visited, steps
/// of negative reward in a row, and the tiles visited (24 numbers of 16 bits). Distances are the original's units, angles
/// radians from the y axis to the left, a step is 1/50 s.
///
/// Observation, a scene from which its picture can be drawn: place of the hull (2), angle, velocity (2), spin, steering
/// angle, gas, speeds of the wheels (4), how far they have turned (4), seconds, number of the track, and the tiles visited
/// (24 numbers, 16 bits over 2^16).
///
/// Action: steering in [-1, 1], to the right; gas and brake in [0, 1]. Each tile of a track of N that a wheel touches first
/// pays 1000 / N, each step costs 0.1. The episode ends once all tiles were visited, with a reward of -100 where the hull
/// leaves the field of +-333.3, and is cut off after 1,000 steps. As in the original a reset takes a step without action, whose
/// tiles are paid with the first action; contacts are those before a move, and give the grip of the next step.
///
/// Episode `e` of generation `g` runs on track `(g * episodes + e) % tracks` of a [table](Environment::table), so that members
/// with common random numbers race on the same tracks.
#[derive(Clone)]
pub struct CarRacing {
    tracks: Arc<[Track]>,
    table: Arc<[f32]>,
    /// True if an episode also ends after more than 20 steps of negative reward in a row, which saves training the time of
    /// cars that stand on the grass.
    pub early_end: bool,
    /// How its picture is drawn.
    pub picture: Picture,
    background: Option<Background>,
}

impl CarRacing {
    /// Most tracks of a table: 32 MB.
    pub const MOST_TRACKS: usize = 4096;

    /// A race on `count` tracks, drawn as the resets of episodes 0, 1, ... at the place `(seed, stream)`.
    pub fn new(seed: u32, stream: u32, count: usize) -> Self {
        let count = count.min(Self::MOST_TRACKS + 1) as u32;
        Self::on((0..count).map(|episode| Track::draw(&mut EpisodeRandom::new(seed, stream, episode, 0))))
    }

    /// A race on these tracks, rounded to f32.
    pub fn on(tracks: impl IntoIterator<Item = Track>) -> Self {
        let tracks: Arc<[Track]> = tracks.into_iter().map(|track| track.rounded()).collect();
        let start_of = |track: &Track| {
            let mut state = [0.0; STATES];
            Race::at_the_start_of(track).write(&mut state);
            state
        };
        Self {
            table: table::packed(&tracks, start_of).into(),
            tracks,
            early_end: false,
            picture: Picture::default(),
            background: None,
        }
    }

    /// The same with a picture in place of the grass.
    pub fn with_background(mut self, background: Background) -> Self {
        let tracks = self.table[..table::TRACK_NUMBERS * self.tracks.len()].iter().copied();
        self.table = tracks.chain(background.numbers()).collect();
        self.background = Some(background);
        self
    }

    /// The tracks.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The track of a state.
    fn track(&self, number: f64) -> &Track {
        &self.tracks[(number.round().max(0.0) as usize).min(self.tracks.len() - 1)]
    }

    /// A race as it is seen, with its track and background.
    fn view<'a>(&'a self, race: &'a Race) -> View<'a> {
        View { race, track: self.track(race.track), background: self.background.as_ref() }
    }
}

impl fmt::Debug for CarRacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tracks, early_end, picture, background, .. } = self;
        write!(f, "CarRacing {{ tracks: {}, early_end: {early_end}, picture: {picture:?}", tracks.len())?;
        match background {
            None => write!(f, " }}"),
            Some(background) => {
                let (side, moves) = (background.side(), background.moves());
                write!(f, ", background: {side} x {side}, moves: {moves} }}")
            }
        }
    }
}

/// Sixteen bits of a number, such as an f32 holds; of any number, such as no episode reaches.
fn bits(number: f64) -> u32 {
    number.round().clamp(0.0, 65_535.0) as u32
}

/// A state by its parts.
#[derive(Debug, Clone, PartialEq)]
struct Race {
    car: Car,
    steps: f64,
    track: f64,
    on_road: [bool; 4],
    count: f64,
    unrewarded: f64,
    visited: [u32; WORDS],
}

impl Race {
    /// A race whose reset has taken its step.
    fn at_the_start_of(track: &Track) -> Self {
        let mut race = Self {
            car: Car::at_the_start_of(track),
            steps: 0.0,
            track: 0.0,
            on_road: [false; 4],
            count: 0.0,
            unrewarded: 0.0,
            visited: [0; WORDS],
        };
        race.move_by(track, &[0.0; 3]);
        race
    }

    /// Moves the car by a step; returns the number of tiles that it touches first.
    fn move_by(&mut self, track: &Track, action: &[f64]) -> usize {
        let before = self.car;
        self.car.drive(-action[0], action[1], action[2], self.on_road);
        self.on_road = [false; 4];
        let mut new = 0;
        for tile in 0..track.sections().len() {
            let touches = before.touches(track, tile);
            let (word, bit) = (tile / 16, 1 << (tile % 16));
            for (on_road, touches) in self.on_road.iter_mut().zip(touches) {
                *on_road |= touches;
            }
            if touches.contains(&true) && self.visited[word] & bit == 0 {
                self.visited[word] |= bit;
                new += 1;
            }
        }
        self.steps += 1.0;
        self.count += new as f64;
        new
    }

    fn of(state: &[f64]) -> Self {
        let four = |first: usize| std::array::from_fn(|i| state[first + i]);
        let car = Car {
            place: [state[0], state[1]],
            angle: state[2],
            velocity: [state[3], state[4]],
            spin: state[5],
            steering: state[6],
            gas: state[7],
            speeds: four(8),
            turns: four(12),
        };
        let wheels = bits(state[18]);
        Self {
            car,
            steps: state[16],
            track: state[17],
            on_road: std::array::from_fn(|wheel| wheels >> wheel & 1 == 1),
            count: state[19],
            unrewarded: state[20],
            visited: std::array::from_fn(|word| bits(state[BEFORE_WORDS + word])),
        }
    }

    /// The race of a scene; contacts and counts, which a scene does not show, are 0.
    fn seen(scene: &[f64]) -> Self {
        let mut state = [0.0; STATES];
        state[..16].copy_from_slice(&scene[..16]);
        state[16..18].copy_from_slice(&[scene[16] / TIME_STEP, scene[17]]);
        for (number, share) in state[BEFORE_WORDS..].iter_mut().zip(&scene[18..]) {
            *number = 65_536.0 * share;
        }
        let mut race = Self::of(&state);
        race.car.place = race.car.place_of([scene[0], scene[1]]);
        race
    }

    fn write(&self, state: &mut [f64]) {
        let Car { place, angle, velocity, spin, steering, gas, speeds, turns } = self.car;
        let wheels: u32 = self.on_road.iter().enumerate().map(|(wheel, &on_road)| u32::from(on_road) << wheel).sum();
        let car = [place[0], place[1], angle, velocity[0], velocity[1], spin, steering, gas];
        let rest = [self.steps, self.track, f64::from(wheels), self.count, self.unrewarded];
        for (number, part) in state.iter_mut().zip(car.into_iter().chain(speeds).chain(turns).chain(rest)) {
            *number = part;
        }
        // As the kernel, which writes words only where tiles are new.
        for (number, word) in state[BEFORE_WORDS..].iter_mut().zip(self.visited) {
            if bits(*number) != word {
                *number = f64::from(word);
            }
        }
    }
}

impl Environment for CarRacing {
    fn file(&self) -> &str {
        "car_racing.wgsl"
    }

    fn source(&self) -> &str {
        const GREY: &str = wgsl!("car_racing.wgsl", "picture_grey.wgsl", "picture.wgsl");
        const COLOUR: &str = wgsl!("car_racing.wgsl", "picture_colour.wgsl", "picture.wgsl");
        if self.picture.colour { COLOUR } else { GREY }
    }

    fn runtime_checks(&self) -> RuntimeChecks {
        RuntimeChecks::own::<Self>()
    }

    fn states(&self) -> usize {
        STATES
    }

    fn observations(&self) -> usize {
        18 + WORDS
    }

    fn actions(&self) -> usize {
        3
    }

    fn horizon(&self) -> usize {
        1_000
    }

    fn check(&self) -> Result<(), Error> {
        let tracks = self.tracks.len();
        let range = 1..=Self::MOST_TRACKS;
        let Picture { size, samples, .. } = self.picture;
        Sizes("car racing")
            .expect("tracks", range.contains(&tracks), format_args!("1 to {}", Self::MOST_TRACKS), tracks)?
            .expect("the size of the picture", (1..=1024).contains(&size), "1 to 1024", size)?
            .expect("samples", (1..=8).contains(&samples), "1 to 8", samples)?;
        Ok(())
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        let patience = if self.early_end { PATIENCE } else { 1e30 };
        let Picture { camera, zoom_in, samples, instruments, .. } = self.picture;
        vec![
            ("TRACKS", self.tracks.len() as f64),
            ("PATIENCE", patience),
            ("ALONG_HULL", f64::from(u8::from(camera == Camera::Hull))),
            ("ZOOM_IN", f64::from(u8::from(zoom_in))),
            ("SAMPLES", samples as f64),
            ("INSTRUMENTS", f64::from(u8::from(instruments))),
            ("BACKGROUND", self.background.as_ref().map_or(0.0, |background| background.side() as f64)),
            ("BACKGROUND_MOVES", f64::from(u8::from(self.background.as_ref().is_some_and(Background::moves)))),
        ]
    }

    fn table(&self) -> Option<&[f32]> {
        Some(&self.table)
    }

    /// All tiles by their circles, the four edges of those within reach, and copies of states and scenes.
    fn iterations(&self) -> usize {
        TILE_PASSES + 2 * WORDS + 5 * WITHIN_REACH + 2 * STATES
    }

    /// A search for the tiles near a sample, then those circles and tiles.
    fn pixel_iterations(&self) -> usize {
        let sample = TILE_PASSES + WORDS + WITHIN_REACH;
        self.picture.samples.saturating_mul(self.picture.samples).saturating_mul(sample)
    }

    fn picture(&self) -> Option<PictureSize> {
        let Picture { size, colour, .. } = self.picture;
        Some(if colour { PictureSize::colour(size, size) } else { PictureSize::grey(size, size) })
    }

    /// Places on the field, and wheels that have turned many times.
    fn largest_observation(&self) -> f64 {
        512.0
    }

    /// A tile counts as touched, or does not.
    fn decides(&self) -> bool {
        true
    }

    /// A wheel's force is 82 times a difference of speeds of up to 100, and turns the car by its arm of 2 in each of four
    /// wheels: 50 roundings of 2^-24 of each of a dozen operations.
    fn rounding(&self) -> f64 {
        512.0
    }

    fn reset(&self, random: &mut EpisodeRandom, state: &mut [f64]) {
        let track = random.episode() as usize % self.tracks.len();
        let race = Race { track: track as f64, ..Race::at_the_start_of(&self.tracks[track]) };
        state.fill(0.0);
        race.write(state);
    }

    fn observe(&self, state: &[f64], observation: &mut [f64]) {
        let race = Race::of(state);
        observation[..16].copy_from_slice(&state[..16]);
        observation[..2].copy_from_slice(&race.car.hull());
        observation[16..18].copy_from_slice(&[TIME_STEP * race.steps, race.track]);
        for (number, word) in observation[18..].iter_mut().zip(race.visited) {
            *number = f64::from(word) / 65_536.0;
        }
    }

    fn pixel(&self, scene: &[f64], row: usize, column: usize) -> f64 {
        let race = Race::seen(scene);
        self.picture.pixel(&self.view(&race), row, column)
    }

    fn colour(&self, scene: &[f64], row: usize, column: usize) -> [f64; 3] {
        let race = Race::seen(scene);
        self.picture.colour(&self.view(&race), row, column)
    }

    fn step(&self, state: &mut [f64], action: &[f64], _: &mut EpisodeRandom) -> Outcome {
        let mut race = Race::of(state);
        // The tiles of the reset.
        let owed = if race.steps.round() == 1.0 { race.count } else { 0.0 };
        let track = self.track(race.track);
        let new = race.move_by(track, action) as f64;
        let tiles = track.sections().len() as f64;
        let [x, y] = race.car.hull();
        let left = x.abs() > FIELD || y.abs() > FIELD;
        let reward = if left { -100.0 } else { 1000.0 * (owed + new) / tiles - 0.1 };
        race.unrewarded = if reward < 0.0 { race.unrewarded + 1.0 } else { 0.0 };
        let patience = if self.early_end { PATIENCE } else { f64::INFINITY };
        let done = left || race.count.round() >= tiles || race.unrewarded.round() > patience;
        race.write(state);
        Outcome { reward, done }
    }
}

#[cfg(test)]
mod tests;
