//! The WGSL files of an environment and a policy, checked before they are put together: what is wrong is named by file,
//! line and function.

use fourfold_shaders::Binding;
use fourfold_shaders::rollout::unroll::{self, LIBRARY, WeightStorage};

use super::signature::{check_file, check_sizes};
use super::{Composition, Environment, Error, Interface, Policy};
use crate::gpu;

/// Definitions that stand in for the kernel when a policy is parsed by itself.
const WEIGHTS: &str =
    "fn weight(i: u32) -> f32 { return 0.0; }\nfn table(i: u32) -> vec4<f32> { return vec4<f32>(); }\n";

/// Checks both files and the sizes that their descriptions give.
pub(crate) fn check(composition: &Composition) -> Result<(), Error> {
    let policy = &*composition.policy;
    let interface = composition.interface();
    check_environment(&*composition.environment)?;
    if composition.sensors.copies == 0 {
        return Err(Error::Settings { message: "sensors give the observation at least once, but copies is 0".into() });
    }
    if let Some(wiring) = composition.sensors.wiring
        && (wiring.interval == 0 || wiring.phases == 0)
    {
        let message = format!("a wiring needs an interval and phases of at least 1, not {wiring:?}");
        return Err(Error::Settings { message });
    }
    if !composition.fits_in_bindings() {
        let file = composition.environment.file();
        let message = format!(
            "{file} has a table, which leaves no room for a wiring beside a trace or perturbed weights: expected \
             `wiring: None`"
        );
        return Err(Error::Settings { message });
    }
    check_policy(policy, interface, &composition.sizes(WeightStorage::Streamed))
}

/// Checks the file of a policy and what its description gives; `sizes` are the constants that the file names.
pub(crate) fn check_policy(policy: &dyn Policy, interface: Interface, sizes: &str) -> Result<(), Error> {
    policy.check(interface).map_err(gpu::Error::from)?;
    let described =
        [("inputs", interface.inputs), ("actions", interface.actions), ("weights", policy.weights(interface))];
    check_sizes(policy.file(), described)?;
    if policy.channel_memory(interface) > policy.memory(interface) {
        let message = "its description says that more memory belongs to the channels than there is".into();
        return Err(Error::File { file: policy.file().into(), line: None, message });
    }
    check_file(policy.file(), policy.source(), sizes, (&LIBRARY, WEIGHTS), &policy.functions(interface))
}

/// Checks the file of an environment and the sizes that its description gives.
pub(crate) fn check_environment(environment: &dyn Environment) -> Result<(), Error> {
    environment.check().map_err(gpu::Error::from)?;
    let sizes = [
        ("states", environment.states()),
        ("observations", environment.observations()),
        ("actions", environment.actions()),
    ];
    let table = environment.table().map(|table| ("numbers in the table", table.len()));
    check_sizes(environment.file(), sizes.into_iter().chain(table))?;
    let sizes = unroll::sizes(environment);
    let table = Binding::declare(&unroll::table_binding(environment).into_iter().collect::<Vec<_>>());
    check_file(environment.file(), environment.source(), &sizes, (&LIBRARY, &table), &environment.functions())
}
