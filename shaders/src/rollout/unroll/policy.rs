//! A policy: a WGSL file of one function, and the same function on the CPU.

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Debug;

use crate::{Error, RuntimeChecks, Sizes, product, sum};

/// The sizes of the inputs and outputs of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interface {
    /// `INPUTS` in the WGSL: observations, perhaps several copies of them, and noise channels.
    pub inputs: usize,
    /// `ACTIONS` in the WGSL.
    pub actions: usize,
}

/// A policy that a population shares, each member with weights of its own.
///
/// The WGSL file defines
///
/// ```wgsl
/// fn policy_act(memory: ptr<function, array<f32, MEMORY>>, inputs: array<f32, INPUTS>) -> array<f32, ACTIONS>
/// ```
///
/// and reads its weights by `weight(i)`, i below `WEIGHTS`. The memory is zero when an episode starts. A policy with
/// [`tables`](Policy::tables) also defines `fn policy_table(i: u32) -> vec4<f32>`, a function of the weights alone, and
/// reads the results by `table(i)`: they are computed once per dispatch instead of once per step.
///
/// [`act`](Policy::act) is the twin: it computes the same in f64, in the plainest way.
pub trait Policy: Any + Debug + Send + Sync {
    /// The name of the WGSL file, for messages: `linear.wgsl`.
    fn file(&self) -> &str;

    /// The text of the WGSL file.
    fn source(&self) -> &str;

    /// Checks the policy's own sizes, and that it goes with the interface: every plan does before it asks for anything
    /// else.
    ///
    /// # Errors
    /// A size or a factor out of range.
    fn check(&self, _: Interface) -> Result<(), Error> {
        Ok(())
    }

    /// Sizes of its own that the WGSL file names, such as the widths of layers: `const NAME: u32 = value;`.
    fn sizes(&self) -> Vec<(&'static str, usize)> {
        Vec::new()
    }

