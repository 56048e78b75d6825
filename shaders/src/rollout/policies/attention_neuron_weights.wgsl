// The attention neuron (Tang & Ha 2021, equations 1 and 2, and the authors' code): every input is a channel with an LSTM
// of its own, whose weights all channels share; what goes on is a sum over the channels, the same in any order of them.
//
//   z    = W_ih [o_i, a] + b_ih + W_hh h_i + b_hh                    a: the previous action; gates input, forget, cell, output
//   c_i  = logistic(z_f) c_i + logistic(z_i) tanh(z_g),  h_i = logistic(z_o) tanh(c_i)
//   A_mi = tanh(SCALE (W_q p_m + b_q) . (W_k h_i + b_k))             p_m: sines and cosines of row m
//   m    = tanh(FACTOR A o),  then layers x = tanh(W x + b), the last of them the action
//
// Weights: W_ih (4 HIDDEN, 1 + ACTIONS), W_hh (4 HIDDEN, HIDDEN), b_ih, b_hh, W_q (KEYS, POSITIONS), [b_q], W_k (KEYS, HIDDEN),
// [b_k], LAYERS times W (ROWS, ROWS) and b (ROWS), W (ACTIONS, ROWS), b (ACTIONS); what stands in brackets where KEY_BIAS is 1.
// Memory: h and c of each channel (INPUTS, 2, HIDDEN), the previous action.

override SCALE: f32 = 1.0;
override FACTOR: f32 = 1.0;
// Row m, columns 2 j and 2 j + 1 of the positions: sine and cosine of m / DIVISOR^j.
override DIVISOR: f32 = 10.0;

const WEIGHTS_HIDDEN = 4u * HIDDEN * (1u + ACTIONS);
const BIAS_INPUT = WEIGHTS_HIDDEN + 4u * HIDDEN * HIDDEN;
const BIAS_HIDDEN = BIAS_INPUT + 4u * HIDDEN;
const WEIGHTS_QUERY = BIAS_HIDDEN + 4u * HIDDEN;
const BIAS_QUERY = WEIGHTS_QUERY + KEYS * POSITIONS;
const WEIGHTS_KEY = BIAS_QUERY + KEY_BIAS * KEYS;
const BIAS_KEY = WEIGHTS_KEY + KEYS * HIDDEN;
const WEIGHTS_LAYER = BIAS_KEY + KEY_BIAS * KEYS;
const WEIGHTS_HEAD = WEIGHTS_LAYER + LAYERS * ROWS * (ROWS + 1u);
