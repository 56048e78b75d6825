//! Random cases: scenes of lanes, as their episodes show them.

use std::sync::Arc;

use super::{Composition, Problem};
use crate::rollout::unroll::Environment;
use crate::rollout::unroll::case::reached;
use crate::{Case, Data, Generator};

/// A random case of an environment with a picture.
pub(crate) fn case_of(generator: &mut Generator, environment: Arc<dyn Environment>) -> Case {
    Composition { environment }.case(generator)
}

impl Composition {
    /// A random case of this composition, for `verify`: scenes that its episodes reach.
    pub fn case(&self, generator: &mut Generator) -> Case {
        let environment = &*self.environment;
        let lanes = generator.length(7);
        let mut scene = vec![0.0; environment.observations()];
        let mut scenes = Vec::new();
        for lane in 0..lanes as u32 {
            let state = reached(generator, environment, lane);
            environment.observe(&state, &mut scene);
            scenes.extend(scene.iter().map(|&number| number as f32));
        }
        let table = environment.table().map(|table| Data::F32(table.to_vec()));
        let call = Problem { lanes }.call_with(self, generator.lanes_of_a_workgroup());
        Case::new((lanes, self), call, [Data::F32(scenes)].into_iter().chain(table))
    }
}
