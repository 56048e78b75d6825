//! Convolutions of images, and the gradients of their input and of their weights: three linear maps of two operands each,
//! whose own gradients are these maps again.
//!
//! [`Geometry`] is the shape of a convolution, and [`Problem`] chooses a variant. What the variants share, the twins first of
//! all, is in [`convolution_layout`], for a convolution and its input gradient, and in [`weight_gradient_layout`]. Each
//! variant is a kernel in a file of its own:
//!
//! | kernels | for |
//! |---|---|
//! | [`convolution_tile`], [`weight_gradient_tile`] | GPUs: implicit matrix products in workgroup tiles |
//! | [`convolution_row`], [`weight_gradient_sliding`] | software drivers with subgroups of 8 lanes or more, where windows overlap |
//! | [`convolution_gather`], [`weight_gradient_gather`] | the same drivers, any kernel and strides |
//! | [`convolution_channel`], [`weight_gradient_channel`] | groups of few channels; software drivers without subgroups |
//!
//! A kernel of one tap and a stride of 1 is a matrix product of [`crate::matmul`]. Nothing is ever stored that is larger than
//! an operand, but for the partial sums of a weight gradient, which are added in a fixed order.

pub mod convolution_channel;
pub mod convolution_gather;
pub mod convolution_layout;
pub mod convolution_row;
pub mod convolution_tile;
mod geometry;
pub mod weight_gradient_channel;
pub mod weight_gradient_gather;
pub mod weight_gradient_layout;
pub mod weight_gradient_sliding;
pub mod weight_gradient_tile;

pub(crate) use convolution_layout::Layout;
pub use convolution_layout::Order;
pub use geometry::Geometry;

use crate::convolution::convolution_gather::CONVOLUTION_GATHER;
use crate::matmul::matmul_tile::Tile;
use crate::matmul::{self, matmul_reduce};
use crate::{Activation, Call, Choice, Element, Error, Family, Kernel, Sequence, Sizes, Slot, Target, product};

/// The kernels of this folder.
pub(crate) const KERNELS: &[&Kernel] = &[
    &convolution_tile::CONVOLUTION_TILE,
    &convolution_row::CONVOLUTION_ROW,
    &CONVOLUTION_GATHER,
    &convolution_channel::CONVOLUTION_CHANNEL,
    &weight_gradient_tile::WEIGHT_GRADIENT_TILE,
    &weight_gradient_sliding::WEIGHT_GRADIENT_SLIDING,
    &weight_gradient_gather::WEIGHT_GRADIENT_GATHER,
    &weight_gradient_channel::WEIGHT_GRADIENT_CHANNEL,
];

/// The map that is computed, with its arguments in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Map {
    /// `x`, `w`, `bias` if there is one, to `y = activation(x * w + bias)`.
    Output {
        /// A bias of one element for each output is added.
        bias: bool,
        /// Applied to the sum and its bias.
        activation: Activation,
    },
    /// `dy`, `w` to `dx`.
    InputGradient,
    /// `x`, `dy` to `dw`.
    WeightGradient,
}

/// One of the three maps of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The shape of the convolution.
    pub geometry: Geometry,
    /// The map that is computed.
    pub map: Map,
    /// The order of the axes of x and y in memory.
    pub order: Order,
}

impl Problem {
    /// The map of a convolution of images in the order of the graph, channels last.
    pub fn new(geometry: Geometry, map: Map) -> Self {
        Self { geometry, map, order: Order::ChannelsLast }
    }

