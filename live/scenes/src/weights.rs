//! The trained files that scenes begin with; `demos/weights/README.md` says how each was made. A page is not loaded with their
//! bytes: it fetches them, and gives them here.

#[cfg(target_arch = "wasm32")]
use std::{collections::BTreeMap, sync::Mutex};

use crate::Error;

/// A file of `demos/weights`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct File {
    pub name: &'static str,
    #[cfg(not(target_arch = "wasm32"))]
    bytes: &'static [u8],
}

macro_rules! file {
    ($name:literal) => {
        File {
            name: $name,
            #[cfg(not(target_arch = "wasm32"))]
            bytes: include_bytes!(concat!("../../../demos/weights/", $name)),
        }
    };
}

pub(crate) const ATTENTION_NEURON: File = file!("attention_neuron.safetensors");
pub(crate) const CAR: File = file!("car.safetensors");
pub(crate) const KEY_TO_DOOR: File = file!("key_to_door.safetensors");
pub(crate) const KEY_TO_DOOR_CRITIC: File = file!("key_to_door_critic.safetensors");
pub(crate) const SHORTEST_PATHS: File = file!("shortest_paths.safetensors");
pub(crate) const SWING_UP: File = file!("swing_up.safetensors");

#[cfg(not(target_arch = "wasm32"))]
impl File {
    pub(crate) fn bytes(self) -> Result<&'static [u8], Error> {
        Ok(self.bytes)
    }
}

/// The files that the page gave.
#[cfg(target_arch = "wasm32")]
static GIVEN: Mutex<BTreeMap<String, &'static [u8]>> = Mutex::new(BTreeMap::new());

/// The names of the files that a page fetches before it opens a scene.
#[cfg(target_arch = "wasm32")]
pub fn wanted_files() -> impl Iterator<Item = &'static str> {
    const METHODS: [File; 5] = [ATTENTION_NEURON, KEY_TO_DOOR, KEY_TO_DOOR_CRITIC, SHORTEST_PATHS, SWING_UP];
    let methods = METHODS.into_iter().filter(|_| cfg!(feature = "methods"));
    methods.chain(cfg!(feature = "car").then_some(CAR)).map(|file| file.name)
}

/// Takes the bytes of a file that the page fetched; they stay until the page is closed.
#[cfg(target_arch = "wasm32")]
pub fn give_file(name: String, bytes: Vec<u8>) {
    GIVEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(name, bytes.leak());
}

#[cfg(target_arch = "wasm32")]
impl File {
    pub(crate) fn bytes(self) -> Result<&'static [u8], Error> {
        let given = GIVEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let missing = || Error::Input(format!("{}: the page fetched no file of this name", self.name));
        given.get(self.name).copied().ok_or_else(missing)
    }
}
