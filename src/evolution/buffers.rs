//! The buffers of a plan on a device.

use fourfold_shaders::Data;

use super::outer::Kept;
use crate::gpu::{BufferView, Gpu};
use crate::rollout::{Allocation, Error};

/// The numbers of an inner problem, by this name in every plan.
pub(super) const DATA: &str = "data";

/// Buffers by the names that a plan gives them; several may have one name.
#[derive(Debug)]
pub(super) struct Buffers {
    planned: Vec<Allocation>,
    views: Vec<BufferView>,
}

impl Buffers {
    /// All of them zero, but for [`DATA`].
    pub fn new(gpu: &Gpu, planned: &[Allocation], data: &[f32]) -> Result<Self, Error> {
        let mut views = Vec::with_capacity(planned.len());
        for buffer in planned {
            views.push(match buffer.name {
                DATA => gpu.upload(DATA, &Data::F32(data.to_vec()))?,
                name => gpu.zeros(name, buffer.length)?,
            });
        }
        Ok(Self { planned: planned.to_vec(), views })
    }

    pub fn views(&self, name: &str) -> impl Iterator<Item = BufferView> {
        let named = self.planned.iter().zip(&self.views).filter(move |(buffer, _)| buffer.name == name);
        named.map(|(_, view)| view.clone())
    }

    pub fn view(&self, name: &str) -> BufferView {
        self.views(name).next().unwrap_or_else(|| unreachable!("the plan has the buffer `{name}`"))
    }

    /// What a checkpoint holds of those with these names.
    pub fn kept(&self, source: &str, names: &[&str]) -> Vec<Kept> {
        let all = self.planned.iter().zip(&self.views).enumerate();
        all.filter(|(_, (buffer, _))| names.contains(&buffer.name))
            .map(|(index, (buffer, view))| Kept {
                name: format!("{source}.{index}.{}", buffer.name),
                view: view.clone(),
                element: buffer.element,
                length: buffer.length,
            })
            .collect()
    }
}
