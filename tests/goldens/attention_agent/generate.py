"""Writes the golden file of this folder: the AttentionAgent of CarRacing, step by step.

    python -m venv venv && venv/bin/pip install numpy==2.4.6 safetensors==0.8.0
    venv/bin/python tests/goldens/attention_agent/generate.py [FOLDER]

The network is written out here after the authors' PyTorch code: patches by two unfolds and the same permutations, Linear as
x W^T + b, gates of the LSTM in the order input, forget, cell, output. Everything is computed in float64 from weights that
float32 holds, which are rounded nowhere on the way.
"""

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

SIZE, PATCH, STRIDE, QUERY, TOP, HIDDEN, ACTIONS = 96, 7, 4, 4, 10, 16, 3
BLOCK = 6
STEPS = 4
SHAPES = [
    (QUERY, 3 * PATCH * PATCH), (QUERY,), (QUERY, 3 * PATCH * PATCH), (QUERY,),
    (4 * HIDDEN, 2 * TOP), (4 * HIDDEN, HIDDEN), (4 * HIDDEN,), (4 * HIDDEN,),
    (ACTIONS, HIDDEN), (ACTIONS,),
]
# How far neighbours among the first places lie apart at least, relative to the larger: float32 must not change their order.
APART = 5e-3


def weights():
    """`0.3 sin(2.07 i)`, rounded to float32: of some hundred such rows the one whose importances lie furthest apart."""
    count = sum(int(np.prod(shape)) for shape in SHAPES)
    return (0.3 * np.sin(2.07 * np.arange(count))).astype(np.float32).astype(np.float64)


def picture(step):
    """`(row, column, channel)`: stripes and squares that move, in colours of their own."""
    row, column, channel = np.meshgrid(np.arange(SIZE), np.arange(SIZE), np.arange(3), indexing="ij")
    waves = (7 * step * step + 3 * row + 5 * column + row * column + 60 * channel) % 256
    square = (row + 9 * step) // 8 % 3 + (column + 5 * step) // 8 % 5 * channel
    return np.where(square % 4 == 1, 255 - 40 * channel, waves // (1 + square % 3)).astype(np.uint8)


def shuffled(image, wiring):
    """The picture whose square `i` is square `wiring[i]` of the given one."""
    out, across = np.zeros_like(image), SIZE // BLOCK
    for to, source in enumerate(wiring):
        a, b = to // across * BLOCK, to % across * BLOCK
        c, d = source // across * BLOCK, source % across * BLOCK
        out[a:a + BLOCK, b:b + BLOCK] = image[c:c + BLOCK, d:d + BLOCK]
    return out


def unfold(x, axis, size, step):
    """As `torch.Tensor.unfold`: windows along an axis, their elements in a new last axis."""
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=axis)
    return np.take(windows, np.arange(0, windows.shape[axis], step), axis=axis)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Agent:
    def __init__(self, flat):
        tensors, at = [], 0
        for shape in SHAPES:
            length = int(np.prod(shape))
            tensors.append(flat[at:at + length].reshape(shape))
            at += length
        assert at == len(flat) == 3667
        self.query, self.key = tensors[0:2], tensors[2:4]
        self.lstm, self.head = tensors[4:8], tensors[8:10]
        side = (SIZE - PATCH) // STRIDE + 1
        middle = PATCH // 2 + STRIDE * np.arange(side)
        self.centres = np.array([[row, column] for row in middle for column in middle], float)
        self.hidden, self.cell = np.zeros(HIDDEN), np.zeros(HIDDEN)

    def act(self, image):
        x = image / 255
        patches = unfold(x, 0, PATCH, STRIDE).transpose(0, 3, 1, 2)
        patches = unfold(patches, 2, PATCH, STRIDE).transpose(0, 2, 1, 4, 3)
        patches = patches.reshape(-1, PATCH, PATCH, 3).reshape(-1, 3 * PATCH * PATCH)
        query = patches @ self.query[0].T + self.query[1]
        key = patches @ self.key[0].T + self.key[1]
        scores = query @ key.T / np.sqrt(QUERY)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        importance = (shares / shares.sum(-1, keepdims=True)).sum(0)
        order = np.argsort(-importance, kind="stable")
        first = importance[order[:TOP + 1]]
        apart = ((first[:-1] - first[1:]) / first[:-1]).min()
        assert apart > APART, f"two importances are too close: {apart}"
        places = self.centres[order[:TOP]].reshape(-1) / SIZE
        gates = self.lstm[0] @ places + self.lstm[2] + self.lstm[1] @ self.hidden + self.lstm[3]
        i, f, g, o = gates.reshape(4, HIDDEN)
        self.cell = sigmoid(f) * self.cell + sigmoid(i) * np.tanh(g)
        self.hidden = sigmoid(o) * np.tanh(self.cell)
        return importance, order[:TOP], np.tanh(self.head[0] @ self.hidden + self.head[1])


def main(folder):
    flat = weights()
    blocks = (SIZE // BLOCK) ** 2
    wirings = {"plain": np.arange(blocks), "shuffled": (5 * np.arange(blocks) + 7) % blocks}
    tensors = {"weights": flat.astype(np.float32), "wiring": wirings["shuffled"].astype(np.uint32)}
    # Four bytes to a word, as the kernels take them.
    tensors["pictures"] = np.array([picture(step) for step in range(STEPS)]).reshape(STEPS, -1).view("<u4")
    for name, wiring in wirings.items():
        agent = Agent(flat)
        steps = [agent.act(shuffled(picture(step), wiring)) for step in range(STEPS)]
        importance, chosen, actions = zip(*steps)
        tensors[f"{name}.importance"] = np.array(importance, np.float64)
        tensors[f"{name}.chosen"] = np.array(chosen, np.uint32)
        tensors[f"{name}.actions"] = np.array(actions, np.float64)
        tensors[f"{name}.hidden"], tensors[f"{name}.cell"] = agent.hidden, agent.cell
        print(name, "chosen first:", [int(own[0]) for own in chosen], "actions:", np.round(actions[-1], 6).tolist())
    save_file(tensors, Path(folder) / "steps.safetensors", {"numpy": np.__version__})


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
