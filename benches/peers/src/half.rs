//! The work in Fourfold: the half that this program itself can be.

use fourfold::gpu::{BufferView, Gpu, Launch, Recording};
use fourfold::graph::{Graph, Op, Plan, Session, SessionError, Tag, TensorType, Values, gradients};
use fourfold::shaders::{Data, Element, Sequence, normalisation::layer_norm, matmul, normalisation::softmax};

use fourfold_peers_work::{
    self as work, BATCH, CLASSES, COLUMNS, HIDDEN, INPUTS, Job, RATE, ROWS, SIDE, STEPS, Training,
};

/// The best adapter there is.
pub fn open() -> Result<Gpu, String> {
    Gpu::open().map_err(|error| error.to_string())
}

/// The jobs of [`work::TABLE`].
pub fn jobs(gpu: &Gpu) -> Result<Vec<Box<dyn Job>>, String> {
    let target = gpu.target();
    let values = |seed, count| Data::F32(work::numbers(seed, count));
    let square = SIDE * SIDE;
    let product = matmul::Problem::new(SIDE, SIDE, SIDE).sequence(&target)?;
    let table = ROWS * COLUMNS;
    let norm = layer_norm::Problem { rows: ROWS, columns: COLUMNS, epsilon: work::EPSILON as f32 }.sequence(&target)?;
    let (ones, zeros) = (Data::F32(vec![1.0; COLUMNS]), Data::F32(vec![0.0; COLUMNS]));
    let rows = softmax::Problem { rows: ROWS, columns: COLUMNS, log: false }.sequence(&target)?;
    Ok(vec![
        operation(gpu, product, [values(11, square), values(12, square)], [square])?,
        // Also stores the mean and the reciprocal deviation of each row, which a gradient needs.
        operation(gpu, norm, [values(13, table), ones, zeros], [table, ROWS, ROWS])?,
        operation(gpu, rows, [values(14, table)], [table])?,
        Box::new(Trainer::new(gpu)?),
    ])
}

/// Opens the device, plans the training, takes one step and reads its loss: all that a cold start pays.
pub fn first_step() -> Result<f32, String> {
    let mut trainer = Trainer::new(&open()?)?;
    trainer.step(1);
    Ok(trainer.result()[0])
}

/// A prepared sequence of dispatches whose first output is the result.
struct Operation {
    gpu: Gpu,
    recording: Recording,
    output: BufferView,
}

fn operation<const I: usize, const O: usize>(
    gpu: &Gpu,
    sequence: Sequence,
    inputs: [Data; I],
    outputs: [usize; O],
) -> Result<Box<dyn Job>, String> {
    let prepare = || {
        let mut views = Vec::new();
        for input in &inputs {
            views.push(gpu.upload("input", input)?);
        }
        for length in outputs {
            views.push(gpu.uninitialised("output", length)?);
        }
        let recording = gpu.prepare(&[Launch::new(&sequence, &views)])?;
        Ok(Operation { gpu: gpu.clone(), recording, output: views[I].clone() })
    };
    prepare()
        .map(|operation| Box::new(operation) as Box<dyn Job>)
        .map_err(|error: fourfold::gpu::Error| error.to_string())
}

impl Job for Operation {
    fn run(&mut self) {
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        self.recording.record(&mut encoder.begin_compute_pass(&Default::default()));
        self.gpu.queue().submit([encoder.finish()]);
        self.gpu.wait().expect("the device is not lost");
    }

    fn result(&mut self) -> Vec<f32> {
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        let ticket =
            self.gpu.encode_readback(&mut encoder, &[(self.output.clone(), Element::F32)]).expect("the view is whole");
        self.gpu.queue().submit([encoder.finish()]);
        ticket.wait().expect("the device is not lost")[0].f32().to_vec()
    }
}

/// The perceptron and its plain SGD: one flat tensor of weights, one plan for the whole step.
struct Trainer {
    session: Session,
}

impl Trainer {
    fn new(gpu: &Gpu) -> Result<Self, String> {
        let start = Training::new();
        let mut flat = Vec::new();
        let mut place = |values: &[f32]| {
            let offset = flat.len();
            flat.extend_from_slice(values);
            flat.resize(flat.len().next_multiple_of(Op::ALIGNMENT), 0.0);
            offset
        };
        let hidden = (place(&start.hidden_weight), place(&start.hidden_bias));
        let output = (place(&start.output_weight), place(&start.output_bias));

        let graph = Graph::new();
        let weights = graph.state("weights", Tag::Weights, TensorType::f32([flat.len()]));
        let velocity = graph.state("velocity", Tag::OptimiserState, TensorType::f32([flat.len()]));
        let input = graph.input("input", TensorType::f32([BATCH, INPUTS]));
        let labels = graph.input("labels", TensorType::u32([BATCH]));
        let x = input.matmul(weights.view(hidden.0, [INPUTS, HIDDEN])) + weights.view(hidden.1, [HIDDEN]);
        let logits = x.relu().matmul(weights.view(output.0, [HIDDEN, CLASSES])) + weights.view(output.1, [CLASSES]);
        let loss = logits.cross_entropy(labels, 0.0).mean_all();
        graph.output("loss", loss);
        let gradient = gradients(loss, &[weights])[0];
        graph.sgd(weights, velocity, gradient, graph.constant(RATE as f32), (0.0, false, 0.0));

        let plan = Plan::new(&graph, &gpu.target()).map_err(|error| error.to_string())?;
        let values = Values::from([
            ("weights".into(), Data::F32(flat)),
            ("input".into(), Data::F32(start.input)),
            ("labels".into(), Data::U32(start.labels)),
        ]);
        let session = Session::new(gpu, plan, &values).map_err(|error: SessionError| error.to_string())?;
        Ok(Self { session })
    }

    fn step(&mut self, steps: usize) {
        self.session.submit(steps).expect("the device is not lost");
        self.session.gpu().wait().expect("the device is not lost");
    }
}

impl Job for Trainer {
    fn run(&mut self) {
        self.step(STEPS);
    }

    fn result(&mut self) -> Vec<f32> {
        self.session.read("loss").expect("the device is not lost").f32().to_vec()
    }
}
