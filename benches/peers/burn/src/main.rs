//! The work in burn: autodiff, fusion and autotuning on, as its documentation tells to add it. A half of
//! `fourfold-peers`, which starts it.

use burn::module::{Module, Param};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Device, DeviceKind, Int, Tensor, TensorData};

use fourfold_peers_work::{
    self as work, BATCH, CLASSES, COLUMNS, HIDDEN, INPUTS, Job, RATE, ROWS, SIDE, STEPS, Training,
};

/// `serve` or `first-step`, then `software` if only a software driver is to be had, which burn's default would not choose.
/// Built with the feature `vulkan`, burn compiles its kernels to SPIR-V where the driver allows it; else to WGSL.
fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let order = arguments.first().map_or("", String::as_str);
    let software = arguments.get(1).is_some_and(|kind| kind == "software");
    let device = Device::wgpu(if software { DeviceKind::Cpu } else { DeviceKind::DefaultDevice });
    match order {
        work::SERVE => work::serve(jobs(&device)),
        work::FIRST_STEP => {
            println!("{}", first_step(&device));
            Ok(())
        }
        other => Err(format!("expected {} or {}, got `{other}`", work::SERVE, work::FIRST_STEP)),
    }
}

/// The jobs of [`work::TABLE`].
fn jobs(device: &Device) -> Vec<Box<dyn Job>> {
    let matrix = |seed, rows, columns| tensor(work::numbers(seed, rows * columns), [rows, columns], device);
    let (a, b) = (matrix(11, SIDE, SIDE), matrix(12, SIDE, SIDE));
    let (x, y) = (matrix(13, ROWS, COLUMNS), matrix(14, ROWS, COLUMNS));
    let norm: LayerNorm = LayerNormConfig::new(COLUMNS).with_epsilon(work::EPSILON).init(device);
    vec![
        operation(device, move || a.clone().matmul(b.clone())),
        operation(device, move || norm.forward(x.clone())),
        operation(device, move || softmax(y.clone(), 1)),
        Box::new(Trainer::new(device)),
    ]
}

/// Builds the model, takes one training step and reads its loss: all that a cold start pays.
fn first_step(device: &Device) -> f32 {
    let mut trainer = Trainer::new(device);
    trainer.step();
    trainer.finish();
    trainer.result()[0]
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("burn computes in f32 here")
}

struct Operation<F> {
    device: Device,
    compute: F,
    output: Option<Tensor<2>>,
}

fn operation(device: &Device, compute: impl Fn() -> Tensor<2> + 'static) -> Box<dyn Job> {
    Box::new(Operation { device: device.clone(), compute, output: None })
}

impl<F: Fn() -> Tensor<2>> Job for Operation<F> {
    fn run(&mut self) {
        self.output = Some((self.compute)());
        self.device.sync().expect("burn's queue runs");
    }

    fn result(&mut self) -> Vec<f32> {
        read(self.output.take().expect("the job has run"))
    }
}

#[derive(Module, Debug)]
struct Perceptron {
    hidden: Linear,
    output: Linear,
}

struct Trainer {
    device: Device,
    model: Option<Perceptron>,
    optimizer: ModuleOptimizer,
    loss: CrossEntropyLoss,
    input: Tensor<2>,
    labels: Tensor<1, Int>,
    last_loss: Option<Tensor<1>>,
}

impl Trainer {
    fn new(device: &Device) -> Self {
        let start = Training::new();
        let device = device.clone().autodiff();
        let linear = |weight, bias, inputs, outputs| Linear {
            weight: Param::from_data(TensorData::new(weight, [inputs, outputs]), &device),
            bias: Some(Param::from_data(TensorData::new(bias, [outputs]), &device)),
        };
        let labels: Vec<i32> = start.labels.iter().map(|&label| label as i32).collect();
        Self {
            model: Some(Perceptron {
                hidden: linear(start.hidden_weight, start.hidden_bias, INPUTS, HIDDEN),
                output: linear(start.output_weight, start.output_bias, HIDDEN, CLASSES),
            }),
            optimizer: SgdConfig::new().init(),
            loss: CrossEntropyLossConfig::new().init(&device),
            input: tensor(start.input, [BATCH, INPUTS], &device),
            labels: Tensor::from_data(TensorData::new(labels, [BATCH]), &device),
            last_loss: None,
            device,
        }
    }

    fn step(&mut self) {
        let model = self.model.take().expect("put back below");
        let hidden = relu(model.hidden.forward(self.input.clone()));
        let loss = self.loss.forward(model.output.forward(hidden), self.labels.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        self.last_loss = Some(loss.inner());
        self.model = Some(self.optimizer.step(RATE, model, gradients));
    }

    fn finish(&self) {
        self.device.sync().expect("burn's queue runs");
    }
}

impl Job for Trainer {
    fn run(&mut self) {
        for _ in 0..STEPS {
            self.step();
        }
        self.finish();
    }

    fn result(&mut self) -> Vec<f32> {
        read(self.last_loss.take().expect("the job has run"))
    }
}
