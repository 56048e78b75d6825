//! The teacher: a scripted player in every lane of Pong, in one dispatch.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use crate::rollout::environments::{Pong, PongMachine, PongTeacher};
use crate::rollout::unroll::Environment;
use crate::rollout::unroll::case::reached;
use crate::rollout::unroll::environment::with_functions;
use crate::{
    Binding, Call, Case, Data, Error, Generator, Kernel, KernelRef, Operand, Sequence, Sizes, Target, Tolerance,
    product,
};

/// The uniform block of `teacher.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct Uniform {
    pub lanes: u32,
    pub looks_ahead: u32,
}

/// One dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Games side by side.
    pub lanes: usize,
    /// The player.
    pub teacher: PongTeacher,
}

fn bindings() -> Vec<Binding> {
    vec![
        Binding::read("saved", "(states + 1, lanes)"),
        Binding::write("values", "(lanes, 3): of fire, up and fire, down and fire; 6,000ths of a point"),
        Binding::write("actions", "(lanes)"),
    ]
}

fn kernel() -> Arc<Kernel> {
    let text = with_functions("A player of Pong", &bindings(), &Pong, wgsl!("teacher.wgsl"));
    let exact = |_: &Call, _: &[Data], _: usize| Tolerance::Exact;
    Kernel::composed::<Uniform>("pong_teacher".into(), text, "teach", bindings(), passes, twin, exact)
}

/// The copy of a state, and the plans, each with the frames that it lasts at most.
fn passes(_: &Call) -> u64 {
    64 + 27 * (12 + 100 + 2) + 256
}

impl Problem {
    /// Returns the dispatch with the operands `saved` (states + 1, lanes), which a [step](crate::rollout::step) of
    /// [`Pong`] leaves, `values` (lanes, 3) and `actions` (lanes).
    ///
    /// # Errors
    /// A size out of range.
    pub fn sequence(&self, target: &Target) -> Result<Sequence, Error> {
        let states = [("lanes", self.lanes), ("states", Pong.states() + 1)];
        Sizes("pong_teacher").tensor(&states)?.sequence(self.call_with(if target.software { 8 } else { 64 }))
    }

    fn call_with(&self, workgroup: usize) -> Call {
        let Self { lanes, teacher } = *self;
        let uniform = Uniform { lanes: lanes as u32, looks_ahead: u32::from(teacher == PongTeacher::LookAhead) };
        let lengths = [Pong.states() + 1, 3, 1].map(|width| product(&[width, lanes]));
        Call::checked(KernelRef::from(kernel()), &uniform, lanes.div_ceil(workgroup), lengths)
            .checked_unless(true)
            .with_constant("WORKGROUP", workgroup as u32)
    }
}

fn twin(call: &Call, operands: &mut [Operand<'_>]) {
    let Uniform { lanes, looks_ahead } = call.uniform();
    let [saved, values, actions] = operands else { unreachable!("bindings of a teacher") };
    let (saved, lanes) = (saved.f32(), lanes as usize);
    let teacher = if looks_ahead == 1 { PongTeacher::LookAhead } else { PongTeacher::Greedy };
    for lane in 0..lanes {
        let state: Vec<f64> = (0..Pong.states()).map(|row| f64::from(saved[row * lanes + lane])).collect();
        let machine = PongMachine::of(&state);
        for (wide, value) in values.f32()[3 * lane..][..3].iter_mut().zip(teacher.values(&machine)) {
            *wide = value as f32;
        }
        actions.f32()[lane] = teacher.action(&machine) as f32;
    }
}

fn case(generator: &mut Generator) -> Case {
    let teacher = generator.pick(&[PongTeacher::Greedy, PongTeacher::LookAhead, PongTeacher::LookAhead]);
    let problem = Problem { lanes: generator.length(60), teacher };
    let mut saved = vec![0.0; (Pong.states() + 1) * problem.lanes];
    for lane in 0..problem.lanes {
        let mut state = reached(generator, &Pong, lane as u32);
        // On the way to our paddle, at any speed, as games have it in a quarter of their steps.
        if generator.chance(0.7) {
            let numbers = [(0, 130, 192), (1, 46, 205), (2, 1, 4), (3, 0, 6), (5, 27_450, 790_196), (7, 38, 204)];
            for (row, least, most) in numbers {
                let above = generator.indices(1, most - least + 1).u32()[0];
                state[row] = f64::from(least + above) - if row == 3 { 3.0 } else { 0.0 };
            }
            (state[6], state[9]) = (state[7], 0.0);
        }
        for (row, number) in state.iter().chain([&3.0]).enumerate() {
            saved[row * problem.lanes + lane] = *number as f32;
        }
    }
    let workgroup = generator.lanes_of_a_workgroup();
    Case::new(problem, problem.call_with(workgroup), [Data::F32(saved)])
}

/// The kernel, as it is listed.
pub(crate) fn listed() -> KernelRef {
    KernelRef::listed("pong_teacher", case)
}