    /// Values of pipeline-overridable constants of the WGSL file.
    fn constants(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// Weights of one member, at least 1: `WEIGHTS` in the WGSL.
    fn weights(&self, interface: Interface) -> usize;

    /// Numbers that the policy remembers from step to step: `MEMORY` in the WGSL.
    fn memory(&self, _: Interface) -> usize {
        0
    }

    /// Numbers at the start of the memory that belong to the input channels: `CHANNEL_MEMORY` in the WGSL. A shuffle of
    /// the inputs that clears memory clears these.
    fn channel_memory(&self, _: Interface) -> usize {
        0
    }

    /// Tables of four numbers that depend on the weights alone: `TABLES` in the WGSL.
    fn tables(&self, _: Interface) -> usize {
        0
    }

    /// Passes through loops of the WGSL in one step, at most (of those that a driver may not unroll): what a software
    /// driver's limit is held against. Without a better answer, one for each weight and number of memory.
    fn iterations(&self, interface: Interface) -> usize {
        self.weights(interface).saturating_add(self.memory(interface))
    }

    /// True if `policy_act` reads weights only through its tables, or there are no tables: then a software
    /// driver may keep all that it reads in registers. It does so only where every index of a table, a weight or the
    /// memory becomes a constant when loops over whole arrays are unrolled; `SPARE` in the WGSL is 0 then, otherwise 1.
    fn reads_only_tables(&self) -> bool {
        false
    }

    /// Returns the form for GPUs in which a team of invocations acts together, for networks that are larger than the
    /// registers of one.
    fn team(&self, _: Interface) -> Option<Team> {
        None
    }

    /// Units of 2^-24, relative to the larger of 1 and the value, by which an action or a number of the memory may
    /// err in f32.
    fn rounding(&self) -> f64 {
        64.0
    }

    /// The shader's runtime checks of the WGSL file: on, unless the author promises what it takes
    /// ([`RuntimeChecks::off`]).
    fn runtime_checks(&self) -> RuntimeChecks {
        RuntimeChecks::ON
    }

    /// The action, and what the policy remembers after it.
    fn act(&self, weights: &[f64], memory: &mut [f64], inputs: &[f64], action: &mut [f64]);
}

/// The least invocations of a team.
pub const LEAST_TEAM: usize = 8;

/// The form of a policy in which the invocations of a team act together: a WGSL file that is checked with this crate, for
/// its own policies.
///
/// The file defines `fn policy_act(team: u32, lane: u32)`, by which `team_actions` and `team_memory` follow from
/// `team_inputs`, all in workgroup memory, and `policy_table` if it has tables. `lane` counts the invocations of a team; one
/// past all items has no share in the work. Every invocation of the workgroup comes to every barrier.
#[derive(Debug, Clone)]
pub struct Team {
    pub(crate) source: Cow<'static, str>,
    /// Tables of four numbers: `TABLES` in the WGSL.
    pub(crate) tables: usize,
    /// Those of them that are made of the ones before: `LATE_TABLES` in the WGSL.
    pub(crate) late_tables: usize,
    /// Passes through loops of a table, at most.
    pub(crate) table_passes: usize,
    /// Numbers that each team keeps in workgroup memory beside inputs, memory and actions.
    pub(crate) numbers: usize,
}

impl Team {
    /// Slots of one workgroup of `workgroup` invocations, each of which a team plays: a power of two, such that a team has
    /// eight invocations or more, and `groups` slots that share their weights fill it. 0 if a team has no room in the
    /// workgroup memory that every device has, where `kept` numbers lie for all and `each` for each beside what a team takes
    /// while it acts.
    pub(crate) fn slots(
        &self,
        policy: &dyn Policy,
        interface: Interface,
        [kept, each]: [usize; 2],
        groups: usize,
        workgroup: usize,
    ) -> usize {
        const BYTES: usize = 16 << 10;
        let Interface { inputs, actions } = interface;
        // With what the alignment of arrays takes.
        let once = sum(&[kept, product(&[workgroup, actions]), 64]);
        let each = sum(&[each, inputs, policy.memory(interface).max(1), actions, self.numbers]);
        let fits = |slots: &usize| product(&[4, sum(&[once, product(&[*slots, each])])]) <= BYTES;
        let most = (workgroup / LEAST_TEAM).min(groups.next_power_of_two());
        let mut fewer = std::iter::successors(Some(most), |slots| Some(slots / 2)).take_while(|slots| *slots > 0);
        fewer.find(fits).unwrap_or(0)
    }
}

impl dyn Policy {
    /// The functions that the WGSL file must define, without the names of their arguments.
    pub fn functions(&self, interface: Interface) -> Vec<String> {
        let Interface { inputs, actions } = interface;
        let memory = self.memory(interface).max(1);
        let act = format!(
            "fn policy_act(ptr<function, array<f32, {memory}>>, array<f32, {inputs}>) -> array<f32, {actions}>"
        );
        let table = (self.tables(interface) > 0).then(|| "fn policy_table(u32) -> vec4<f32>".into());
        [act].into_iter().chain(table).collect()
    }
}

/// Checks the sizes of a policy, those of its interface and its own.
pub(crate) fn check_policy(policy: &dyn Policy, interface: Interface) -> Result<(), Error> {
    let Interface { inputs, actions } = interface;
    let sizes = Sizes("policy").positive(&[("inputs", inputs), ("actions", actions)])?;
    policy.check(interface)?;
    let (memory, tables) = (policy.memory(interface), policy.tables(interface));
    let of_channels = policy.channel_memory(interface);
    sizes
        .positive(&[("weights", policy.weights(interface))])?
        .at_most(&[("memory", memory)])?
        .at_most(&[("tables", tables)])?
        .expect("channel_memory", of_channels <= memory, format_args!("within the memory of {memory}"), of_channels)?;
    Ok(())
}

/// The sizes that the file of a policy names, or that of its `team`, as WGSL constants; `loops` is true where loops over arrays are to stay loops.
pub(crate) fn sizes(policy: &dyn Policy, interface: Interface, team: Option<&Team>, loops: bool) -> String {
    let tables = team.map_or(policy.tables(interface), |team| team.tables);
    let sizes = [
        ("INPUTS", interface.inputs),
        ("WEIGHTS", policy.weights(interface)),
        ("TABLES", tables.max(1)),
        ("LATE_TABLES", team.map_or(0, |team| team.late_tables)),
        ("MEMORY", policy.memory(interface).max(1)),
        ("CHANNEL_MEMORY", policy.channel_memory(interface)),
        ("SPARE", usize::from(loops)),
    ];
    let declared = |(name, value): (&str, usize)| format!("const {name}: u32 = {value}u;\n");
    sizes.into_iter().chain(policy.sizes()).map(declared).collect()
}

/// Stands in for the tables of a policy that has none, in WGSL.
pub(crate) fn without_tables(tables: usize) -> &'static str {
    match tables {
        0 => "\n// The policy has no tables.\nfn policy_table(i: u32) -> vec4<f32> {\n    return vec4<f32>();\n}\n",
        _ => "",
    }
}
