//! Makes the plan of a graph.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use fourfold_shaders::{Call, Sequence, Slot, Step, Target};

use super::canonical::{Canonical, Storage};
use super::fuse::{self, Unit};
use super::memory::{self, Request, Sharing};
use super::{Binding, Dispatch, Plan, Region, lower, operation};
use crate::gpu::check_loops;
use crate::graph::{Graph, GraphError, Op, Tag, Value};

impl Plan {
    /// The plan of everything that the graph's outputs and effects need.
    ///
    /// `target` decides between variants of kernels; it is the only thing besides the graph that a plan depends on.
    ///
    /// # Errors
    /// The first mistake that was made in building the graph, an operation that no kernel can do at its size, or a custom
    /// operation whose dispatches or kernels are wrong.
    pub fn new(graph: &Graph, target: &Target) -> Result<Plan, GraphError> {
        graph.check()?;
        let canonical = Canonical::new(graph);
        let units = fuse::units(&canonical);
        let work = units.iter().map(|unit| Work::of(&canonical, unit, target)).collect::<Result<Vec<_>, _>>()?;
        let mut checked = operation::Checked::new();
        for (unit, work) in units.iter().zip(&work) {
            let node = canonical.node(unit.computed());
            if matches!(node.op, Op::Fused(_)) {
                operation::check_kernels(node, &work.sequence, &mut checked)?;
            }
        }
        Ok(Planner::new(&canonical, work).plan())
    }
}

/// A unit with its dispatches: arguments are the values that it reads, then those that it stores.
struct Work {
    sequence: Sequence,
    reads: Vec<Value>,
    stores: Vec<Value>,
    label: String,
}

impl Work {
    fn of(graph: &Canonical, unit: &Unit, target: &Target) -> Result<Self, GraphError> {
        let root = graph.node(unit.root());
        let refuse = |message| GraphError { operation: root.op.name(), message, location: root.location };
        let stores = (0..root.outputs.len()).map(|output| Value { node: unit.root(), output }).collect();
        let (sequence, reads) = match unit {
            Unit::Node(index) => {
                let own = Value { node: *index, output: 0 };
                match (graph.constant(own), &root.op) {
                    // Filled when the session is made.
                    (Some(_), _) => (Sequence::default(), Vec::new()),
                    (None, Op::Broadcast) => {
                        let input = fuse::unstretched(graph, own);
                        let kind = graph.type_of(input);
                        let call = fuse::copy_call(&root.outputs[0].shape, kind);
                        (call.into(), vec![input])
                    }
                    // The parts are placed, or copied one by one, when memory is known.
                    (None, Op::Pack { .. }) => (Sequence::default(), root.inputs.clone()),
                    _ => {
                        let kinds: Vec<_> = root.inputs.iter().map(|input| graph.type_of(*input)).collect();
                        let mut sequence = lower::sequence(root, &kinds, target)?;
                        if root.op.is_effect() {
                            copy_what_changes(graph, &root.inputs, &mut sequence);
                        }
                        (sequence, root.inputs.clone())
                    }
                }
            }
            Unit::Chain { root, members } => {
                (fuse::chain_call(graph, *root, members).into(), fuse::leaves(graph, members))
            }
            Unit::Product { product, bias, activation, biased, .. } => {
                let node = graph.node(*product);
                let reads: Vec<Value> = node.inputs.iter().chain([bias]).copied().collect();
                let kinds: Vec<_> = reads.iter().map(|input| graph.type_of(*input)).collect();
                let sequence = match biased {
                    Some(biased) => operation::sequence(biased, node, &kinds, target)?,
                    None => lower::product(node, &kinds[..2], true, *activation)
                        .sequence(target)
                        .map_err(|error| refuse(error.to_string()))?,
                };
                (sequence, reads)
            }
        };
        for step in &sequence.steps {
            check_loops(&step.call, target).map_err(|error| refuse(error.to_string()))?;
        }
        Ok(Self { sequence, reads, stores, label: format!("{} at {}", root.op.name(), root.location) })
    }
}

