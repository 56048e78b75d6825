//! A host with a device of its own runs a trained network, loaded from a checkpoint file, inside its frame loop.

mod host;

use std::collections::BTreeMap;

use fourfold::data::{Dataset, Standardisation, digits};
use fourfold::graph::{Graph, Plan, Session, Shape, TensorType, TwinSession, Values};
use fourfold::models::{Classifier, TrainedClassifier};
use fourfold::nn::Noise;
use fourfold::shaders::{Data, Target};
use fourfold::{BufferView, Gpu};
use host::Host;
use host::witness::{frame, objects, threads};

const FRAMES: usize = 12;
const PIXELS: usize = 64;
const CLASSES: usize = 10;

/// Standardises the digit of this frame: the host's own, before ours.
const SHOW: &str = "
@group(0) @binding(0) var<storage, read> digits: array<f32>;          // (FRAMES, 64)
@group(0) @binding(1) var<storage, read> mean: array<f32>;            // (64)
@group(0) @binding(2) var<storage, read> deviation: array<f32>;       // (64)
@group(0) @binding(3) var<storage, read> frame: array<f32>;           // (1)
@group(0) @binding(4) var<storage, read_write> image: array<f32>;     // (1, 64)

@compute @workgroup_size(64)
fn show(@builtin(local_invocation_id) id: vec3<u32>) {
    let pixel = digits[u32(frame[0]) * 64u + id.x];
    image[id.x] = (pixel - mean[id.x]) / deviation[id.x];
}";

/// Keeps logits and answer of this frame and goes on to the next: the host's own, behind ours.
const KEEP: &str = "
@group(0) @binding(0) var<storage, read> logits: array<f32>;          // (1, 10)
@group(0) @binding(1) var<storage, read_write> frame: array<f32>;     // (1)
@group(0) @binding(2) var<storage, read_write> kept: array<f32>;      // (FRAMES, 10)
@group(0) @binding(3) var<storage, read_write> answers: array<f32>;   // (FRAMES)

@compute @workgroup_size(1)
fn keep() {
    let current = u32(frame[0]);
    var best = 0u;
    for (var answer = 0u; answer < 10u; answer++) {
        kept[current * 10u + answer] = logits[answer];
        if logits[answer] > logits[best] {
            best = answer;
        }
    }
    answers[current] = f32(best);
    frame[0] += 1.0;
}";

/// A perceptron that answers with the class whose mean image is nearest, which is known in closed form: the hidden
/// layer passes `x` on as `relu(x)` and `relu(-x)`, and `2 m.x - |m|^2` is largest for the nearest mean `m`.
fn nearest_mean(digits: &Dataset) -> TrainedClassifier {
    let standardisation = Standardisation::per_feature(digits);
    let mut standard = digits.clone();
    standardisation.apply(&mut standard);
    let mut means = vec![vec![0.0; PIXELS]; CLASSES];
    let counts = standard.class_counts();
    for (row, &label) in standard.labels().iter().enumerate() {
        for (mean, pixel) in means[label as usize].iter_mut().zip(standard.image(row)) {
            *mean += pixel / counts[label as usize] as f32;
        }
    }
    let mut both = vec![0.0; 2 * PIXELS * PIXELS];
    for pixel in 0..PIXELS {
        both[pixel * PIXELS + pixel] = 1.0;
        both[(PIXELS + pixel) * PIXELS + pixel] = -1.0;
    }
    let twice = means.iter().flat_map(|mean| {
        let half = |sign: f32| mean.iter().map(move |m| sign * 2.0 * m);
        half(1.0).chain(half(-1.0))
    });
    let lengths = means.iter().map(|mean| -mean.iter().map(|m| m * m).sum::<f32>());
    let tensors = [
        ("fc1.weight", Shape::from([2 * PIXELS, PIXELS]), both),
        ("fc1.bias", Shape::from([2 * PIXELS]), vec![0.0; 2 * PIXELS]),
        ("fc2.weight", Shape::from([CLASSES, 2 * PIXELS]), twice.collect()),
        ("fc2.bias", Shape::from([CLASSES]), lengths.collect()),
    ];
    let tensors: BTreeMap<_, _> =
        tensors.into_iter().map(|(name, shape, values)| (name.to_owned(), (shape, values))).collect();
    let classifier = Classifier::new(&"mlp:128".parse().unwrap(), [8, 8], CLASSES, 0.0).unwrap();
    let weights = classifier.parameters().pack(&tensors).unwrap();
    let statistics = classifier.statistics().initial(0);
    TrainedClassifier { classifier, weights, statistics, standardisation }
}

