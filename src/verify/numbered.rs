//! The cases of a kernel by number, so that one that failed is named by its kernel, a seed and a number.

use fourfold_shaders::{Case, Generator, Kernel, Shapes, Target};

/// Draws a kernel's case of a number, at a size of 1 to [`Generator::FULL`], with the variants of `device` among those
/// drawn: case 0 folds the grid, case 1 has the shape of a real model where the kernel knows one, and all others have
/// any shapes. The seed depends on the kernel's name too, so that a case stays the same whatever other kernels there are.
pub fn numbered(kernel: &Kernel, seed: u64, number: u32, size: u32, device: Target) -> Case {
    let generator = |number| Generator::new(case_seed(&kernel.name, seed, number), size).for_device(device);
    match number {
        0 => kernel.case.draw(&mut generator(0).with_shapes(Shapes::Folded)).folded(),
        1 => kernel.case.draw(&mut generator(1).with_shapes(Shapes::Models)),
        _ => kernel.case.draw(&mut generator(number)),
    }
}

/// FNV-1a.
fn case_seed(kernel: &str, seed: u64, number: u32) -> u64 {
    let bytes = kernel.bytes().chain(seed.to_le_bytes()).chain(number.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_differ_between_kernels_seeds_and_numbers() {
        let seed = case_seed("softmax", 0, 0);
        assert_eq!(seed, case_seed("softmax", 0, 0));
        for other in [case_seed("softmix", 0, 0), case_seed("softmax", 1, 0), case_seed("softmax", 0, 1)] {
            assert_ne!(seed, other);
        }
    }

    #[test]
    fn the_first_case_folds_the_grid() {
        let kernels = fourfold_shaders::kernels();
        let kernel = kernels.iter().find(|kernel| kernel.name == "elementwise(exp)").expect("a listed kernel");
        let folds = |seed| numbered(kernel, seed, 0, Generator::FULL, Target::default()).call.grid[1] > 1;
        assert!((0..8).all(folds));
    }
}
