//! All readers of files by name, with files that they read.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use fourfold::data::cifar::Cifar;
use fourfold::data::dqn_replay::{self, Selection};
use fourfold::data::{Checkpoint, Regression, Standardisation, Trajectories, cifar, flat_vector, idx, mnist, svhn};
use fourfold::gpu::Tuning;
use fourfold::models::decision_transformer::HuggingFaceCheckpoint;
use fourfold::models::learned_optimiser::{LearnedOptimiser, TrainedOptimiser};
use fourfold::models::{Classifier, PolicyNetwork, TrainedClassifier, TrainedPolicy};
use fourfold::rollout::Interface;
use fourfold::rollout::policies::{AttentionNeuron, Perceptron};
use fourfold::shaders::{Choice, Choices, Data, Family};
use fourfold::wgpu;

use super::reader::{FILE, Memory, Parts, Reader, in_folder, plain, words};

fn fixture(path: &str) -> Vec<u8> {
    // The targets of `cargo fuzz` lie one folder deeper.
    let mut roots = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let fixtures = roots.find_map(|root| Some(root.join("tests/fixtures")).filter(|folder| folder.is_dir()));
    let path = fixtures.expect("the folder tests/fixtures").join(path);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn fixtures(paths: &[&str]) -> Vec<Parts> {
    paths.iter().map(|path| vec![fixture(path)]).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("a vector takes bytes");
    encoder.finish().expect("a vector takes bytes")
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    flate2::bufread::GzDecoder::new(bytes).read_to_end(&mut content).expect("a fixture is a gzip file");
    content
}

/// An archive with these arrays.
fn npz(names: &[&str], arrays: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
    for (name, array) in names.iter().zip(arrays) {
        let (mut entry, config) = archive.new_file(format!("{name}.npy")).start().expect("a vector takes bytes");
        let mut writer = config.wrap(&mut entry);
        writer.write_all(array).expect("a vector takes bytes");
        let (_, descriptor) = writer.finish().expect("a vector takes bytes");
        entry.finish(descriptor).expect("a vector takes bytes");
    }
    archive.finish().expect("a vector takes bytes");
    bytes
}

/// An array in numpy's format.
fn npy(kind: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The arrays of a file of the `imitation` library, two episodes of two and one step.
const IMITATION: [&str; 5] = ["obs", "acts", "rews", "terminal", "indices"];

fn imitation() -> Parts {
    vec![
        npy("<f4", "5, 2", &floats(&[0.5; 10])),
        npy("<i8", "3,", &[0_i64, 2, 1].map(i64::to_le_bytes).concat()),
        npy("<f8", "3,", &[1.0_f64, 0.0, -1.0].map(f64::to_le_bytes).concat()),
        npy("|b1", "2,", &[1, 0]),
        npy("<i8", "1,", &2_i64.to_le_bytes()),
    ]
}

/// The files of a replay buffer: three stored steps of pictures of 2 x 2.
fn replay() -> Parts {
    vec![
        npy("<i4", "3,", &[0_i32, 2, 5].map(i32::to_le_bytes).concat()),
        npy("<f4", "3,", &floats(&[0.0, 1.0, -1.0])),
        npy("|u1", "3,", &[0, 0, 1]),
        npy("|u1", "3, 2, 2", &[0, 0, 0, 0, 30, 30, 30, 30, 40, 40, 40, 40]),
    ]
}

const REPLAY: [&str; 4] = ["action", "reward", "terminal", "observation"];

/// Parts behind one another in one file, as targets of `cargo fuzz` have them: the length of each but the last before it.
#[cfg_attr(test, expect(dead_code, reason = "for the targets in fuzz/"))]
pub fn split(bytes: &[u8], parts: usize) -> Parts {
    let mut rest = bytes;
    let mut found = Vec::new();
    for _ in 1..parts {
        let (length, behind) = rest
            .split_first_chunk::<4>()
            .map_or((0, rest), |(length, behind)| (u32::from_le_bytes(*length) as usize, behind));
        let (part, behind) = behind.split_at(length.min(behind.len()));
        found.push(part.to_vec());
        rest = behind;
    }
    found.push(rest.to_vec());
    found
}

fn checkpoint() -> Vec<u8> {
    let mut checkpoint = Checkpoint::new();
    checkpoint.set("format", "test");
    checkpoint.insert("weights", &[2, 3], Data::F32(vec![0.5; 6]));
    checkpoint.insert("counts", &[0, 7], Data::U32(Vec::new()));
    checkpoint.insert_f64("state", &[2], vec![0.25; 2]);
    checkpoint.to_bytes()
}

fn policies() -> Vec<Parts> {
    let interface = Interface { inputs: 5, actions: 1 };
    let networks = [
        PolicyNetwork::Linear,
        PolicyNetwork::Perceptron(Perceptron::new(&[3, 2])),
        PolicyNetwork::AttentionNeuron(AttentionNeuron::cart_pole()),
    ];
    let trained = |network: PolicyNetwork| {
        let weights = vec![0.5; network.policy().weights(interface)];
        TrainedPolicy::new(network, interface, weights).expect("a small policy").to_checkpoint().to_bytes()
    };
    networks.into_iter().map(|network| vec![trained(network)]).collect()
}

fn classifiers() -> Vec<Parts> {
    let trained = |architecture: &str, image: [usize; 3]| {
        let architecture = architecture.parse().expect("an architecture");
        let classifier = Classifier::new(&architecture, image, 2, 0.0).expect("a small classifier");
        let features = image.iter().product();
        let standardisation = Standardisation { mean: vec![0.5; features], deviation: vec![0.25; features] };
        let [weights, statistics] = [classifier.parameters().initial(1), classifier.statistics().initial(0)];
        TrainedClassifier { classifier, weights, statistics, standardisation }.to_checkpoint().to_bytes()
    };
    vec![vec![trained("mlp:5", [2, 3, 1])], vec![trained("cnn", [8, 8, 1])], vec![trained("resnet:8,4", [4, 5, 3])]]
}

fn optimiser() -> Vec<u8> {
    let optimiser = LearnedOptimiser { hidden: 3, direction: 0.01, magnitude: 1e-3 };
    TrainedOptimiser { theta: vec![0.5; optimiser.parameters()], optimiser }.to_checkpoint().to_bytes()
}

fn tuning() -> Vec<u8> {
    let adapter = wgpu::AdapterInfo::new(wgpu::DeviceType::Cpu, wgpu::Backend::Vulkan);
    let choices = Choices::NONE.with(Choice { family: Family::MatrixProduct, class: 9, variant: 4 });
    Tuning::new(&adapter, choices.with_all(Family::Rows, 0)).to_bytes()
}

/// All readers.
pub fn readers() -> Vec<Reader> {
    let images = || {
        let all = gunzip(&fixture("fashion-mnist/t10k-images-idx3-ubyte.gz"));
        [&[0, 0, 8, 3, 0, 0, 0, 1], &all[8..16 + 784]].concat()
    };
    let few = || [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2][..], &[7; 8]].concat();
    let labels = || vec![0, 0, 8, 1, 0, 0, 0, 2, 3, 4];
    let stored = || Trajectories::from_bytes("set", fixture("trajectories/imitation.npz"), None).expect("a fixture").0;

    let read_idx = |files: &[Vec<u8>]| words(idx::parse(FILE, &files[0]));
    let read_vector = |files: &[Vec<u8>]| words(flat_vector(FILE, &files[0], Some("params"), 3));
    let read_trajectories = |files: &[Vec<u8>]| words(Trajectories::from_bytes(FILE, files[0].clone(), None));
    let mut readers = vec![
        plain("idx", vec![vec![few()], vec![labels()], vec![images()]], read_idx),
        Reader {
            memory: Memory::Deflated,
            ..plain(
                "gzip",
                fixtures(&["fashion-mnist/t10k-labels-idx1-ubyte.gz", "fashion-mnist/train-labels-idx1-ubyte.gz"]),
                read_idx,
            )
        },
        Reader {
            pack: |parts| parts.iter().map(|part| gzip(part)).collect(),
            memory: Memory::Deflated,
            ..plain("mnist", vec![vec![few(), labels(), few(), labels()]], |files| {
                let names = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"];
                in_folder(&names.map(|name| format!("{name}-ubyte.gz")), files, |folder| {
                    words(mnist::load(folder, "set"))
                })
            })
        },
        plain("table", vec![vec![b"a,b,target\n1,2.5,3\n-4,5e-1,6\n".to_vec()]], |files| {
            words(Regression::parse(FILE, &files[0]))
        }),
        plain("cifar", vec![vec![vec![7; 3074]]], |files| words(cifar::parse(FILE, &files[0], Cifar::Hundred))),
        Reader {
            memory: Memory::Deflated,
            ..plain("svhn", fixtures(&["svhn/train_32x32.mat", "svhn/test_32x32.mat"]), |files| {
                words(svhn::parse(FILE, &files[0]))
            })
        },
        plain("npy", vec![vec![fixture("numpy/bare.npy")], vec![npy("<f8", "3,", &[0; 24])]], read_vector),
        Reader {
            memory: Memory::Deflated,
            ..plain("npz", fixtures(&["numpy/stored.npz", "numpy/compressed.npz"]), read_vector)
        },
        Reader {
            pack: |parts| vec![npz(&["params"], &parts)],
            ..plain("npz-arrays", vec![vec![fixture("numpy/bare.npy")], vec![npy("<f8", "3,", &[0; 24])]], read_vector)
        },
        plain("safetensors", vec![vec![checkpoint()]], |files| words(Checkpoint::from_bytes(FILE, &files[0]))),
        plain("trajectories", vec![vec![stored().checkpoint().to_bytes()]], read_trajectories),
        Reader {
            memory: Memory::Deflated,
            ..plain(
                "imitation",
                fixtures(&["trajectories/imitation.npz", "trajectories/imitation-discrete.npz"]),
                read_trajectories,
            )
        },
        Reader {
            pack: |parts| vec![npz(&IMITATION, &parts)],
            ..plain("imitation-arrays", vec![imitation()], read_trajectories)
        },
        Reader {
            pack: |parts| parts.iter().map(|part| gzip(part)).collect(),
            memory: Memory::Deflated,
            ..plain("dqn-replay", vec![replay()], |files| {
                let selection = Selection { checkpoint: 7, first: 0, steps: 100 };
                in_folder(&REPLAY.map(|key| format!("$store$_{key}_ckpt.7.gz")), files, |folder| {
                    words(dqn_replay::load(folder, selection))
                })
            })
        },
        plain(
            "hugging-face",
            ["relu", "gelu_new"]
                .map(|name| {
                    ["config.json", "model.safetensors"].map(|file| fixture(&format!("hugging_face/{name}/{file}")))
                })
                .map(Vec::from)
                .into(),
            |files| words(HuggingFaceCheckpoint::from_bytes([FILE; 2], [&files[0], &files[1]], 4)),
        ),
        plain("policy", policies(), |files| words(TrainedPolicy::from_bytes(FILE, &files[0]))),
        plain("classifier", classifiers(), |files| {
            words(Checkpoint::from_bytes(FILE, &files[0]).and_then(|file| TrainedClassifier::from_checkpoint(&file)))
        }),
        plain("optimiser", vec![vec![optimiser()]], |files| {
            words(Checkpoint::from_bytes(FILE, &files[0]).and_then(|file| TrainedOptimiser::from_checkpoint(&file)))
        }),
        plain("tuning", vec![vec![tuning()]], |files| words(Tuning::from_bytes(&files[0]))),
    ];
    // The workspace's tests have the feature, a package's alone need not.
    if cfg!(feature = "hdf5") {
        readers.extend([
            Reader {
                memory: Memory::Deflated,
                ..plain(
                    "d4rl",
                    fixtures(&[
                        "trajectories/bad/nan.hdf5",
                        "trajectories/bad/texts.hdf5",
                        "trajectories/d4rl-old.hdf5",
                        "trajectories/d4rl.hdf5",
                    ]),
                    read_trajectories,
                )
            },
            Reader {
                memory: Memory::Deflated,
                ..plain(
                    "minari",
                    vec![
                        vec![fixture("trajectories/minari-tuple.hdf5"), b"{}".to_vec()],
                        ["main_data.hdf5", "metadata.json"]
                            .map(|file| fixture(&format!("trajectories/minari/data/{file}")))
                            .into(),
                        ["main_data.hdf5", "metadata.json"]
                            .map(|file| fixture(&format!("trajectories/minari-dictionary/data/{file}")))
                            .into(),
                    ],
                    |files| {
                        let names = ["main_data.hdf5", "metadata.json"].map(str::to_owned);
                        in_folder(&names, files, |folder| words(Trajectories::load(folder)))
                    },
                )
            },
        ]);
    }
    readers
}
