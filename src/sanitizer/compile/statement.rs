//! Statements: control flow into jumps.

use naga::{
    AtomicFunction, Barrier, Block, Direction, Expression, Function, GatherMode, Handle, Scalar, ScalarKind, Span,
    Statement, SwitchCase, SwitchValue, TypeInner,
};

use super::{Body, Compiler, Scope, Value};
use crate::sanitizer::code::{Exchange, Number, Op, Update};
use crate::sanitizer::layout::Unknown;

impl<'m> Compiler<'m> {
    pub(super) fn block(&mut self, body: &mut Body<'m>, block: &'m Block) -> Result<(), Unknown> {
        for (statement, &span) in block.span_iter() {
            self.mark(span);
            self.statement(body, statement, span)?;
        }
        Ok(())
    }

    fn statement(&mut self, body: &mut Body<'m>, statement: &'m Statement, span: Span) -> Result<(), Unknown> {
        match *statement {
            Statement::Emit(ref range) => {
                for handle in range.clone() {
                    self.expression(body, handle)?;
                }
            }
            Statement::Block(ref block) => self.block(body, block)?,
            Statement::If { condition, ref accept, ref reject } => {
                let condition = self.words(body, condition)?;
                let over = self.emit(Op::JumpUnless { condition, to: 0 });
                self.block(body, accept)?;
                if reject.is_empty() {
                    self.aim(over);
                } else {
                    let end = self.emit(Op::Jump { to: 0 });
                    self.aim(over);
                    self.block(body, reject)?;
                    self.aim(end);
                }
            }
            Statement::Switch { selector, ref cases } => self.switch(body, selector, cases)?,
            Statement::Loop { body: ref passes, ref continuing, break_if } => {
                self.emit(Op::LoopEnter);
                let start = self.label();
                self.emit(Op::LoopPass);
                body.scopes.push(Scope { breaks: Vec::new(), continues: Some(Vec::new()) });
                self.block(body, passes)?;
                let continues = body.scopes.last_mut().and_then(|scope| scope.continues.take()).unwrap_or_default();
                continues.into_iter().for_each(|jump| self.aim(jump));
                self.block(body, continuing)?;
                self.mark(span);
                // With a condition to break on, the loop goes on where it is false.
                let again = match break_if {
                    Some(condition) => Op::JumpUnless { condition: self.words(body, condition)?, to: start },
                    None => Op::Jump { to: start },
                };
                self.emit(again);
                self.leave(body);
                self.emit(Op::LoopExit);
            }
            Statement::Break => {
                let jump = self.emit(Op::Jump { to: 0 });
                body.scopes.last_mut().ok_or("a break outside of a loop")?.breaks.push(jump);
            }
            Statement::Continue => {
                let jump = self.emit(Op::Jump { to: 0 });
                let around = body.scopes.iter_mut().rev().find_map(|scope| scope.continues.as_mut());
                around.ok_or("a continue outside of a loop")?.push(jump);
            }
            Statement::Return { value } => {
                if let Some(value) = value {
                    let (from, count) = (self.words(body, value)?, self.count(body, value)?);
                    self.emit(Op::Copy { to: body.result, from, count });
                }
                self.emit(Op::Return);
            }
            Statement::ControlBarrier(flags) => {
                self.emit(Op::Barrier { flags });
            }
            Statement::Store { pointer, value } => {
                let atomic = matches!(self.inner(body, pointer), TypeInner::Atomic(_));
                let (from, count) = (self.words(body, value)?, self.count(body, value)?);
                let pointer = self.pointer(body, pointer)?;
                let (at, plus) = (self.at(pointer), pointer.plus);
                let op = match (pointer.global, pointer.at) {
                    (Some(global), _) => Op::Store { from, global, at, plus, count, atomic },
                    (None, Some(at)) => Op::StoreOwn { from, at, plus, count },
                    (None, None) => Op::Copy { to: plus, from, count },
                };
                self.emit_on(pointer.variable, op);
            }
            Statement::Atomic { pointer, fun, value, result } => self.atomic(body, pointer, fun, value, result)?,
            Statement::WorkGroupUniformLoad { pointer, result } => {
                let count = self.count(body, result)?;
                let pointer = self.pointer(body, pointer)?;
                self.emit(Op::Barrier { flags: Barrier::WORK_GROUP });
                let slot = self.load(pointer, count, false);
                self.emit(Op::Barrier { flags: Barrier::WORK_GROUP });
                body.values[result.index()] = Some(Value::Words(slot));
            }
            Statement::Call { function, ref arguments, result } => self.call(body, function, arguments, result)?,
            Statement::SubgroupBallot { result, predicate } => {
                let from = match predicate {
                    Some(predicate) => self.words(body, predicate)?,
                    None => self.constant(&[1]),
                };
                let to = self.allocate(4);
                self.emit(Op::Subgroup { to, from, lane: from, count: 1, kind: Exchange::Ballot });
                body.values[result.index()] = Some(Value::Words(to));
            }
            Statement::SubgroupGather { mode, argument, result } => {
                let (kind, lane) = match mode {
                    GatherMode::BroadcastFirst => (Exchange::First, None),
                    GatherMode::Broadcast(lane) | GatherMode::Shuffle(lane) => (Exchange::Lane, Some(lane)),
                    GatherMode::ShuffleDown(lane) => (Exchange::Down, Some(lane)),
                    GatherMode::ShuffleUp(lane) => (Exchange::Up, Some(lane)),
                    GatherMode::ShuffleXor(lane) => (Exchange::Xor, Some(lane)),
                    GatherMode::QuadBroadcast(lane) => (Exchange::Quad, Some(lane)),
                    GatherMode::QuadSwap(Direction::X) => (Exchange::QuadSwap(1), None),
                    GatherMode::QuadSwap(Direction::Y) => (Exchange::QuadSwap(2), None),
                    GatherMode::QuadSwap(Direction::Diagonal) => (Exchange::QuadSwap(3), None),
                };
                self.subgroup(body, kind, argument, lane, result)?;
            }
            Statement::SubgroupCollectiveOperation { op, collective_op, argument, result } => {
                let kind = match *self.inner_of(body, argument) {
                    TypeInner::Scalar(scalar) | TypeInner::Vector { scalar, .. } => match scalar.kind {
                        ScalarKind::Float => Number::F32,
                        ScalarKind::Sint => Number::I32,
                        _ => Number::U32,
                    },
                    _ => return Err(format!("a subgroup operation on {:?}", self.inner_of(body, argument))),
                };
                self.subgroup(body, Exchange::Collect(op, collective_op, kind), argument, None, result)?;
            }
            ref other => return Err(format!("the statement {other:?}")),
        }
        Ok(())
    }

