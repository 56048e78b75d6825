//! Windows of trajectories drawn at random.

use fourfold_shaders::Element;

use crate::graph::{Op, Shape, Tensor, TensorType};

/// The starts of the episodes of trajectories, one after the other, as tensors of a graph.
#[derive(Debug, Clone, Copy)]
pub struct EpisodeTables<'g> {
    /// `u32 (n)`: the steps at which a window may begin, all equally likely. With every step, an episode comes in
    /// proportion to its length; a step that stands twice is twice as likely.
    pub starts: Tensor<'g>,
    /// `u32 (steps)`: the episode of each step.
    pub episodes: Tensor<'g>,
    /// `u32 (episodes + 1)`: the first step of each episode, then the number of steps.
    pub firsts: Tensor<'g>,
}

/// The windows that are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowOptions {
    /// Windows, B.
    pub batch: usize,
    /// Steps of a window, K.
    pub context: usize,
    /// Times count from the window's first step, and not from the episode's.
    pub restart: bool,
    /// Later times become this one: the last row of a table of times.
    pub largest: u32,
}

/// Windows as rows of the trajectories' tables; each stands last among its K places, with padding before it.
#[derive(Debug, Clone, Copy)]
pub struct WindowRows<'g> {
    /// `u32 (B, K)`: the step, or the number of steps in padding: [`Tensor::gather`] gives zeros there.
    pub rows: Tensor<'g>,
    /// `u32 (B, K)`: the step within the episode; 0 in padding.
    pub times: Tensor<'g>,
    /// (B, K): 1 where there is a step, 0 in padding.
    pub mask: Tensor<'g>,
}

impl<'g> Tensor<'g> {
    /// Windows of trajectories, drawn by this seed.
    #[track_caller]
    pub fn windows(self, stream: u32, tables: EpisodeTables<'g>, options: WindowOptions) -> WindowRows<'g> {
        let EpisodeTables { starts, episodes, firsts } = tables;
        let WindowOptions { batch, context, restart, largest } = options;
        let all = |tensor: Tensor<'g>| WindowRows { rows: tensor, times: tensor, mask: tensor };
        if let Err(failure) = self.check_seed("windows") {
            return all(failure);
        }
        let operands = [self, starts, episodes, firsts];
        if let Some(&poison) = operands.iter().find(|tensor| tensor.is_poisoned()) {
            return all(poison);
        }
        let list = |tensor: Tensor<'g>| tensor.element() == Element::U32 && tensor.shape().rank() == 1;
        if ![starts, episodes, firsts].into_iter().all(list) || firsts.elements() < 2 || batch == 0 || context == 0 {
            let message = format!(
                "takes u32 starts (n), episodes (steps) and firsts (episodes + 1) and windows of at least one step, got \
                 {starts:?}, {episodes:?}, {firsts:?} and {batch} windows of {context}"
            );
            return all(self.graph().fail("windows", message));
        }
        let shape = Shape::from([batch, context]);
        let kinds = [TensorType::u32(&shape), TensorType::u32(&shape), TensorType::f32(&shape)];
        let rows = self.graph().add(Op::Windows { stream, context, restart, largest }, &operands, kinds);
        WindowRows { rows, times: rows.sibling(1), mask: rows.sibling(2) }
    }
}
