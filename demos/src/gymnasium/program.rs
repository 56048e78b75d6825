//! The programs of workers.

/// A program of a worker, which the interpreter takes as an argument: no file of it need be found.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its text, in Python.
    pub(super) text: &'static str,
    /// The packages that it needs, as pip names them.
    pub(super) packages: &'static str,
}

impl Program {
    /// Environments by name, Gymnasium's and pybullet's.
    pub const ENVIRONMENTS: Self = Self {
        text: concat!(include_str!("protocol.py"), "\n\n", include_str!("worker.py")),
        packages: "gymnasium[mujoco]",
    };

    /// Gymnasium's CarRacing on given tracks, observed as a scene.
    pub const CAR_RACING: Self = Self {
        text: concat!(include_str!("protocol.py"), "\n\n", include_str!("car_racing.py")),
        packages: "gymnasium[box2d]",
    };
}