/// Copies an input to scratch first where an effect also writes it: WebGPU forbids both within one dispatch.
fn copy_what_changes(graph: &Canonical, inputs: &[Value], sequence: &mut Sequence) {
    let slots = |sequence: &Sequence, writes: bool| -> BTreeSet<usize> {
        let operands =
            sequence.steps.iter().flat_map(|step| step.operands.iter().zip(step.call.kernel.bindings.iter()));
        let chosen = operands.filter(|(_, binding)| binding.access.writes() == writes);
        chosen.filter_map(|(slot, _)| if let Slot::Argument(index) = *slot { Some(index) } else { None }).collect()
    };
    let changed: HashSet<Value> =
        slots(sequence, true).into_iter().map(|index| graph.storage(inputs[index]).root).collect();
    for index in slots(sequence, false) {
        if !changed.contains(&graph.storage(inputs[index]).root) {
            continue;
        }
        let kind = graph.type_of(inputs[index]);
        let copied = sequence.scratch(kind.element, kind.elements());
        for slot in sequence.steps.iter_mut().flat_map(|step| &mut step.operands) {
            if *slot == Slot::Argument(index) {
                *slot = copied;
            }
        }
        let call = fuse::copy_call(&kind.shape, kind);
        sequence.steps.insert(0, Step { call, operands: vec![Slot::Argument(index), copied] });
    }
}

struct Planner<'a> {
    graph: &'a Canonical,
    work: Vec<Work>,
    /// The region of each stored value, aliases resolved.
    regions: HashMap<Value, Region>,
    plan: Plan,
}

impl<'a> Planner<'a> {
    fn new(graph: &'a Canonical, work: Vec<Work>) -> Self {
        let plan = Plan {
            buffers: Vec::new(),
            dispatches: Vec::new(),
            inputs: BTreeMap::new(),
            states: BTreeMap::new(),
            outputs: BTreeMap::new(),
        };
        Self { graph, work, regions: HashMap::new(), plan }
    }

    fn plan(mut self) -> Plan {
        let placed = self.placed_parts();
        let scratch = self.place_values(&placed);
        let work = std::mem::take(&mut self.work);
        for (work, scratch) in work.iter().zip(scratch) {
            self.emit(work, &scratch, &placed);
        }
        self.name_bindings();
        self.plan
    }

    fn storage(&self, value: Value) -> Storage {
        self.graph.storage(value)
    }

    /// The parts of flat tensors that are computed in their place: value to (pack, offset).
    ///
    /// A part must be a stored value of its own that nothing but the pack reads: another reader might write to the flat
    /// tensor while it reads the part, which WebGPU forbids within one dispatch. A constant is no such value: no
    /// dispatch writes it.
    fn placed_parts(&self) -> HashMap<Value, (Value, usize)> {
        let mut readers: HashMap<Value, usize> = HashMap::new();
        let named = self.graph.outputs.iter().map(|(_, value)| value);
        for value in self.work.iter().flat_map(|work| &work.reads).chain(named) {
            *readers.entry(self.storage(*value).root).or_default() += 1;
        }
        let stored: HashSet<Value> = self.work.iter().flat_map(|work| work.stores.iter().copied()).collect();
        let mut placed = HashMap::new();
        for work in &self.work {
            let [store] = work.stores[..] else { continue };
            let Op::Pack { offsets } = &self.graph.node(store.node).op else { continue };
            for (&part, &offset) in work.reads.iter().zip(offsets) {
                let Storage { root, offset: within } = self.storage(part);
                let whole = within == 0 && self.graph.type_of(root).elements() == self.graph.type_of(part).elements();
                let is_pack = matches!(self.graph.node(root.node).op, Op::Pack { .. });
                let computed = stored.contains(&root) && self.graph.constant(root).is_none();
                if whole && computed && readers[&root] == 1 && !is_pack {
                    placed.insert(root, (store, offset));
                }
            }
        }
        placed
    }