    /// The dispatches, with the arguments that [`Map`] names and then the result.
    ///
    /// # Errors
    /// A size out of range, or more terms than a driver computes.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        let sizes = self.geometry.check(Sizes("convolution"))?;
        let sequence = match (self.product(), self.map) {
            (Some(product), _) => product.sequence(target)?,
            (None, Map::WeightGradient) => self.weight_gradient(target)?,
            (None, Map::Output { bias, activation }) => {
                let layout = Layout::forward(&self.geometry, self.order, bias, activation);
                let [bias, y] = if bias { [2, 3] } else { [0, 2] }.map(Slot::Argument);
                Sequence::of(variant(&layout, target), [Slot::Argument(0), Slot::Argument(1), bias, y])
            }
            (None, Map::InputGradient) => {
                let layout = Layout::input_gradient(&self.geometry, self.order);
                Sequence::of(variant(&layout, target), [0, 1, 0, 2].map(Slot::Argument))
            }
        };
        if let Some(limit) = target.loop_passes() {
            for call in sequence.steps.iter().map(|step| &step.call) {
                let passes = (call.kernel.passes)(call);
                let name = format_args!("passes through the loops of `{}`", call.kernel.name);
                sizes.expect(name, passes <= limit, format_args!("at most {limit} on a software driver"), passes)?;
            }
        }
        sizes.sequence(sequence)
    }

    /// The map as a matrix product, where it is one.
    fn product(&self) -> Option<matmul::Problem> {
        let Geometry { images, input, channels, outputs, .. } = self.geometry;
        let pixels = product(&[images, input[0], input[1]]);
        let is_product = self.geometry.is_product() && self.order == Order::ChannelsLast;
        is_product.then(|| match self.map {
            Map::Output { bias, activation } => {
                matmul::Problem::new(pixels, outputs, channels).with_epilogue(bias, activation)
            }
            Map::InputGradient => matmul::Problem::new(pixels, channels, outputs).transposed(false, true),
            Map::WeightGradient => matmul::Problem::new(channels, outputs, pixels).transposed(true, false),
        })
    }

    /// The gradient of the weights, its sum split where the grid is too small to fill the device.
    fn weight_gradient(&self, target: &Target) -> Result<Sequence, Error> {
        let layout = weight_gradient_layout::Layout::new(&self.geometry, self.order);
        let choice = target.choice(Family::WeightGradient, layout.lengths[2], |variant| {
            WEIGHT_VARIANTS[variant].suits(&layout, target)
        });
        let variant =
            choice.map_or_else(|| WeightVariant::by_rule(&layout, target), |choice| WEIGHT_VARIANTS[choice.variant]);
        let call = |layout: &_| variant.call(layout, target).chosen_by(choice);
        let [x, dy, dw] = Slot::arguments();
        let split = layout.split(variant.slices(&layout, target));
        if split.uniform.slices == 1 {
            return Ok(Sequence::of(call(&layout), [x, dy, dw]));
        }
        let mut sequence = Sequence::default();
        let [_, _, partials] = split.lengths;
        let scratch = sequence.scratch(Element::F32, partials);
        sequence.step(call(&split), [x, dy, scratch]);
        let reduce = matmul_reduce::Problem {
            slices: split.uniform.slices as usize,
            elements: layout.lengths[2],
            columns: self.geometry.outputs,
            bias: false,
            bias_length: partials,
            activation: Activation::None,
        };
        sequence.step(reduce.call(), [scratch, scratch, dw]);
        Ok(sequence)
    }
}

/// A kernel of convolutions and input gradients with what it is to be called with.
#[derive(Debug, Clone, Copy)]
enum Variant {
    Tile(Tile),
    Row { wide: bool },
    Gather,
    Channel,
}

impl Variant {
    fn call(self, layout: &Layout, target: &Target) -> Call {
        match self {
            Self::Tile(tile) => convolution_tile::call(layout, tile),
            Self::Row { wide } => convolution_row::call(layout, wide),
            Self::Gather => convolution_gather::call(layout),
            Self::Channel => convolution_channel::call(layout, convolution_channel::workgroup(target)),
        }
    }

    /// True if it computes a convolution on a device. Some are for software drivers alone.
    fn suits(self, layout: &Layout, target: &Target) -> bool {
        let on_subgroups = target.software && !has_no_kernel_of_subgroups(target);
        let takes = match self {
            Self::Tile(tile) => tile.suits(target, |tile| convolution_tile::tiles(layout, tile)),
            Self::Row { .. } => on_subgroups && convolution_row::suits(layout),
            Self::Gather => on_subgroups,
            Self::Channel => true,
        };
        let convolution_layout::Uniform { terms, outputs, .. } = layout.uniform;
        takes && terms.min(outputs) >= 4 && target.finishes(&self.call(layout, target))
    }
}

/// The variants of [`Family::Convolution`], in its order.
const VARIANTS: [Variant; 9] = [
    Variant::Tile(Tile::LARGE),
    Variant::Tile(Tile::MEDIUM),
    Variant::Tile(Tile::TALL),
    Variant::Tile(Tile::WIDE),
    Variant::Tile(Tile::SMALL),
    Variant::Row { wide: false },
    Variant::Row { wide: true },
    Variant::Gather,
    Variant::Channel,
];

/// The variants of [`Family::WeightGradient`], in its order.
const WEIGHT_VARIANTS: [WeightVariant; 8] = [
    WeightVariant::Tile(Tile::LARGE),
    WeightVariant::Tile(Tile::MEDIUM),
    WeightVariant::Tile(Tile::TALL),
    WeightVariant::Tile(Tile::WIDE),
    WeightVariant::Tile(Tile::SMALL),
    WeightVariant::Sliding,
    WeightVariant::Gather,
    WeightVariant::Channel,
];