    /// Ends the innermost loop or switch: its breaks lead here.
    fn leave(&mut self, body: &mut Body<'m>) {
        let scope = body.scopes.pop().unwrap_or_default();
        scope.breaks.into_iter().for_each(|jump| self.aim(jump));
    }

    fn switch(
        &mut self,
        body: &mut Body<'m>,
        selector: Handle<Expression>,
        cases: &'m [SwitchCase],
    ) -> Result<(), Unknown> {
        let selector = self.words(body, selector)?;
        let table = self.program.switches.len() as u32;
        self.program.switches.push((Vec::new(), 0));
        self.emit(Op::Switch { selector, table });
        body.scopes.push(Scope::default());
        let mut default = None;
        for case in cases {
            let label = self.label();
            let value = match case.value {
                SwitchValue::I32(value) => Some(value as u32),
                SwitchValue::U32(value) => Some(value),
                SwitchValue::Default => None,
            };
            match value {
                Some(value) => self.program.switches[table as usize].0.push((value, label)),
                None => default = Some(label),
            }
            self.block(body, &case.body)?;
            if !case.fall_through {
                let jump = self.emit(Op::Jump { to: 0 });
                body.scopes.last_mut().ok_or("a switch without its scope")?.breaks.push(jump);
            }
        }
        self.leave(body);
        self.program.switches[table as usize].1 = default.unwrap_or_else(|| self.label());
        Ok(())
    }

    fn call(
        &mut self,
        body: &mut Body<'m>,
        function: Handle<Function>,
        arguments: &[Handle<Expression>],
        result: Option<Handle<Expression>>,
    ) -> Result<(), Unknown> {
        let callee = self.functions.get(&function).cloned().ok_or("a call of a function further down")?;
        for (&argument, &to) in arguments.iter().zip(&callee.arguments) {
            let (from, count) = (self.words(body, argument)?, self.count(body, argument)?);
            self.emit(Op::Copy { to, from, count });
        }
        self.emit(Op::Call { to: callee.label });
        if let Some(result) = result {
            let count = self.count(body, result)?;
            let to = self.allocate(count);
            self.emit(Op::Copy { to, from: callee.result, count });
            body.values[result.index()] = Some(Value::Words(to));
        }
        Ok(())
    }

    fn atomic(
        &mut self,
        body: &mut Body<'m>,
        pointer: Handle<Expression>,
        function: AtomicFunction,
        value: Handle<Expression>,
        result: Option<Handle<Expression>>,
    ) -> Result<(), Unknown> {
        let signed = self.inner(body, pointer) == TypeInner::Atomic(Scalar::I32);
        let pointer = self.pointer(body, pointer)?;
        let global = pointer.global.ok_or("an atomic operation on memory that is not shared")?;
        let (plus, variable) = (pointer.plus, pointer.variable);
        let at = self.at(pointer);
        let value = self.words(body, value)?;
        let comparison = match function {
            AtomicFunction::Exchange { compare } => compare,
            _ => None,
        };
        let compare = comparison.map(|compare| self.words(body, compare)).transpose()?;
        let update = Update { function, compares: compare.is_some(), signed };
        // The old value, and for a comparison if it was exchanged.
        let to = self.allocate(2);
        let compare = compare.unwrap_or(value);
        self.emit_on(variable, Op::Atomic { to, global, at, plus, update, value, compare });
        if let Some(result) = result {
            body.values[result.index()] = Some(Value::Words(to));
        }
        Ok(())
    }

    fn subgroup(
        &mut self,
        body: &mut Body<'m>,
        kind: Exchange,
        argument: Handle<Expression>,
        lane: Option<Handle<Expression>>,
        result: Handle<Expression>,
    ) -> Result<(), Unknown> {
        let (from, count) = (self.words(body, argument)?, self.count(body, argument)?);
        let lane = match lane {
            Some(lane) => self.words(body, lane)?,
            None => from,
        };
        let to = self.allocate(count);
        self.emit(Op::Subgroup { to, from, lane, count: count as u8, kind });
        body.values[result.index()] = Some(Value::Words(to));
        Ok(())
    }
}
