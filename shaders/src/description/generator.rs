//! A seeded source of the shapes and values of random cases.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::{Data, Target};

/// The kind of shapes that a [`Generator`] draws.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Shapes {
    /// Ragged and small ones, rarely one past a dimension of the grid.
    #[default]
    Any,
    /// Past 65,535 workgroups, for kernels that can be asked for as many.
    Folded,
    /// Those of real models, thin and long: a vocabulary of 50,257 words, rows of 100,000 columns, sums of 4,096 terms.
    Models,
}

/// A seeded source of shapes and values. A smaller `size` gives smaller shapes from the same seed, which is how a
/// property test shrinks a failure.
#[derive(Debug)]
pub struct Generator {
    rng: SmallRng,
    size: u32,
    shapes: Shapes,
    device: Option<Target>,
    only: bool,
}

/// Values that are drawn at most; longer tensors repeat them. A prime, so that no stride of a kernel is a multiple of it.
const PERIOD: usize = 65_537;

impl Generator {
    /// The size at which the full range of shapes is drawn.
    pub const FULL: u32 = 100;

    /// Returns the generator of this seed; `size` is clamped to 1 to [`Self::FULL`].
    pub fn new(seed: u64, size: u32) -> Self {
        let (shapes, device) = (Shapes::Any, None);
        Self { rng: SmallRng::seed_from_u64(seed), size: size.clamp(1, Self::FULL), shapes, device, only: false }
    }

    /// The same with shapes of one kind alone.
    pub fn with_shapes(self, shapes: Shapes) -> Self {
        Self { shapes, ..self }
    }

    /// The same with the variants that this device gets among those that are drawn.
    pub fn for_device(self, device: Target) -> Self {
        Self { device: Some(device), ..self }
    }

    /// The same with the variants that this device gets, and no others.
    pub fn only_for_device(self, device: Target) -> Self {
        Self { device: Some(device), only: true, ..self }
    }

    /// Draws a target: any GPU, a software driver, or the device if there is one.
    pub fn target(&mut self) -> Target {
        let software = self.chance(0.5);
        let imaginary = Target { software, ..Target::default() };
        let own = self.device.is_some() && self.half_or_only();
        self.device.filter(|_| own).unwrap_or(imaginary)
    }

    /// Returns true in half of the cases if the device is a GPU: for variants that take software drivers minutes to
    /// compile.
    pub fn on_gpu(&mut self) -> bool {
        self.device.is_some_and(|device| !device.software) && self.half_or_only()
    }

    /// Returns true in half of the cases, or in all where the device is the only target.
    fn half_or_only(&mut self) -> bool {
        self.chance(0.5) || self.only
    }

    /// Draws the invocations of a workgroup in which each has a lane of its own: 64, as GPUs get, or the 8 of software
    /// drivers, with which a grid folds sooner.
    pub(crate) fn lanes_of_a_workgroup(&mut self) -> usize {
        if self.on_gpu() && !self.must_fold() { 64 } else { 8 }
    }

    /// Draws the device if it is a GPU, in half of the cases, else `other`, whose narrower workgroups fold.
    pub fn gpu_or(&mut self, other: Target) -> Target {
        let on_gpu = self.on_gpu() && !self.must_fold();
        self.device.filter(|_| on_gpu).unwrap_or(other)
    }

    /// Returns true if shapes of real models are asked for.
    pub fn of_models(&self) -> bool {
        self.shapes == Shapes::Models
    }

    /// Returns true if the grid must have two workgroups or more.
    pub(crate) fn must_fold(&self) -> bool {
        self.shapes == Shapes::Folded
    }

    /// Returns the random numbers themselves.
    pub fn rng(&mut self) -> &mut SmallRng {
        &mut self.rng
    }

    /// Returns true with this probability, from 0 to 1.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }

    /// Returns one of the choices, all equally likely.
    ///
    /// # Panics
    /// If there are no choices.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.rng.random_range(0..choices.len())]
    }

    /// Returns true if a shape past one dimension of the grid is asked for: at full size about one case in 250, or all.
    pub fn huge(&mut self) -> bool {
        let drawn = self.chance(0.004);
        match self.shapes {
            Shapes::Any => drawn && self.size == Self::FULL,
            Shapes::Folded => true,
            Shapes::Models => false,
        }
    }

    /// A length from 1 to `most`, with a liking for 1, for powers of two and their neighbours and for multiples of 32; one from the upper
    /// half where the grid must have more than one workgroup to fold.
    pub fn length(&mut self, most: usize) -> usize {
        let most = (most * self.size as usize / Self::FULL as usize).max(1);
        if self.must_fold() {
            return self.rng.random_range(most.div_ceil(2)..=most);
        }
        let length = match self.rng.random_range(0..8) {
            0 => 1,
            1 | 2 => (1usize << self.rng.random_range(0..=most.ilog2())) + self.rng.random_range(0..3) - 1,
            3 => self.rng.random_range(1..=most.min(9)),
            4 if most >= 64 => 32 * self.rng.random_range(1..=most / 32),
            _ => self.rng.random_range(1..=most),
        };
        length.clamp(1, most)
    }

    /// `count` numbers of one of several kinds: mostly normal deviates, at times of a large or tiny scale, with
    /// zeros, all equal, or with subnormal numbers among them. Magnitudes stay below `largest`.
    pub fn values(&mut self, count: usize, largest: f32) -> Data {
        let scale = match self.rng.random_range(0..10) {
            0 => largest / 8.0,
            1 => 1e-6_f32.min(largest / 8.0),
            2 => (largest / 8.0).sqrt().min(largest / 8.0),
            // Any power of ten: a unit that changes at some magnitude has two sides.
            3 | 4 => 10f32.powf(self.rng.random_range(-30.0..30.0)).min(largest / 8.0),
            5 => 10f32.powf(self.rng.random_range(-7.0..7.0)).min(largest / 8.0),
            _ => 1.0_f32.min(largest / 8.0),
        };
        let kind = self.rng.random_range(0..10);
        let constant = self.normal() * scale;
        // A mean that is large against the deviation.
        let mean = constant * self.pick(&[4.0, 4.0, 1e3, 1e5]);
        let values = (0..count.min(PERIOD)).map(|_| match kind {
            0 if self.chance(0.3) => 0.0,
            1 => constant,
            2 if self.chance(0.1) => f32::from_bits(self.rng.random_range(0..0x0080_0000)),
            3 => self.normal() * scale + mean,
            _ => self.normal() * scale,
        });
        let values: Vec<f32> = values.map(|value| value.clamp(-largest, largest)).collect();
        Data::F32(if count > PERIOD { values.iter().copied().cycle().take(count).collect() } else { values })
    }

    /// As [`values`](Self::values), at times with zeros of both signs, infinities and NaN among them.
    pub fn values_with_specials(&mut self, count: usize, largest: f32) -> Data {
        let values = self.values(count, largest);
        self.with_specials(values)
    }

    /// Puts NaN, infinities and zeros of both signs among some values, at times, for kernels that test bits and give what
    /// their twins give on every driver. An infinity must meet no subnormal factor, which a driver may flush.
    pub(crate) fn with_specials(&mut self, values: Data) -> Data {
        const ALL: [f32; 7] = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MIN_POSITIVE];
        if values.len() > PERIOD || !self.chance(0.2) {
            return values;
        }
        let alone = self.chance(0.5).then(|| self.pick(&ALL));
        let share = self.pick(&[0.02, 0.3, 0.9]);
        let mut mixed = values.f32().to_vec();
        for value in &mut mixed {
            if self.chance(share) {
                *value = alone.unwrap_or_else(|| self.pick(&ALL));
            }
        }
        Data::F32(mixed)
    }

    /// `count` indices below `bound`.
    pub fn indices(&mut self, count: usize, bound: u32) -> Data {
        Data::U32((0..count).map(|_| self.rng.random_range(0..bound)).collect())
    }

    /// An approximately normal deviate within 6 deviations.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.rng.random::<f32>()).sum::<f32>() - 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variants_of_a_device_are_drawn_beside_the_imaginary_ones() {
        let device = Target { subgroups: Some((32, 32)), workgroup_memory: 48 << 10, ..Target::default() };
        let drawn = |device: Option<Target>| -> Vec<Target> {
            let generator = |seed| Generator { device, ..Generator::new(seed, 100) };
            (0..100).map(|seed| generator(seed).target()).collect()
        };
        assert!(drawn(Some(device)).contains(&device) && drawn(Some(device)).contains(&Target::default()));
        assert!(!drawn(None).contains(&device));
        let software = Target { software: true, ..device };
        assert!((0..100).all(|seed| !Generator::new(seed, 100).for_device(software).on_gpu()));
        assert!((0..100).any(|seed| Generator::new(seed, 100).for_device(device).on_gpu()));
        let only = |seed| Generator::new(seed, 100).only_for_device(device);
        assert!((0..100).all(|seed| only(seed).target() == device && only(seed).on_gpu()));
    }

    #[test]
    fn shapes_of_one_kind_are_always_drawn() {
        assert!((0..100).all(|seed| Generator::new(seed, 5).with_shapes(Shapes::Folded).huge()));
        assert!((0..100).all(|seed| !Generator::new(seed, 100).with_shapes(Shapes::Models).huge()));
    }

    #[test]
    fn the_same_seed_draws_the_same_values() {
        assert_eq!(Generator::new(7, 100).values(50, 10.0), Generator::new(7, 100).values(50, 10.0));
    }

    #[test]
    fn lengths_stay_within_their_bounds_and_shrink_with_the_size() {
        for seed in 0..500 {
            assert!((1..=300).contains(&Generator::new(seed, 100).length(300)));
            assert!((1..=3).contains(&Generator::new(seed, 1).length(300)));
        }
    }
}
