//! The picture: one kernel draws the pictures of lanes from what is observed of them, by the function of the environment.

pub(crate) mod case;
mod twin;

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use crate::rollout::unroll::environment::{check_environment, with_functions};
use crate::rollout::unroll::straight_line::{is_unchecked, without_needless_checks};
use crate::rollout::unroll::{Environment, PictureSize, table_binding};
use crate::{Binding, Call, Error, Kernel, KernelRef, Sequence, Sizes, Target, product};

/// An environment whose scenes are drawn.
#[derive(Debug, Clone)]
pub struct Composition {
    /// The environment, which has a [picture](Environment::picture).
    pub environment: Arc<dyn Environment>,
}

impl Composition {
    /// The same composition, whose environment runs without the shader's runtime checks if its WGSL is seen to need none, as
    /// in an [unroll](crate::rollout::unroll::Composition::without_needless_checks).
    pub fn without_needless_checks(&self) -> Self {
        let environment = without_needless_checks(&self.environment, |environment| Self { environment }.wgsl());
        Self { environment }
    }

    /// The size of a picture.
    ///
    /// # Errors
    /// The environment has none.
    pub fn size(&self) -> Result<PictureSize, Error> {
        let file = self.environment.file();
        Sizes("picture").expect("the environment", self.environment.picture().is_some(), "one with a picture", file)?;
        Ok(self.environment.picture().unwrap_or(PictureSize::grey(1, 1)))
    }

    /// The whole kernel as WGSL.
    pub fn wgsl(&self) -> String {
        let environment = &*self.environment;
        let about = format!("Pictures of {}", environment.file());
        with_functions(&about, &self.bindings(), environment, wgsl!("picture.wgsl"))
    }

    /// The kernel, by the name `picture.ENVIRONMENT`.
    pub fn kernel(&self) -> Arc<Kernel> {
        let file = self.environment.file();
        let name = format!("picture.{}", file.strip_suffix(".wgsl").unwrap_or(file));
        Kernel::composed::<Uniform>(name, self.wgsl(), "draw", self.bindings(), passes, twin::twin, twin::tolerance)
    }

    fn bindings(&self) -> Vec<Binding> {
        let mut bindings = vec![
            Binding::read("observations", "(lanes, observations)"),
            Binding::write("pictures", "(lanes, words): bytes, four to a word").u32(),
        ];
        bindings.extend(table_binding(&*self.environment));
        bindings
    }
}

/// The copy of a scene, and four pixels.
fn passes(call: &Call) -> u64 {
    call.context_of().map_or(0, |Composition { environment }| {
        let pixels = product(&[4, environment.pixel_iterations()]);
        environment.observations().saturating_add(pixels).saturating_add(8) as u64
    })
}

/// The uniform block of `picture.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub lanes: u32,
}

/// One dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Scenes, each of which becomes a picture.
    pub lanes: usize,
}

impl Problem {
    /// Returns the dispatch with the operands `observations` (lanes, observations) and `pictures` (`u32`; lanes,
    /// [words](PictureSize::words)), and `environment_table` where the environment has one.
    ///
    /// # Errors
    /// A size out of range, or an environment without a picture.
    pub fn sequence(&self, composition: &Composition, target: &Target) -> Result<Sequence, Error> {
        check_environment(&*composition.environment)?;
        let size = composition.size()?;
        let sizes = [("lanes", self.lanes), ("words of a picture", size.words())];
        let call = self.call_with(composition, if target.software { 8 } else { 64 });
        Sizes("picture").tensor(&sizes)?.sequence(call)
    }

    fn call_with(&self, composition: &Composition, workgroup: usize) -> Call {
        let environment = &*composition.environment;
        let size = environment.picture().unwrap_or(PictureSize::grey(1, 1));
        let mut lengths = [environment.observations(), size.words()].map(|of| product(&[self.lanes, of])).to_vec();
        let invocations = product(&[self.lanes, size.pixels().div_ceil(4)]);
        lengths.extend(environment.table().map(<[f32]>::len));
        let own = is_unchecked(environment, |environment| Composition { environment }.wgsl());
        let uniform = Uniform { lanes: self.lanes as u32 };
        Call::checked(KernelRef::from(composition.kernel()), &uniform, invocations.div_ceil(workgroup), lengths)
            .checked_unless(own)
            .with_constant("WORKGROUP", workgroup as u32)
            .with_context(Arc::new(composition.clone()))
            .with_constants(environment.constants())
    }
}