    /// Gives every stored value and every scratch buffer its region; returns the scratch regions of each unit.
    fn place_values(&mut self, placed: &HashMap<Value, (Value, usize)>) -> Vec<Vec<Region>> {
        let mut requests: Vec<Request> = Vec::new();
        let mut requested: HashMap<Value, usize> = HashMap::new();
        let forever = self.work.len();
        for (index, node) in self.graph.live() {
            let tag = match node.op {
                Op::Input { .. } => Tag::Input,
                Op::State { tag, .. } => tag,
                _ => continue,
            };
            requested.insert(Value { node: index, output: 0 }, requests.len());
            let words = node.outputs[0].elements();
            requests.push(Request { words, first: 0, last: forever, sharing: Sharing::Alone(tag) });
        }
        let named: HashSet<Value> = self.graph.outputs.iter().map(|(_, value)| self.storage(*value).root).collect();
        let mut scratch = Vec::new();
        // The buffer of a value lives from the first unit that writes into it to the last one that reads it.
        let target_of = |value: Value| placed.get(&value).map_or(value, |(pack, _)| *pack);
        for (time, work) in self.work.iter().enumerate() {
            for &store in &work.stores {
                let owner = target_of(store);
                let elements = self.graph.type_of(owner).elements();
                let request = *requested.entry(owner).or_insert_with(|| {
                    let constant = self.graph.constant(owner);
                    let sharing = match (constant, &self.graph.node(owner.node).op) {
                        (Some(value), _) => Sharing::Constant(value),
                        _ if named.contains(&owner) => Sharing::Alone(Tag::Activations),
                        (None, Op::Pack { offsets }) => {
                            let lengths = self.graph.node(owner.node).inputs.iter();
                            let lengths = lengths.map(|part| self.graph.type_of(*part).elements());
                            Sharing::Packed(offsets.iter().copied().zip(lengths).collect())
                        }
                        _ => Sharing::Pool,
                    };
                    requests.push(Request { words: elements, first: time, last: time, sharing });
                    requests.len() - 1
                });
                requests[request].last = requests[request].last.max(time);
            }
            for &read in &work.reads {
                let request = requested[&target_of(self.storage(read).root)];
                requests[request].last = requests[request].last.max(time);
            }
            let own = work.sequence.scratch.iter().map(|scratch| {
                requests.push(Request { words: scratch.length, first: time, last: time, sharing: Sharing::Pool });
                requests.len() - 1
            });
            scratch.push(own.collect::<Vec<_>>());
        }
        let assigned = memory::assign(&requests, &mut self.plan.buffers);
        let region = |request: usize, offset, length| Region { buffer: assigned[request], offset, length };
        for (&value, &request) in &requested {
            self.regions.insert(value, region(request, 0, self.graph.type_of(value).elements()));
        }
        for (&part, &(pack, offset)) in placed {
            let length = self.graph.type_of(part).elements();
            self.regions.insert(part, Region { offset, length, ..self.regions[&pack] });
        }
        // A named flat tensor has a buffer of its own, whose gaps must be zero as well.
        for work in &self.work {
            for store in &work.stores {
                if matches!(self.graph.node(store.node).op, Op::Pack { .. }) {
                    self.plan.buffers[self.regions[store].buffer].fill = Some(0.0);
                }
            }
        }
        scratch
            .iter()
            .map(|own| own.iter().map(|&request| region(request, 0, requests[request].words)).collect())
            .collect()
    }

    fn region(&self, value: Value) -> Region {
        let Storage { root, offset } = self.storage(value);
        let base = self.regions[&root];
        Region { offset: base.offset + offset, length: self.graph.type_of(value).elements(), ..base }
    }

    fn emit(&mut self, work: &Work, scratch: &[Region], placed: &HashMap<Value, (Value, usize)>) {
        let reads: Vec<Region> = work.reads.iter().map(|value| self.region(*value)).collect();
        let stores: Vec<Region> = work.stores.iter().map(|value| self.region(*value)).collect();
        if let [store] = work.stores[..]
            && let Op::Pack { offsets } = &self.graph.node(store.node).op
        {
            for ((&part, &region), &offset) in work.reads.iter().zip(&reads).zip(offsets) {
                if !placed.contains_key(&self.storage(part).root) {
                    let kind = self.graph.type_of(part);
                    let call = fuse::copy_call(&kind.shape, kind);
                    let target = Region { offset: stores[0].offset + offset, length: region.length, ..stores[0] };
                    self.dispatch(call, vec![region, target], work.label.clone());
                }
            }
            return;
        }
        let arguments: Vec<Region> = reads.into_iter().chain(stores).collect();
        for step in &work.sequence.steps {
            let operands = step.operands.iter().map(|slot| match *slot {
                Slot::Argument(index) => arguments[index],
                Slot::Scratch(index) => scratch[index],
            });
            self.dispatch(step.call.clone(), operands.collect(), work.label.clone());
        }
    }

    fn dispatch(&mut self, call: Call, operands: Vec<Region>, label: String) {
        let operands = operands.into_iter().zip(&call.lengths).map(|(region, &length)| Region { length, ..region });
        let operands = operands.collect();
        self.plan.dispatches.push(Dispatch { call, operands, label });
    }

    fn name_bindings(&mut self) {
        let binding = |planner: &Self, value: Value| {
            let kind = planner.graph.type_of(value);
            Binding { region: planner.region(value), element: kind.element, shape: kind.shape.clone() }
        };
        for (index, node) in self.graph.live() {
            let value = Value { node: index, output: 0 };
            match &node.op {
                Op::Input { name } => {
                    self.plan.inputs.insert(name.clone(), binding(self, value));
                }
                Op::State { name, .. } => {
                    self.plan.states.insert(name.clone(), binding(self, value));
                }
                _ => {}
            }
        }
        for (name, value) in &self.graph.outputs {
            let named = binding(self, *value);
            self.plan.outputs.insert(name.clone(), named);
        }
    }
}
