//! The trained files that scenes begin with; `demos/weights/README.md` says how each was made.

pub(crate) const ATTENTION_NEURON: &[u8] = include_bytes!("../../../demos/weights/attention_neuron.safetensors");
pub(crate) const KEY_TO_DOOR: &[u8] = include_bytes!("../../../demos/weights/key_to_door.safetensors");
pub(crate) const KEY_TO_DOOR_CRITIC: &[u8] = include_bytes!("../../../demos/weights/key_to_door_critic.safetensors");
pub(crate) const SHORTEST_PATHS: &[u8] = include_bytes!("../../../demos/weights/shortest_paths.safetensors");
pub(crate) const SWING_UP: &[u8] = include_bytes!("../../../demos/weights/swing_up.safetensors");
