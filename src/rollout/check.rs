//! The WGSL files of an environment and a policy, checked before they are put together: what is wrong is named by file,
//! line and function.

use fourfold_shaders::rollout::unroll::{self, LIBRARY, WeightStorage};

use super::signature::{Signature, check_file, check_sizes};
use super::{Composition, Environment, Error};

/// Definitions that stand in for the kernel when a policy is parsed by itself.
const WEIGHTS: &str =
    "fn weight(i: u32) -> f32 { return 0.0; }\nfn table(i: u32) -> vec4<f32> { return vec4<f32>(); }\n";

/// Checks both files and the sizes that their descriptions give.
pub(crate) fn check(composition: &Composition) -> Result<(), Error> {
    let policy = &*composition.policy;
    let interface = composition.interface();
    let refuse = |file: &str, message: String| Err(Error::File { file: file.into(), line: None, message });
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
    if composition.parameters() == 0 {
        return refuse(policy.file(), "its description says weights = 0: there must be at least one".into());
    }
    if policy.channel_memory(interface) > policy.memory(interface) {
        return refuse(
            policy.file(),
            "its description says that more memory belongs to the channels than there is".into(),
        );
    }

    let memory = pointer(&array(policy.memory(interface).max(1)));
    let (arguments, result) = (vec![memory, array(interface.inputs)], array(interface.actions));
    let act = Signature { name: "policy_act", arguments, result };
    let table = Signature { name: "policy_table", arguments: vec!["u32".into()], result: "vec4<f32>".into() };
    let tables = policy.tables(interface) > 0;
    let wanted: Vec<_> = [act].into_iter().chain(tables.then_some(table)).collect();
    check_file(
        policy.file(),
        policy.source(),
        &composition.sizes(WeightStorage::Streamed),
        (&LIBRARY, WEIGHTS),
        &wanted,
    )
}

/// Checks the file of an environment and the sizes that its description gives.
pub(crate) fn check_environment(environment: &dyn Environment) -> Result<(), Error> {
    let sizes = [
        ("states", environment.states()),
        ("observations", environment.observations()),
        ("actions", environment.actions()),
    ];
    check_sizes(environment.file(), sizes)?;
    let [states, observations, actions] = sizes.map(|(_, size)| array(size));
    let random = || pointer("Random");
    let arguments = vec![pointer(&states), actions, random()];
    check_file(
        environment.file(),
        environment.source(),
        &unroll::sizes(environment),
        (&LIBRARY, ""),
        &[
            Signature { name: "environment_reset", arguments: vec![random()], result: states.clone() },
            Signature { name: "environment_observe", arguments: vec![states], result: observations },
            Signature { name: "environment_step", arguments, result: "Outcome".into() },
        ],
    )
}

fn array(length: usize) -> String {
    format!("array<f32, {length}>")
}

fn pointer(inner: &str) -> String {
    format!("ptr<function, {inner}>")
}
