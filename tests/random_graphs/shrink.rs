//! Makes a failing graph as small as it gets while it fails.

use super::program::Program;

/// Graphs that are tried at most.
const TRIES: usize = 400;

/// Returns a smaller program that fails too, and its fault.
pub fn shrunk(program: Program, fault: String, judge: impl Fn(&Program) -> Result<(), String>) -> (Program, String) {
    let (mut program, mut fault, mut tries) = (program, fault, 0);
    'smaller: loop {
        for candidate in candidates(&program) {
            tries += 1;
            if tries > TRIES {
                break 'smaller;
            }
            if let Err(own) = judge(&candidate) {
                (program, fault) = (candidate, own);
                continue 'smaller;
            }
        }
        break;
    }
    (program, fault)
}

/// Programs that are a little smaller, the smallest first.
fn candidates(program: &Program) -> Vec<Program> {
    let mut found = Vec::new();
    let mut add = |change: &dyn Fn(&mut Program)| {
        let mut smaller = program.clone();
        change(&mut smaller);
        found.push(smaller);
    };
    for step in (0..program.steps.len()).rev() {
        add(&|smaller| {
            smaller.steps.remove(step);
        });
    }
    if program.order > 0 {
        add(&|smaller| smaller.order -= 1);
    }
    for leaf in 0..program.leaves.len() {
        if program.leaves.len() > 1 {
            add(&|smaller| {
                smaller.leaves.remove(leaf);
            });
        }
        for axis in 0..program.leaves[leaf].len() {
            add(&|smaller| {
                smaller.leaves[leaf].remove(axis);
            });
            let length = program.leaves[leaf][axis];
            for shorter in [1, length / 2, length - 1] {
                if (1..length).contains(&shorter) {
                    add(&|smaller| smaller.leaves[leaf][axis] = shorter);
                }
            }
        }
    }
    found
}
