//! Random cases for a kernel: a call with its inputs.

use crate::{Access, Call, Data};

/// A call together with its operands: inputs filled, outputs poisoned.
#[derive(Debug, Clone)]
pub struct Case {
    /// The problem in words, for reports.
    pub label: String,
    /// The call to run.
    pub call: Call,
    /// One for each binding of the kernel.
    pub operands: Vec<Data>,
}

impl Case {
    /// A case from a call and the values of the bindings that the kernel reads (or updates), in their order.
    ///
    /// # Panics
    /// If the inputs are not those that the call needs.
    pub fn new(label: impl std::fmt::Debug, call: Call, inputs: impl IntoIterator<Item = Data>) -> Self {
        let mut inputs = inputs.into_iter();
        let mut operands = Vec::with_capacity(call.lengths.len());
        for (binding, &length) in call.kernel.bindings.iter().zip(&call.lengths) {
            let operand = match binding.access {
                Access::Write => Data::poison(binding.element, length),
                Access::Read | Access::Update => inputs.next().expect("a value for each binding that is read"),
            };
            assert_eq!(operand.len(), length, "{}: elements of `{}`", call.kernel.name, binding.name);
            assert_eq!(operand.element(), binding.element, "{}: type of `{}`", call.kernel.name, binding.name);
            operands.push(operand);
        }
        assert!(inputs.next().is_none(), "{}: more inputs than bindings", call.kernel.name);
        Self { label: format!("{label:?}"), call, operands }
    }

    /// Folds a grid of two workgroups or more in a row as one of more than 65,535 is folded (see [`grid`](crate::grid)), with
    /// workgroups past the last if it can be, provided that the kernel reads the length of a row, which is how it finds its
    /// workgroup's index.
    pub fn folded(self) -> Self {
        let [x, 1, 1] = self.call.grid else { return self };
        if x < 2 || !self.call.kernel.source.contains("num_workgroups") {
            return self;
        }
        let rows = (2..x.min(8)).find(|&rows| !x.is_multiple_of(rows)).unwrap_or(2);
        Self { call: self.call.with_grid([x.div_ceil(rows), rows, 1]), ..self }
    }

    /// The operands after the CPU twin has run.
    pub fn expected(&self) -> Vec<Data> {
        let mut operands = self.operands.clone();
        self.call.run_twin(&mut operands.iter_mut().map(Data::operand).collect::<Vec<_>>());
        operands
    }
}