const _: () = assert!(VARIANTS.len() == Family::Convolution.variants().len());
const _: () = assert!(WEIGHT_VARIANTS.len() == Family::WeightGradient.variants().len());

/// The call of the best variant for a convolution or its input gradient: the one that was measured, or that of the rule.
fn variant(layout: &Layout, target: &Target) -> Call {
    let [.., elements] = layout.lengths;
    let choice = target.choice(Family::Convolution, elements, |variant| VARIANTS[variant].suits(layout, target));
    match choice {
        Some(Choice { variant, .. }) => VARIANTS[variant].call(layout, target).chosen_by(choice),
        None => by_rule(layout, target).call(layout, target),
    }
}

fn by_rule(layout: &Layout, target: &Target) -> Variant {
    let convolution_layout::Uniform { terms, outputs, .. } = layout.uniform;
    // Tiles of 16 outputs or more would be nearly empty.
    let few = outputs < 4;
    if few || has_no_kernel_of_subgroups(target) {
        return Variant::Channel;
    }
    if target.software {
        return match convolution_row::suits(layout) {
            true => Variant::Row { wide: convolution_row::is_wide(layout) },
            false => Variant::Gather,
        };
    }
    // A block of 8 terms under each tap would be mostly zeros.
    if terms < 4 {
        return Variant::Channel;
    }
    Variant::Tile(Tile::largest(target, false, |tile| convolution_tile::tiles(layout, tile)))
}

/// True on a software driver without subgroups of 8 lanes.
fn has_no_kernel_of_subgroups(target: &Target) -> bool {
    target.software && CONVOLUTION_GATHER.lacks_subgroups(target.subgroups).is_some()
}

/// A kernel of weight gradients with what it is to be called with.
#[derive(Debug, Clone, Copy)]
enum WeightVariant {
    Tile(Tile),
    Sliding,
    Gather,
    Channel,
}

impl WeightVariant {
    fn by_rule(layout: &weight_gradient_layout::Layout, target: &Target) -> Self {
        let few = layout.uniform.outputs < 4;
        if few || has_no_kernel_of_subgroups(target) {
            return Self::Channel;
        }
        if target.software {
            let slides = weight_gradient_sliding::suits(&layout.uniform);
            return if slides { Self::Sliding } else { Self::Gather };
        }
        Self::Tile(Tile::largest(target, true, |tile| layout.tiles(tile.rows, tile.columns)))
    }

    fn call(self, layout: &weight_gradient_layout::Layout, target: &Target) -> Call {
        match self {
            Self::Tile(tile) => weight_gradient_tile::call(layout, tile),
            Self::Sliding => weight_gradient_sliding::call(layout),
            Self::Gather => weight_gradient_gather::call(layout),
            Self::Channel => weight_gradient_channel::call(layout, convolution_channel::workgroup(target)),
        }
    }

    /// True if it computes a gradient on a device. Some are for software drivers alone.
    fn suits(self, layout: &weight_gradient_layout::Layout, target: &Target) -> bool {
        let on_subgroups = target.software && !has_no_kernel_of_subgroups(target);
        let takes = match self {
            Self::Tile(tile) => tile.suits(target, |tile| layout.tiles(tile.rows, tile.columns)),
            Self::Sliding => on_subgroups && weight_gradient_sliding::suits(&layout.uniform),
            Self::Gather => on_subgroups,
            Self::Channel => true,
        };
        let split = layout.split(self.slices(layout, target));
        takes && layout.uniform.outputs >= 4 && target.finishes(&self.call(&split, target))
    }

    /// Slices of the sum: as many as fill the device, each of some hundred pixels, and as many as keep an invocation of a
    /// software driver below its passes.
    fn slices(self, layout: &weight_gradient_layout::Layout, target: &Target) -> usize {
        const LEAST_PIXELS: usize = 256;
        const MOST: usize = 64;
        let weight_gradient_layout::Uniform { images, y_rows, y_columns, .. } = layout.uniform;
        let workgroups = product(&self.call(layout, target).grid.map(|side| side as usize));
        let fill = if target.software { 8 } else { 128 } / workgroups;
        let [rows, columns] = [images * y_rows, y_columns].map(|size| size as usize);
        let slices = fill.min(product(&[rows, columns]) / LEAST_PIXELS).clamp(1, MOST);
        let passes_of_row = match self {
            Self::Gather => weight_gradient_gather::passes_of_row(y_columns) as usize,
            _ => columns + 2,
        };
        let rows_of_slice = target.loop_passes().map_or(rows, |limit| (limit as usize - 1024) / passes_of_row);
        slices.max(rows.div_ceil(rows_of_slice.max(1)))
    }
}
