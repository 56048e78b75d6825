//! A scripted player of Pong in the lanes of an environment.

use fourfold_shaders::rollout::environments::{Pong, PongTeacher};
use fourfold_shaders::rollout::pong_teacher::Problem;

use super::{Environment, Error, VectorEnvironment};
use crate::gpu::BufferView;
use crate::gpu::program::{Allocation, BufferId, Program, ProgramPlan, RecordingId};

/// A [`PongTeacher`] that plays the lanes of a [`VectorEnvironment`], or says of each what it would do: one dispatch reads
/// their states and writes actions.
///
/// ```
/// use fourfold::rollout::environments::{Pong, PongTeacher};
/// use fourfold::rollout::{PongPlayer, VectorEnvironment, VectorSettings};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let gpu = fourfold::Gpu::open()?;
/// let mut lanes = VectorEnvironment::new(&gpu, Pong, &VectorSettings::new(3, 3_000, 7))?;
/// let actions = lanes.actions().clone();
/// let player = PongPlayer::new(&lanes, PongTeacher::LookAhead, Some(actions))?;
/// lanes.reset(0)?;
/// let mut encoder = gpu.device().create_command_encoder(&Default::default());
/// {
///     let mut pass = encoder.begin_compute_pass(&Default::default());
///     for _ in 0..150 {
///         player.record(&mut pass);
///         lanes.record(&mut pass);
///     }
/// }
/// gpu.queue().submit([encoder.finish()]);
/// // 600 frames: the player has won its first points.
/// assert!(lanes.episodes()?.returns.iter().all(|&points| points >= 1.0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PongPlayer {
    program: Program,
    values: BufferId,
    actions: BufferId,
    teach: RecordingId,
}

impl PongPlayer {
    /// A player of an environment's lanes, which writes its actions into a buffer (lanes) of somebody else's, such as the
    /// environment's own, or into one of its own. Creates a pipeline; neither submits nor polls.
    ///
    /// # Errors
    /// An environment other than [`Pong`], actions of another length, out of memory, or a shader that the driver refuses.
    pub fn new(
        environment: &VectorEnvironment,
        teacher: PongTeacher,
        actions: Option<BufferView>,
    ) -> Result<Self, Error> {
        let file = environment.environment().file();
        if file != Pong.file() {
            let message = format!("the player's environment must be {}, got {file}", Pong.file());
            return Err(Error::Settings { message });
        }
        let lanes = environment.settings().lanes;
        let gpu = environment.gpu();
        let mut plan = ProgramPlan::default();
        let saved = plan.buffer(Allocation::f32("state", environment.state().elements()).given());
        let values = plan.buffer(Allocation::f32("values", 3 * lanes));
        let own = Allocation::f32("actions", lanes);
        let written = plan.buffer(if actions.is_some() { own.given() } else { own });
        let teach = plan.recording();
        plan.sequence(teach, Problem { lanes, teacher }.sequence(&gpu.target()), &[saved, values, written]);
        let mut given = vec![(saved, environment.state())];
        given.extend(actions.as_ref().map(|view| (written, view)));
        let program = Program::new(gpu, "player of Pong", plan, &given)?;
        Ok(Self { program, values, actions: written, teach })
    }

    /// Records that the player looks at every lane and says what it would do.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.program.record(self.teach, pass);
    }

    /// Looks at every lane, and waits for what the player would do there: (lanes).
    ///
    /// # Errors
    /// The device was lost.
    pub async fn decide_async(&self) -> Result<Vec<f32>, Error> {
        self.program.submit(self.teach)?;
        let [actions] = self.program.read_async([self.actions]).await?;
        Ok(actions.f32().to_vec())
    }

    /// Blocks, as [`decide_async`](Self::decide_async).
    ///
    /// # Errors
    /// As [`decide_async`](Self::decide_async).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn decide(&self) -> Result<Vec<f32>, Error> {
        self.program.gpu().block_on(self.decide_async())
    }

    /// (lanes): the actions.
    pub fn actions(&self) -> &BufferView {
        self.program.view(self.actions)
    }

    /// (lanes, 3): what fire, up and fire, and down and fire are worth, in units of a 6,000th of a point; see
    /// [`PongTeacher::values`].
    pub fn values(&self) -> &BufferView {
        self.program.view(self.values)
    }
}
