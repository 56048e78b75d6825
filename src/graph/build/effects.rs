//! The operations that change states in place.
//!
//! Effects run after all other operations, in the order in which they were added. Each reads its inputs as they were when
//! the step began, states included: `assign(a, b)` and then `assign(b, a)` swap two states. There are two exceptions.
//! Where two effects change the same state, the second one changes what the first one left. And the counters of
//! [`Graph::adamw`] and [`Graph::record`] are read where the effect stands: an [`advance`](Graph::advance) before it counts.

use fourfold_shaders::Element;

use crate::graph::{Graph, Op, Shape, Tensor, TensorType, Value};

impl Graph {
    /// Checks that `tensors` are flat and equally long and `numbers` hold one element each.
    #[track_caller]
    fn flat(&self, op: &Op, tensors: &[Tensor<'_>], numbers: &[Tensor<'_>]) {
        let length = tensors[0].shape();
        let flat = length.rank() == 1 && tensors.iter().all(|tensor| tensor.shape() == length);
        let float = tensors.iter().chain(numbers).all(|tensor| tensor.element() == Element::F32);
        let single = numbers.iter().all(|number| number.shape() == Shape::from([]));
        let poisoned = tensors.iter().chain(numbers).any(|tensor| tensor.is_poisoned());
        if !(poisoned || flat && single && float) {
            let message = format!(
                "takes flat f32 tensors of one length and numbers of shape [], got {tensors:?} and {numbers:?}"
            );
            self.fail(op.name(), message);
        }
    }

    /// Adds an effect that changes its first operands in place and reads the others as they were when the step
    /// began.
    #[track_caller]
    fn effect<'g>(&'g self, op: Op, operands: &[Tensor<'g>]) {
        let states = op.changed_states();
        for tensor in &operands[..states] {
            if !tensor.is_poisoned() && !matches!(self.node(tensor.value().node).op, Op::State { .. }) {
                self.fail(op.name(), format!("changes a state in place, got {tensor:?}"));
            }
        }
        let (changed, read) = operands.split_at(states);
        let is_counter = |index: usize| op.operand_element(states + index) == Some(Element::U32);
        let as_read = |(index, &tensor)| if is_counter(index) { tensor } else { self.as_the_step_began(tensor) };
        let read = read.iter().enumerate().map(as_read);
        let operands: Vec<_> = changed.iter().copied().chain(read).collect();
        self.add(op, &operands, []);
    }

    /// The tensor, or a copy of it that is made before all effects if it lies in a state that an earlier one changes.
    #[track_caller]
    fn as_the_step_began<'g>(&'g self, tensor: Tensor<'g>) -> Tensor<'g> {
        let changed = |state: Value| {
            let nodes = (state.node..self.len()).map(|index| self.node(index));
            let mut effects = nodes.filter(|node| node.op.is_effect());
            effects.any(|effect| effect.inputs[..effect.op.changed_states()].contains(&state))
        };
        match self.state_behind(tensor.value()) {
            Some(state) if changed(state) => self.add(Op::Cast(tensor.element()), &[tensor], [tensor.kind()]),
            _ => tensor,
        }
    }

    /// The state in whose memory a value lies.
    fn state_behind(&self, value: Value) -> Option<Value> {
        let node = self.node(value.node);
        match node.op {
            Op::State { .. } => Some(value),
            Op::Reshape | Op::StopGradient | Op::View { .. } => self.state_behind(node.inputs[0]),
            _ => None,
        }
    }

    /// The state becomes the value at the end of the step.
    #[track_caller]
    pub fn assign<'g>(&'g self, state: Tensor<'g>, value: Tensor<'g>) {
        if state.kind() != value.kind() && !state.is_poisoned() && !value.is_poisoned() {
            self.fail("assign", format!("{state:?} cannot become {value:?}"));
        }
        self.effect(Op::Assign, &[state, value]);
    }

    /// Stochastic gradient descent in place, in PyTorch's order of operations:
    /// `g += weight_decay w; v = momentum v + g; w -= rate (nesterov ? g + momentum v : v)`.
    #[track_caller]
    pub fn sgd<'g>(
        &'g self,
        weights: Tensor<'g>,
        velocity: Tensor<'g>,
        gradient: Tensor<'g>,
        rate: Tensor<'g>,
        (momentum, nesterov, weight_decay): (f32, bool, f32),
    ) {
        let op = Op::Sgd { momentum, nesterov, weight_decay };
        self.flat(&op, &[weights, velocity, gradient], &[rate]);
        self.effect(op, &[weights, velocity, gradient, rate]);
    }

    /// AdamW in place (Loshchilov & Hutter 2019, PyTorch's order of operations); `step` counts from 1.
    #[track_caller]
    pub fn adamw<'g>(
        &'g self,
        weights: Tensor<'g>,
        [first, second]: [Tensor<'g>; 2],
        gradient: Tensor<'g>,
        rate: Tensor<'g>,
        step: Tensor<'g>,
        [beta1, beta2, epsilon, weight_decay]: [f32; 4],
    ) {
        let op = Op::AdamW { beta1, beta2, epsilon, weight_decay };
        self.flat(&op, &[weights, first, second, gradient], &[rate]);
        self.effect(op, &[weights, first, second, gradient, rate, step]);
    }

    /// Adds one to the last element of a `u32` state: a step counter, or a seed `(key, step)`, whose random numbers are
    /// others in the next step.
    #[track_caller]
    pub fn advance<'g>(&'g self, counter: Tensor<'g>) {
        if (counter.element() != Element::U32 || counter.shape().rank() > 1) && !counter.is_poisoned() {
            self.fail("advance", format!("takes a u32 state of one axis or none, got {counter:?}"));
        }
        self.effect(Op::Advance, &[counter]);
    }

    /// Writes `value: (n)` into row `counter mod length` of the state `ring: (length, n)`, so that the metrics of many
    /// steps are read in one go.
    #[track_caller]
    pub fn record<'g>(&'g self, ring: Tensor<'g>, value: Tensor<'g>, counter: Tensor<'g>) {
        let (rows, row) = (ring.shape(), value.shape());
        let fits = rows.rank() == 2 && row == Shape::from([rows[1]]) && counter.kind() == TensorType::u32([]);
        if !fits && ![ring, value, counter].iter().any(|tensor| tensor.is_poisoned()) {
            self.fail(
                "record",
                format!("takes a ring (length, n), a value (n) and a counter, got {ring:?}, {value:?}, {counter:?}"),
            );
        }
        self.effect(Op::Record, &[ring, value, counter]);
    }
}
