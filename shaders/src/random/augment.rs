//! Augmentation of images: random crops of a larger image, mirror images, and square holes (cutout, DeVries & Taylor 2017).

use bytemuck::{Pod, Zeroable};

use crate::description::elementwise_layout::values_with_specials;
use crate::random::threefry::word;
use crate::{
    Binding, Call, Case, Error, Generator, Kernel, Module, Operand, Sequence, Sizes, Target, Tolerance, product,
};

const MODULE: Module =
    Module::new::<Uniform>(wgsl!("../library/place.wgsl", "../library/random.wgsl", "augment.wgsl"), |_| 0);

/// The kernels of this file.
pub const KERNELS: &[&Kernel] = &[&REFLECTED, &BORDERED];

const IMAGES: &str = "(images, rows, columns, channels)";

/// Crops of images that are continued by their mirror images.
pub static REFLECTED: Kernel = kernel(
    "augment.augment_reflected",
    &[Binding::read("x", IMAGES), Binding::read("seed", "(2): key, step").u32(), Binding::write("y", IMAGES)],
    |generator| case(generator, Border::Reflected),
);

/// Crops of images in a black border.
pub static BORDERED: Kernel = kernel(
    "augment.augment_bordered",
    &[
        Binding::read("x", IMAGES),
        Binding::read("seed", "(2): key, step").u32(),
        Binding::read("black", "(rows, columns, channels)"),
        Binding::write("bordered", IMAGES),
    ],
    |generator| case(generator, Border::Black),
);

const fn kernel(name: &'static str, bindings: &'static [Binding], case: fn(&mut Generator) -> Case) -> Kernel {
    // A copy, in which subnormal numbers may be flushed.
    MODULE.kernel(name, bindings, twin, |_, _, _| Tolerance::Within { relative: 0.0, absolute: 0.0 }, case)
}

/// The uniform block of `augment.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Uniform {
    images: u32,
    rows: u32,
    columns: u32,
    channels: u32,
    /// The number of the place that draws.
    stream: u32,
    crop: u32,
    /// 1 if images may be mirrored.
    mirror: u32,
    /// Half the side of the hole.
    half: u32,
    /// 1 if all images have the hole of the first.
    hole_of_batch: u32,
}

/// The pixels beyond the border of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Border {
    /// The mirror image without the edge.
    Reflected,
    /// A black image, which is an operand: black is another number after standardisation.
    Black,
}

/// The changes that are made to images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Options {
    /// The pixels by which an image is moved at most, along both axes and in both directions.
    pub crop: usize,
    /// True if every second image, by chance, is mirrored left to right.
    pub mirror: bool,
    /// The side of the hole in pixels, an even number; 0 for none. It is cut off at the border, and its pixels are 0.
    pub hole: usize,
    /// True if all images of a batch have the hole at one place.
    pub hole_of_batch: bool,
}

/// The augmentation of a batch of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Problem {
    /// Images of the batch.
    pub images: usize,
    /// Rows of an image.
    pub rows: usize,
    /// Columns of an image.
    pub columns: usize,
    /// Numbers of a pixel.
    pub channels: usize,
    /// The pixels beyond the border of an image.
    pub border: Border,
    /// The changes that are made to the images.
    pub options: Options,
    /// The number of the place that draws.
    pub stream: u32,
}

/// Random words have 16 bits of a coordinate.
const LONGEST: usize = 1 << 16;

const WORKGROUP: usize = 64;

impl Problem {
    /// Returns the dispatch with operands `x`, `seed`, (`black`,) `y`.
    ///
    /// # Errors
    /// A size out of range; a move beyond the mirror image; a hole of an odd side.
    pub fn sequence(&self, _: &Target) -> Result<Sequence, Error> {
        let Self { images, rows, columns, channels, border, options, .. } = *self;
        let shortest = rows.min(columns);
        let most = if border == Border::Reflected { shortest.saturating_sub(1) } else { shortest };
        Sizes("augment")
            .tensor(&[("images", images), ("rows", rows), ("columns", columns), ("channels", channels)])?
            .expect(
                "rows and columns",
                rows.max(columns) <= LONGEST,
                format_args!("at most {LONGEST}"),
                rows.max(columns),
            )?
            .expect("crop", options.crop <= most.min(LONGEST / 2 - 1), format_args!("at most {most}"), options.crop)?
            .expect("hole", options.hole <= LONGEST && options.hole % 2 == 0, "an even side", options.hole)?
            .sequence(self.call())
    }