/// The network from one image to its logits.
fn plan(trained: &TrainedClassifier, target: &Target) -> Plan {
    let graph = Graph::new();
    let image = graph.input("image", TensorType::f32([1, PIXELS]));
    let weights = trained.classifier.parameters().state(&graph, "weights");
    graph.output("logits", trained.classifier.forward(weights, image, Noise::NONE));
    Plan::new(&graph, target).unwrap()
}

#[test]
fn a_trained_network_runs_inside_the_frames_of_a_host_on_the_hosts_buffers() {
    let digits = digits();
    let path = std::env::temp_dir().join(format!("fourfold-frame-loop-{}.safetensors", std::process::id()));
    nearest_mean(&digits).to_checkpoint().save(&path).unwrap();
    let trained = TrainedClassifier::load(&path);
    std::fs::remove_file(&path).unwrap();
    let trained = trained.unwrap();

    let host = Host::new();
    let shown = host.buffer(&digits.images()[..FRAMES * PIXELS]);
    let [mean, deviation] =
        [&trained.standardisation.mean, &trained.standardisation.deviation].map(|moments| host.buffer(moments));
    let (counter, image) = (host.buffer(&[0.0]), host.buffer(&[f32::NAN; PIXELS]));
    let logits = host.buffer(&[f32::NAN; CLASSES]);
    let (kept, answers) = (host.buffer(&[f32::NAN; FRAMES * CLASSES]), host.buffer(&[f32::NAN; FRAMES]));
    let (show, keep) = (host.pipeline(SHOW), host.pipeline(KEEP));

    // A frame without us, in which the driver also starts the threads of its own.
    let warm = host.buffer(&[0.0; 64]);
    let alone = frame(&host, |encoder| {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        host.record(&mut pass, &warm);
    });

    let mut network: Option<Session> = None;
    for index in 0..FRAMES {
        let together = frame(&host, |encoder| {
            let (existing, running) = (objects(&host), threads());
            // In the first frame, as if the user had just opened the file.
            let session = network.get_or_insert_with(|| {
                let gpu = Gpu::adopt(host.device.clone(), host.queue.clone());
                let given = [("image", &image), ("logits", &logits)];
                let given = given.map(|(name, buffer)| (name.to_owned(), BufferView::from(buffer)));
                let weights = Values::from([("weights".to_owned(), trained.weights.clone())]);
                Session::on_buffers(&gpu, plan(&trained, &gpu.target()), &weights, &given.into()).unwrap()
            });
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                host.dispatch(&mut pass, &show, &[&shown, &mean, &deviation, &counter, &image], 1);
                session.record(&mut pass);
                host.dispatch(&mut pass, &keep, &[&logits, &counter, &kept, &answers], 1);
            }
            assert_eq!(threads(), running, "the library started a thread");
            assert_eq!(objects(&host), existing, "the library made a device, a queue, an encoder or a command buffer");
        });
        assert!(!together.polled, "the library polled the device in frame {index}");
        assert_eq!(together, alone, "the library submitted in frame {index}");
    }
    assert_eq!(network.unwrap().traffic(), Default::default());

    // The same network on the twins.
    let weights = Values::from([("weights".to_owned(), trained.weights.clone())]);
    let mut twins = TwinSession::new(plan(&trained, &Target::default()), &weights).unwrap();
    let (kept, answers) = (host.read(&kept), host.read(&answers));
    let mut standard = digits.truncated(FRAMES);
    trained.standardisation.apply(&mut standard);
    for index in 0..FRAMES {
        twins.write("image", &Data::F32(standard.image(index).to_vec())).unwrap();
        twins.run(1);
        let expected = twins.read("logits").unwrap();
        let got = &kept[index * CLASSES..][..CLASSES];
        // The sums have 128 terms that cancel: their size, not that of the result, decides the rounding.
        let scale = expected.f32().iter().fold(1.0f32, |most, logit| most.max(logit.abs()));
        for (class, (got, expected)) in got.iter().zip(expected.f32()).enumerate() {
            assert!((got - expected).abs() <= 1e-5 * scale, "frame {index}, class {class}: {got} for {expected}");
        }
    }
    let right = answers.iter().zip(digits.labels()).filter(|&(&answer, &label)| answer == label as f32).count();
    assert!(right >= FRAMES - 2, "the nearest mean is right for nine digits of ten, got {right} of {FRAMES}");
}
