//! Random arguments for tests that call public functions with anything.

// Each test file uses a part of it.
#![allow(dead_code)]

use fourfold_shaders::random::threefry::Random;
use fourfold_shaders::{MAX_ELEMENTS, Target};

/// Random arguments, the awkward ones first of all.
pub struct Draw(pub Random);

impl Draw {
    /// A size, half of the time an absurd one.
    pub fn size(&mut self) -> usize {
        const EDGES: [usize; 9] =
            [0, 1, 2, 65_535, 65_536, MAX_ELEMENTS, MAX_ELEMENTS + 1, u32::MAX as usize, usize::MAX];
        match self.0.below(4) {
            0 => EDGES[self.0.below(9) as usize],
            1 => 1 << self.0.below(usize::BITS),
            2 => self.0.bits() as usize >> self.0.below(32),
            _ => self.0.below(200) as usize,
        }
    }

    /// A size that is seldom too large.
    pub fn small(&mut self) -> usize {
        if self.flag(8) { self.size() } else { 1 + self.0.below(40) as usize }
    }

    /// A factor, half of the time an awkward one.
    pub fn factor(&mut self) -> f32 {
        const EDGES: [f32; 10] =
            [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 0.0, 1e-45, 0.5, 0.9, 1.0, f32::MAX];
        if self.flag(2) { 0.1 } else { EDGES[self.0.below(10) as usize] }
    }

    /// True once in so many.
    pub fn flag(&mut self, times: u32) -> bool {
        self.0.below(times) == 0
    }

    /// The lengths of up to eight axes.
    pub fn shape(&mut self) -> Vec<usize> {
        (0..self.0.below(9)).map(|_| self.small()).collect()
    }

    /// Half of the time nothing.
    pub fn option(&mut self) -> Option<usize> {
        if self.flag(2) { None } else { Some(self.small()) }
    }

    /// A device, which may have next to nothing.
    pub fn target(&mut self) -> Target {
        let software = Target { software: true, subgroups: Some((8, 8)), ..Target::default() };
        let small = Target { workgroup_invocations: self.0.below(200), workgroup_memory: 0, ..Target::default() };
        [Target::default(), Target { software: true, ..Target::default() }, software, small][self.0.below(4) as usize]
    }
}