    fn call(&self) -> Call {
        let Self { images, rows, columns, channels, border, options, stream } = *self;
        let uniform = Uniform {
            images: images as u32,
            rows: rows as u32,
            columns: columns as u32,
            channels: channels as u32,
            stream,
            crop: options.crop as u32,
            mirror: options.mirror.into(),
            half: (options.hole / 2) as u32,
            hole_of_batch: options.hole_of_batch.into(),
        };
        let (of_one, of_all) = (product(&[rows, columns, channels]), product(&[images, rows, columns, channels]));
        let workgroups = of_all.div_ceil(WORKGROUP);
        match border {
            Border::Reflected => Call::new(&REFLECTED, &uniform, workgroups, [of_all, 2, of_all]),
            Border::Black => Call::new(&BORDERED, &uniform, workgroups, [of_all, 2, of_one, of_all]),
        }
    }
}

/// The numbers that are drawn for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// Rows and columns by which the image is moved up and to the left, from 0 to twice the crop.
    pub moves: [u32; 2],
    /// True if it is mirrored.
    pub mirrored: bool,
    /// Row and column of the centre of its hole.
    pub hole: [u32; 2],
}

impl Draw {
    /// Draws for one image.
    pub fn of(uniform: &Uniform, seed: [u32; 2], image: u32) -> Self {
        let word = |image: u32, index: u32| word(seed, uniform.stream, 4 * image + index);
        let moved = |index| ((word(image, index) >> 16) * (2 * uniform.crop + 1)) >> 16;
        let hole = word(if uniform.hole_of_batch == 1 { 0 } else { image }, 3);
        Self {
            moves: [moved(0), moved(1)],
            mirrored: uniform.mirror == 1 && word(image, 2) >> 31 == 1,
            hole: [((hole >> 16) * uniform.rows) >> 16, ((hole & 0xffff) * uniform.columns) >> 16],
        }
    }
}

