//! Runs that several ranks share end with the bits of one process. Here the ranks are threads; `mpi.rs` has processes.

mod scratch;

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use fourfold_demos::command_line::{Parsed, parse};
use fourfold_demos::failure::Failure;
use fourfold_demos::ranks::channels::Channels;
use fourfold_demos::ranks::{Link, Ranks};
use scratch::Scratch;

/// A rank that dies before it has told something so many times.
#[derive(Debug)]
struct Mortal {
    link: Channels,
    left: Cell<usize>,
}

impl Link for Mortal {
    fn rank(&self) -> usize {
        self.link.rank()
    }

    fn size(&self) -> usize {
        self.link.size()
    }

    fn gather(&self, own: &[u32], patience: &mut dyn FnMut() -> Option<Failure>) -> Result<Vec<u32>, Failure> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| Failure::run("killed"))?;
        self.left.set(left);
        self.link.gather(own, patience)
    }

    fn abort(&self, code: u8) -> ! {
        self.link.abort(code)
    }
}

/// Runs a command on so many ranks, the last of which dies after it has told so many things.
fn run(arguments: &str, ranks: usize, lives: usize) -> Vec<Result<(), Failure>> {
    std::thread::scope(|scope| {
        let threads = Channels::among(ranks).into_iter().map(|link| {
            scope.spawn(move || {
                let left = Cell::new(if link.rank() + 1 == ranks { lives } else { usize::MAX });
                let line = ["fourfold", "--quiet"].into_iter().chain(arguments.split_whitespace());
                let Parsed::Run(mut call) = parse(line.map(OsString::from)).unwrap() else { panic!("{arguments}") };
                call.common.ranks = Ranks::over(Mortal { link, left }).unwrap();
                call.run()
            })
        });
        threads.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Runs a command on so many ranks, which all come to its end.
fn succeeds(arguments: &str, ranks: usize) {
    assert_eq!(run(arguments, ranks, usize::MAX), vec![Ok(()); ranks], "{arguments}");
}

/// Asserts that two runs left the same files, for those of these endings.
fn equal(one: &Path, other: &Path, endings: &[&str]) {
    let files = fs::read_dir(one).unwrap().map(|entry| entry.unwrap().file_name());
    let files: Vec<_> = files.filter(|name| endings.iter().any(|end| name.to_string_lossy().ends_with(end))).collect();
    assert!(files.len() >= endings.len(), "{files:?}");
    for name in files {
        let read = |folder: &Path| fs::read(folder.join(&name)).unwrap();
        assert!(read(one) == read(other), "{}: {}", other.display(), name.display());
    }
}

const SAME: [&str; 3] = ["metrics.jsonl", "checkpoint.safetensors", "-0.safetensors"];

#[test]
fn a_population_over_ranks_ends_with_the_bits_of_one_process() {
    let scratch = Scratch::new("ranks-pes");
    for estimator in ["pes", "es"] {
        let place = |ranks: usize| scratch.0.join(format!("{estimator}-{ranks}"));
        for ranks in 1..=4 {
            let run = "--particles 516 --chunks 1 --iterations 60 --pixels 8 --out";
            succeeds(&format!("pes toy --estimator {estimator} {run} {}", place(ranks).display()), ranks);
            equal(&place(1), &place(ranks), &SAME);
        }
    }
}

#[test]
fn a_policy_that_evolves_over_ranks_ends_with_the_bits_of_one_process() {
    let scratch = Scratch::new("ranks-neuron");
    let place = |ranks: usize| scratch.0.join(ranks.to_string());
    for ranks in [1, 2] {
        let run = "--alone --rows 2 --seeds 1 --members 8 --episodes 1 --steps 1e5 --trial 5e4 --test-episodes 2";
        succeeds(&format!("neuron train --strategy cma-es {run} --out {}", place(ranks).display()), ranks);
        let trained = ["checkpoint.safetensors", "neuron.safetensors", "neuron-1.safetensors", "learning.jsonl"];
        equal(&place(1), &place(ranks), &trained);
    }
}

#[test]
fn a_rank_that_dies_ends_the_run_which_others_resume_to_the_same_bits() {
    let scratch = Scratch::new("ranks-dead");
    let place = |name: &str| scratch.0.join(name).display().to_string();
    let arguments = "pes toy --particles 516 --chunks 1 --iterations 60 --pixels 8";
    succeeds(&format!("{arguments} --out {}", place("whole")), 1);
    // It dies when the first burst of iterations is saved, and more are done.
    let ends = run(&format!("{arguments} --out {}", place("dead")), 3, 60);
    for end in &ends[..2] {
        let sentence = end.as_ref().unwrap_err().to_string();
        assert!(sentence.ends_with("expected numbers of rank 2, got none: it has ended"), "{sentence}");
    }
    assert!(scratch.0.join("dead/checkpoint.safetensors").exists() && !scratch.0.join("dead/results.json").exists());
    succeeds(&format!("pes --resume {}", place("dead")), 2);
    equal(&scratch.0.join("whole"), &scratch.0.join("dead"), &SAME);
}

#[test]
fn what_does_not_divide_its_work_is_refused_on_several_ranks() {
    for (arguments, words) in [
        ("data collect pendulum", "expected one process, got 2"),
        ("pes toy --particles 2 --chunks 1", "has 1 to 1 parts"),
        ("neuron train --strategy pgpe --members 2", "--members: expected at least 4, a pair of members for each rank"),
        ("sam --chunks 1", "--chunks: expected at least 2, a chunk of each batch for each rank, got 1"),
    ] {
        let scratch = Scratch::new("ranks-refused");
        let ends = run(&format!("{arguments} --out {}", scratch.0.join("run").display()), 2, 99);
        let sentence = ends[0].as_ref().unwrap_err().to_string();
        assert!(sentence.contains(words), "{sentence}");
    }
}

#[test]
fn the_chunks_of_sam_over_ranks_end_with_the_bits_of_one_process() {
    let scratch = Scratch::new("ranks-sam");
    for (index, variant) in [
        "--model mlp:8 --chunks 4 --batch 64 --clip 1",
        "--model resnet:8,2 --chunks 3 --batch 192 --running-from both --augment crop-flip",
        "--model resnet:8,2 --chunks 3 --batch 96 --decay-inside --weight-decay 0.01",
        "--model resnet:8,2 --chunks 4 --batch 200 --running-from both --ascent-steps 2",
        "--model resnet:8,2 --chunks 4 --batch 200 --running-from both --sync-batch-norm",
        "--model resnet:8,2 --chunks 3 --batch 96 --sync-batch-norm --decay-inside --second-order --weight-decay 0.01",
        "--model mlp:8 --chunks 4 --batch 64 --decay-inside --second-order --weight-decay 0.01",
        "--model mlp:8 --chunks 3 --batch 96 --adaptive --rho 0.5 --second-order --optimiser adamw --rate 0.002",
    ]
    .into_iter()
    .enumerate()
    {
        let place = |ranks: usize| scratch.0.join(format!("{index}-{ranks}"));
        let several: &[usize] = match variant {
            few if few.contains("decay-inside") => &[1, 2, 3],
            batch_norm if batch_norm.contains("--batch 200") => &[1, 2, 3, 4],
            _ => &[1, 3],
        };
        for &ranks in several {
            // A comparison of settings times no steps.
            let run = "--images 400 --seeds 1 --epochs 1 --lanczos 0 --curvature-images 100 --vary rho=0.1 --out";
            succeeds(&format!("sam {variant} {run} {}", place(ranks).display()), ranks);
            equal(&place(1), &place(ranks), &SAME);
        }
    }
}
