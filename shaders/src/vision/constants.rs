//! The sizes of a network as WGSL constants, by which its kernels are compiled.

use super::layer::NORM_EPSILON;
use super::network::VisionNetwork;
use super::{AttentionAgent, DrivingNetwork, VisionNeuron};

impl VisionNetwork {
    /// The constants that the kernels of this folder name.
    pub(super) fn constants(&self) -> String {
        let mut sizes = vec![("PARAMETERS", self.parameters()), ("LIST_ROW", self.list_row())];
        let mut text = String::new();
        if let Some(layer) = self.layer() {
            sizes.extend(self.sizes_of_layer(layer));
            text += &format!("const TIME_LAST: bool = {};\n", layer.time_last);
            text += &format!("const LEARNED_NORMS: bool = {};\n", layer.learned_norms);
            text += &format!("const NORM_EPSILON: f32 = {NORM_EPSILON:e};\n");
            let scale = (1.0 / (255.0 * (layer.dimension as f64).sqrt())) as f32;
            text += &format!("const SCORE_SCALE: f32 = {scale:e};\n");
        }
        match self {
            Self::Driving(network) => sizes.extend(self.sizes_of_driving(network)),
            Self::Agent(agent) => sizes.extend(self.sizes_of_agent(agent)),
            Self::Reactive(_) => (),
        }
        text += &format!("const AVERAGES: bool = {};\n", matches!(self, Self::Driving(_)));
        sizes.iter().map(|(name, size)| format!("const {name}: u32 = {size}u;\n")).collect::<String>() + &text
    }

    fn sizes_of_layer(&self, layer: &VisionNeuron) -> Vec<(&'static str, usize)> {
        let VisionNeuron { rows, columns, patch, stack, messages, positions, dimension, .. } = *layer;
        let (pixels, key_inputs) = (layer.pixels(), layer.key_inputs());
        let query_bias = dimension * positions;
        let key = query_bias + dimension;
        let value = key + dimension * (key_inputs + usize::from(layer.key_bias));
        let value_bias = value + dimension * stack * pixels;
        let input_norm = value_bias + dimension;
        let output_norm = input_norm + 2 * pixels;
        let [value_at, rest_at, bias_at, table] = self.table_places();
        vec![
            ("ROWS", rows),
            ("COLUMNS", columns),
            ("PATCH", patch),
            ("PIXELS", pixels),
            ("ACROSS", columns / patch),
            ("PATCHES", layer.patches()),
            ("STACK", stack),
            ("MESSAGES", messages),
            ("POSITIONS", positions),
            ("DIMENSION", dimension),
            ("SCORES", self.scores()),
            ("VALUES", self.values()),
            ("VALUE_AT", value_at),
            ("REST_AT", rest_at),
            ("BIAS_AT", bias_at),
            ("TABLE", table),
            ("QUERY_BIAS", query_bias),
            ("KEY", key),
            ("KEY_INPUTS", key_inputs),
            ("VALUE", value),
            ("VALUE_BIAS", value_bias),
            ("INPUT_NORM", input_norm),
            ("OUTPUT_NORM", output_norm),
        ]
    }

    fn sizes_of_driving(&self, network: &DrivingNetwork) -> Vec<(&'static str, usize)> {
        let DrivingNetwork { layer, vote, .. } = *network;
        let vote_query = layer.parameters();
        let vote_key = vote_query + vote * (layer.dimension + 1);
        let mut sizes = vec![
            ("VOTE_QUERY", vote_query),
            ("VOTE_KEY", vote_key),
            ("SIDE", network.side()),
            ("CENTRE", 0),
            ("SPACING", 1),
            ("EXTENT", network.side()),
        ];
        sizes.extend(self.sizes_of_controller(vote_key + vote * (layer.dimension + 1)));
        sizes
    }

    fn sizes_of_agent(&self, agent: &AttentionAgent) -> Vec<(&'static str, usize)> {
        let AttentionAgent { size, channels, patch, stride, block, vote, .. } = *agent;
        let vote_key = vote * (agent.inputs() + 1);
        let mut sizes = vec![
            ("MESSAGES", agent.patches()),
            ("CHANNELS", channels),
            ("PICTURE_WORDS", agent.picture().words()),
            ("PATCH", patch),
            ("INPUTS", agent.inputs()),
            ("BLOCK", block),
            ("BLOCKS", agent.blocks()),
            ("BLOCKS_ACROSS", agent.blocks_across()),
            ("VOTE_KEY", vote_key),
            ("SIDE", agent.side()),
            ("CENTRE", patch / 2),
            ("SPACING", stride),
            ("EXTENT", size),
        ];
        sizes.extend(self.sizes_of_controller(2 * vote_key));
        sizes
    }

    /// Where the tensors behind the vote's lie, of which the first is at `first`.
    fn sizes_of_controller(&self, first: usize) -> Vec<(&'static str, usize)> {
        let controller = self.controller().expect("a network that drives");
        let (hidden, actions) = (controller.hidden, controller.actions);
        let lstm_hidden = first + 4 * hidden * 2 * controller.top;
        let lstm_bias = lstm_hidden + 4 * hidden * hidden;
        let head = lstm_bias + 8 * hidden;
        let mix = head + actions * (hidden + 1);
        vec![
            ("TOP", controller.top),
            ("HIDDEN", hidden),
            ("ACTIONS", actions),
            ("MEMORY", self.memory()),
            ("ALPHA", self.memory() - 1),
            ("LSTM_INPUT", first),
            ("LSTM_HIDDEN", lstm_hidden),
            ("LSTM_BIAS", lstm_bias),
            ("HEAD", head),
            ("MIX", mix),
            ("MIX_OUTPUT", mix + hidden * (hidden + actions + 1)),
        ]
    }
}