/// The twin; `black` is given where the border is black.
pub fn augment(uniform: &Uniform, x: &[f32], seed: [u32; 2], black: Option<&[f32]>, y: &mut [f32]) {
    let &Uniform { rows, columns, channels, crop, half, .. } = uniform;
    let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    let of_one = (rows * columns * channels) as usize;
    for (image, (x, y)) in (0..).zip(x.chunks(of_one).zip(y.chunks_mut(of_one))) {
        let draw = Draw::of(uniform, seed, image);
        for ((row, column), own) in places.clone().zip((0..).step_by(channels as usize)) {
            let y = &mut y[own..][..channels as usize];
            let in_hole = |index: u32, centre: u32| (centre.saturating_sub(half)..centre + half).contains(&index);
            if in_hole(row, draw.hole[0]) && in_hole(column, draw.hole[1]) {
                y.fill(0.0);
                continue;
            }
            let moved = |index: u32, axis: usize, length: u32| {
                let index = i64::from(index + draw.moves[axis]) - i64::from(crop);
                let last = i64::from(length) - 1;
                if black.is_some() { index } else { last - (last - index.abs()).abs() }
            };
            let (row, column) = (moved(row, 0, rows), moved(column, 1, columns));
            match black {
                Some(black) if !(0..i64::from(rows)).contains(&row) || !(0..i64::from(columns)).contains(&column) => {
                    y.copy_from_slice(&black[own..][..channels as usize]);
                }
                _ => {
                    let column = if draw.mirrored { i64::from(columns) - 1 - column } else { column };
                    let at = (row * i64::from(columns) + column) * i64::from(channels);
                    y.copy_from_slice(&x[at as usize..][..channels as usize]);
                }
            }
        }
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    match operands {
        [x, seed, y] => augment(&call.uniform(), x.f32(), [seed.u32()[0], seed.u32()[1]], None, y.f32()),
        [x, seed, black, y] => {
            let seed = [seed.u32()[0], seed.u32()[1]];
            augment(&call.uniform(), x.f32(), seed, Some(black.f32()), y.f32());
        }
        _ => unreachable!("an augmentation has three or four operands"),
    }
}

fn case(generator: &mut Generator, border: Border) -> Case {
    let huge = generator.huge();
    let [rows, columns] = if huge { [8, 2] } else { [(); 2].map(|()| generator.length(19)) };
    let most = rows.min(columns) - usize::from(border == Border::Reflected);
    let options = Options {
        crop: if most == 0 { 0 } else { generator.length(most + 1) - 1 },
        mirror: generator.chance(0.7),
        hole: 2 * (generator.length(8) - 1),
        hole_of_batch: generator.chance(0.3),
    };
    let (images, channels) = if huge { (65_600, 4) } else { (generator.length(6), generator.length(5)) };
    let stream = generator.pick(&[0, 1, 77, u32::MAX]);
    let problem = Problem { images, rows, columns, channels, border, options, stream };
    let call = problem.call();
    let x = values_with_specials(generator, call.lengths[0], 1e30);
    let seed = generator.indices(2, u32::MAX);
    match border {
        Border::Reflected => Case::new(problem, call, [x, seed]),
        Border::Black => {
            let black = values_with_specials(generator, call.lengths[2], 1e30);
            Case::new(problem, call, [x, seed, black])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options = Options { crop: 4, mirror: true, hole: 16, hole_of_batch: false };

    fn problem(options: Options, [rows, columns]: [usize; 2], border: Border) -> Problem {
        Problem { images: 4, rows, columns, channels: 1, border, options, stream: 3 }
    }

    #[test]
    fn moves_mirrors_and_holes_are_those_of_the_specification() {
        let uniform: Uniform = problem(OPTIONS, [28, 28], Border::Reflected).call().uniform();
        let drawn = (0..4).map(|image| Draw::of(&uniform, [42, 7], image));
        let expected = [([2, 3], [4, 27]), ([7, 3], [14, 5]), ([1, 5], [14, 6]), ([7, 4], [0, 18])];
        let mirrored = [true, false, true, true];
        let expected = expected.into_iter().zip(mirrored);
        assert!(drawn.eq(expected.map(|((moves, hole), mirrored)| Draw { moves, mirrored, hole })));
    }

    /// The first of four images whose numbers count from 1, moved by 2 - 4 rows and 3 - 4 columns and mirrored; black is -1.
    fn first(options: Options, border: Border) -> Vec<f32> {
        let uniform: Uniform = problem(options, [5, 5], border).call().uniform();
        let x: Vec<f32> = (0..4 * 25).map(|value| (value % 25 + 1) as f32).collect();
        let mut y = vec![f32::NAN; 100];
        let black = vec![-1.0; 25];
        augment(&uniform, &x, [42, 7], (border == Border::Black).then_some(&black), &mut y);
        y[..25].to_vec()
    }

    #[test]
    fn beyond_the_border_is_the_mirror_image_or_black_and_mirroring_comes_first() {
        let options = Options { hole: 0, ..OPTIONS };
        #[rustfmt::skip]
        assert_eq!(first(options, Border::Reflected), [
            14.0, 15.0, 14.0, 13.0, 12.0,
             9.0, 10.0,  9.0,  8.0,  7.0,
             4.0,  5.0,  4.0,  3.0,  2.0,
             9.0, 10.0,  9.0,  8.0,  7.0,
            14.0, 15.0, 14.0, 13.0, 12.0,
        ]);
        #[rustfmt::skip]
        assert_eq!(first(options, Border::Black), [
            -1.0, -1.0, -1.0, -1.0, -1.0,
            -1.0, -1.0, -1.0, -1.0, -1.0,
            -1.0,  5.0,  4.0,  3.0,  2.0,
            -1.0, 10.0,  9.0,  8.0,  7.0,
            -1.0, 15.0, 14.0, 13.0, 12.0,
        ]);
    }

    #[test]
    fn a_hole_is_cut_off_at_the_border_and_a_batch_may_share_it() {
        // At 28 pixels the centre is (4, 27), at 5 pixels (0, 4).
        let options = Options { crop: 0, mirror: false, hole: 4, hole_of_batch: false };
        let y = first(options, Border::Black);
        let holes: Vec<usize> = (0..25).filter(|place| y[*place] == 0.0).collect();
        assert_eq!(holes, [2, 3, 4, 7, 8, 9]);
        let shared: Uniform =
            problem(Options { hole_of_batch: true, ..options }, [28, 28], Border::Black).call().uniform();
        assert!((0..4).all(|image| Draw::of(&shared, [42, 7], image).hole == [4, 27]));
    }

    #[test]
    fn moves_past_the_mirror_image_and_odd_holes_are_refused() {
        let refused = |options, border| problem(options, [5, 5], border).sequence(&Target::default()).unwrap_err();
        let error = refused(Options { crop: 5, ..OPTIONS }, Border::Reflected).to_string();
        assert_eq!(error, "augment: crop must be at most 4, got 5");
        let error = refused(Options { hole: 3, ..OPTIONS }, Border::Black).to_string();
        assert_eq!(error, "augment: hole must be an even side, got 3");
    }
}
