"""Writes the golden files of this folder: decision transformers as PyTorch computes them.

Made with the versions that `../generate.py` names, and run like it:

    venv/bin/python tests/goldens/decision_transformer/generate.py [FOLDER]

The network is written out here after the paper's code, with its arithmetic of masks: scores of later tokens are replaced by
-1e4, and -1e4 is added to scores of padding. As in `../generate.py`, everything is computed in float64 from starting
points that float32 holds, and how far PyTorch's own float32 strays is kept in the metadata. After each file come lines
that say how far mistakes in the training would move the losses: what the tolerances can see.
"""

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parent.parent))
from generate import float32_exact, layer_norm, linear, named_parameters, normal, write  # noqa: E402

STEPS = 20
EPSILON = 1e-5


@dataclass(frozen=True)
class Network:
    """A decision transformer's sizes and variants; `tokens` are those of a step, in order."""

    observations: int
    actions: int
    discrete: bool
    context: int
    times: int
    width: int
    layers: int
    heads: int
    tokens: str = "Rsa"
    activation: str = "relu"
    post_norm: bool = False
    return_classes: int = 0
    atari: bool = False
    frames: tuple = ()  # rows, columns and pictures of an observation, where convolutions see it


@dataclass(frozen=True)
class Training:
    rate: float
    warm_up: int
    weight_decay: float
    betas: tuple = (0.9, 0.999)
    clip: float = 0.25
    matrices_only: bool = False  # decay spares biases, norms and tables


def initial(generator, net):
    """All parameters, biases and scales of norms included, so that a forgotten one shows."""
    table = lambda rows: normal(generator, rows, net.width, deviation=0.5)
    p = {"embed_timestep.weight": table(net.times)}
    if net.atari:
        p |= {"embed_position.table": table(net.context * len(net.tokens))}
    if net.return_classes:
        p |= {"embed_return.table": table(net.return_classes)}
    else:
        p |= linear(generator, "embed_return", 1, net.width)
    if net.frames:
        p |= encoder(generator, net)
    else:
        p |= linear(generator, "embed_state", net.observations, net.width)
    if net.discrete:
        p |= {"embed_action.table": table(net.actions)}
    else:
        p |= linear(generator, "embed_action", net.actions, net.width)
    if not net.atari:
        p |= layer_norm(generator, "embed_ln", net.width)
    for i in range(net.layers):
        p |= layer_norm(generator, f"block{i}.norm1", net.width)
        p |= linear(generator, f"block{i}.qkv", net.width, 3 * net.width)
        p |= linear(generator, f"block{i}.proj", net.width, net.width)
        p |= layer_norm(generator, f"block{i}.norm2", net.width)
        p |= linear(generator, f"block{i}.fc1", net.width, 4 * net.width)
        p |= linear(generator, f"block{i}.fc2", 4 * net.width, net.width)
    if not net.post_norm:
        p |= layer_norm(generator, "norm", net.width)
    p |= linear(generator, "predict_action", net.width, net.actions)
    if net.atari:
        del p["predict_action.bias"]
    if net.return_classes:
        p |= linear(generator, "predict_return", net.width, net.return_classes)
    return p


# Channels, side and stride of each convolution.
CONVOLUTIONS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))


def encoder(generator, net):
    """Kernels are stored as (rows, columns, channels, outputs), and the affine layer takes (rows, columns, channels)."""
    rows, columns, channels = net.frames
    p = {}
    for i, (outputs, side, stride) in enumerate(CONVOLUTIONS, 1):
        p[f"embed_state.conv{i}.weight"] = normal(generator, side, side, channels, outputs, deviation=0.05)
        p[f"embed_state.conv{i}.bias"] = normal(generator, outputs)
        rows, columns, channels = (rows - side) // stride + 1, (columns - side) // stride + 1, outputs
    return p | linear(generator, "embed_state.fc", rows * columns * channels, net.width)


def encode(p, frames):
    """Stacks of frames (steps, rows, columns, stack) of numbers from 0 to 1."""
    x = frames.permute(0, 3, 1, 2)
    for i, (_, _, stride) in enumerate(CONVOLUTIONS, 1):
        weight = p[f"embed_state.conv{i}.weight"].permute(3, 2, 0, 1)
        x = F.relu(F.conv2d(x, weight, p[f"embed_state.conv{i}.bias"], stride))
    return F.linear(x.permute(0, 2, 3, 1).flatten(1), p["embed_state.fc.weight"], p["embed_state.fc.bias"])


def forward(net, p, w):
    """What the heads say at each step: actions or their logits, and the logits of returns or None."""
    batch, context = w["mask"].shape
    affine = lambda name, x: F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])
    norm = lambda name, x: F.layer_norm(x, (net.width,), p[f"{name}.weight"], p[f"{name}.bias"], EPSILON)
    tokens = {
        "R": F.embedding(w["returns"].long(), p["embed_return.table"])
        if net.return_classes
        else affine("embed_return", w["returns"][..., None]),
        "s": affine("embed_state", w["observations"]),
        "a": F.embedding(w["actions"][..., 0].long(), p["embed_action.table"])
        if net.discrete
        else affine("embed_action", w["actions"]),
    }
    time = F.embedding(w["times"], p["embed_timestep.weight"])
    kinds = len(net.tokens)
    x = torch.stack([tokens[kind] + time for kind in net.tokens], dim=2)
    x = norm("embed_ln", x.reshape(batch, kinds * context, net.width))

    length, size = kinds * context, net.width // net.heads
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    padding = (1 - w["mask"].repeat_interleave(kinds, dim=1))[:, None, None, :] * -1e4

    def attend(i, x):
        heads = lambda y: y.view(batch, length, net.heads, size).transpose(1, 2)
        q, k, v = map(heads, affine(f"block{i}.qkv", x).split(net.width, dim=2))
        scores = q @ k.transpose(2, 3) / math.sqrt(size)
        scores = torch.where(causal, scores, torch.full((), -1e4, dtype=scores.dtype)) + padding
        mixed = scores.softmax(dim=-1) @ v
        return affine(f"block{i}.proj", mixed.transpose(1, 2).reshape(batch, length, net.width))

    activate = {"relu": F.relu, "gelu_erf": F.gelu}[net.activation]
    hidden = lambda i, x: affine(f"block{i}.fc2", activate(affine(f"block{i}.fc1", x)))
    for i in range(net.layers):
        if net.post_norm:
            x = norm(f"block{i}.norm1", x + attend(i, x))
            x = norm(f"block{i}.norm2", x + hidden(i, x))
        else:
            x = x + attend(i, norm(f"block{i}.norm1", x))
            x = x + hidden(i, norm(f"block{i}.norm2", x))
    if not net.post_norm:
        x = norm("norm", x)
    x = x.view(batch, context, kinds, net.width)
    actions = affine("predict_action", x[:, :, net.tokens.index("a") - 1])
    returns = affine("predict_return", x[:, :, 0]) if net.return_classes else None
    return actions if net.discrete else actions.tanh(), returns


def atari_forward(net, p, w, acting=False):
    """Logits of a network as the paper's for Atari, which has no padding: each window by itself, as long as it is.

    A token is the tanh of its embedding, plus the embedding of its place in the window, plus one of a single time:
    that of the first step in training and that of the last when acting. Masks are infinite.
    """
    affine = lambda name, x: F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])
    norm = lambda name, x: F.layer_norm(x, (net.width,), p[f"{name}.weight"], p[f"{name}.bias"], EPSILON)
    rows = []
    for i, length in enumerate(w["mask"].sum(1).long().tolist()):
        part = {name: tensor[i, net.context - length :] for name, tensor in w.items()}
        tokens = {
            "R": affine("embed_return", part["returns"][:, None]),
            "s": encode(p, part["observations"]) if net.frames else affine("embed_state", part["observations"]),
            "a": F.embedding(part["actions"][:, 0].long(), p["embed_action.table"]),
        }
        x = torch.stack([tokens[kind].tanh() for kind in net.tokens], dim=1).reshape(-1, net.width)
        count = len(x)
        x = x + p["embed_position.table"][:count] + p["embed_timestep.weight"][part["times"][-1 if acting else 0]]
        causal = torch.ones(count, count, dtype=torch.bool).tril()
        for b in range(net.layers):
            heads = lambda y: y.view(count, net.heads, -1).transpose(0, 1)
            q, k, v = map(heads, affine(f"block{b}.qkv", norm(f"block{b}.norm1", x)).split(net.width, dim=1))
            scores = q @ k.transpose(1, 2) / math.sqrt(net.width // net.heads)
            mixed = scores.masked_fill(~causal, -math.inf).softmax(dim=-1) @ v
            x = x + affine(f"block{b}.proj", mixed.transpose(0, 1).reshape(count, net.width))
            x = x + affine(f"block{b}.fc2", F.gelu(affine(f"block{b}.fc1", norm(f"block{b}.norm2", x))))
        logits = F.linear(norm("norm", x), p["predict_action.weight"])[net.tokens.index("a") - 1 :: len(net.tokens)]
        rows.append(F.pad(logits, (0, 0, net.context - length, 0)))
    return torch.stack(rows)


def loss_of(net, p, w):
    """The mean over steps that are no padding: of squared differences, or of cross-entropies."""
    real = w["mask"] > 0
    actions, returns = (atari_forward(net, p, w), None) if net.atari else forward(net, p, w)
    if net.discrete:
        loss = F.cross_entropy(actions[real], w["actions"][..., 0].long()[real])
    else:
        loss = F.mse_loss(actions[real], w["actions"][real])
    if returns is not None:
        loss = loss + F.cross_entropy(returns[real], w["returns"].long()[real])
    return loss


def train(net, training, parameters, window, coupled=False):
    """The losses before each of twenty steps on the one batch, and the norm of the first gradient."""
    p = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    decays = lambda name: p[name].dim() > 1 and not name.endswith(".table") and name != "embed_timestep.weight"
    spared = [p[name] for name in p if training.matrices_only and not decays(name)]
    others = [p[name] for name in p if not training.matrices_only or decays(name)]
    groups = [{"params": others}] + [{"params": spared, "weight_decay": 0.0}] * bool(spared)
    optimizer = (torch.optim.Adam if coupled else torch.optim.AdamW)(
        groups, lr=training.rate, betas=training.betas, eps=1e-8, weight_decay=training.weight_decay
    )
    factor = lambda step: min((step + 1) / training.warm_up, 1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    losses, norms = [], []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(net, p, window)
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(p.values(), training.clip).item())
        losses.append(loss.item())
        optimizer.step()
        scheduler.step()
    return torch.tensor(losses, dtype=torch.float64), norms


def batch_of(generator, net, lengths):
    """Windows whose first steps are padding, filled as the paper's code fills them: -10 for numbers in actions."""
    batch, context = len(lengths), net.context
    mask = (torch.arange(context) >= context - torch.tensor(lengths)[:, None]).double()
    if net.return_classes:
        returns = torch.randint(0, net.return_classes, (batch, context), generator=generator).double()
    else:
        returns = normal(generator, batch, context)
    if net.discrete:
        actions = torch.randint(0, net.actions, (batch, context, 1), generator=generator).double() * mask[..., None]
    else:
        actions = float32_exact(torch.tanh(normal(generator, batch, context, net.actions)))
        actions = torch.where(mask[..., None] > 0, actions, -10.0)
    starts = torch.randint(0, net.times - context + 1, (batch, 1), generator=generator)
    times = torch.where(mask > 0, (starts + mask.cumsum(1) - 1).long(), 0)
    window = {"returns": returns * mask, "observations": normal(generator, batch, context, net.observations)}
    return window | {"actions": actions, "times": times, "mask": mask}


def cast(tensors, dtype):
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in tensors.items()}


def values_of(net, parameters, window):
    p = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    loss = loss_of(net, p, window)
    gradients = dict(zip(p, torch.autograd.grad(loss, list(p.values()))))
    predictions = (atari_forward(net, p, window), None) if net.atari else forward(net, p, window)
    return predictions, loss.reshape(1), gradients


def describe(net, training):
    return {
        "network": str(net),
        "optimizer": f"AdamW, {training}, eps 1e-8, decoupled weight decay of all parameters; the rate times"
        " min((step + 1) / warm_up, 1); the gradient clipped by its global norm",
    }


def report_mistakes(net, training, parameters, window):
    right, norms = train(net, training, parameters, window)
    print(f"    norms of gradients {min(norms):.2f} to {max(norms):.2f}, losses {right[0]:.4f} to {right[-1]:.4f}")
    changed = {
        "without clipping": (replace(training, clip=1e9), False),
        "with the rate of one step later": (replace(training, warm_up=training.warm_up - 1), False),
        "without warm-up": (replace(training, warm_up=1), False),
        "without weight decay": (replace(training, weight_decay=0.0), False),
        "with coupled weight decay": (training, True),
        "with beta2 of 0.998": (replace(training, betas=(training.betas[0], 0.998)), False),
    }
    for mistake, (training, coupled) in changed.items():
        losses, _ = train(net, training, parameters, window, coupled)
        print(f"    {mistake} a loss moves by {((losses - right).abs() / right).max():.1e}")


def write_small(folder, name, seed, net, training, lengths):
    generator = torch.Generator().manual_seed(seed)
    parameters = initial(generator, net)
    window = batch_of(generator, net, lengths)

    def compute(dtype):
        single, batch = cast(parameters, dtype), cast(window, dtype)
        (actions, returns), loss, gradients = values_of(net, single, batch)
        values = {"loss": loss, "losses": train(net, training, single, batch)[0]}
        # Where there is padding nothing is asked of the outputs, and the way there differs.
        real = batch["mask"][..., None]
        values["predictions.actions"] = actions * real
        if net.atari:
            values["predictions.acting"] = atari_forward(net, single, batch, acting=True)[:, -1]
        if returns is not None:
            values["predictions.returns"] = returns * real
        return values | {f"gradient.{name}": gradient for name, gradient in gradients.items()}

    write(folder / f"{name}.safetensors", named_parameters(parameters) | window, compute, describe(net, training))
    report_mistakes(net, training, parameters, window)


# --- From recorded episodes ------------------------------------------------------------------------------------------


def write_episodes(folder, net, training):
    """Training on one window of recorded episodes, with everything that comes before the network: the window is the
    last three steps of the second episode, and so padded; observations are standardised over all episodes (population
    deviation + 1e-6), and returns-to-go, of rewards to the episode's end, are divided by 10."""
    generator = torch.Generator().manual_seed(5)
    parameters = initial(generator, net)
    lengths = [3, 6, 2]
    steps, first, end = sum(lengths), 6, 9
    recorded = {
        "recorded.observations": float32_exact(3 + 2 * normal(generator, steps, net.observations)),
        "recorded.actions": float32_exact(torch.tanh(normal(generator, steps, net.actions))),
        "recorded.rewards": normal(generator, steps, deviation=5),
        "recorded.lengths": torch.tensor(lengths),
    }

    def window_of(dtype):
        seen, actions, rewards = (recorded[f"recorded.{name}"] for name in ("observations", "actions", "rewards"))
        seen = (seen - seen.mean(0)) / (seen.std(0, correction=0) + 1e-6)
        returns = torch.stack([rewards[step:end].sum() for step in range(first, end)]) / 10
        padded = lambda rows: F.pad(rows, (0, 0) * (rows.dim() - 1) + (net.context - len(rows), 0))[None]
        window = {"returns": padded(returns), "observations": padded(seen[first:end]), "actions": padded(actions[first:end])}
        window |= {"times": padded(torch.arange(3, 6)), "mask": padded(torch.ones(3, dtype=torch.float64))}
        return cast(window, dtype)

    def compute(dtype):
        return {"losses": train(net, training, cast(parameters, dtype), window_of(dtype))[0]}

    write(folder / "episodes.safetensors", named_parameters(parameters) | recorded, compute, describe(net, training))
    report_mistakes(net, training, parameters, window_of(torch.float64))


# --- The real size: starting points by a rule that needs no file ------------------------------------------------------


def hashed(number, *shape):
    """Multiples of 2^-15 from -1 below 1, by the finaliser of MurmurHash3 over `(number << 24) + index`."""
    h = torch.arange(math.prod(shape), dtype=torch.int64) + (number << 24)
    word = 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h ^= h >> shift
        # In halves, for products of two words do not fit.
        h = ((h * (factor & 0xFFFF)) + (((h * (factor >> 16)) & 0xFFFF) << 16)) & word
    h ^= h >> 16
    return ((h >> 16).double() / 2**15 - 1).reshape(shape)


def hashed_parameters(net):
    """Starting points of a network by the rule, in the order of their declaration."""
    parameters = {}
    for number, (name, value) in enumerate(initial(torch.Generator(), net).items()):
        one = float("norm" in name or "ln" in name) if name.endswith("weight") else 0.0
        parameters[name] = one + hashed(number, *value.shape) / 8
    return parameters


def summaries(gradients):
    """Of each gradient the largest magnitude, the norm and elements at equal distances."""
    values = {}
    for name, gradient in gradients.items():
        flat = gradient.flatten()
        values[f"largest.{name}"] = flat.abs().max().reshape(1)
        values[f"norm.{name}"] = flat.norm().reshape(1)
        # Rows of times without a step have none: the samples are of those that have.
        kept = flat[flat != 0] if name == "embed_timestep.weight" else flat
        values[f"sample.{name}"] = kept[:: max(1, len(kept) // 16)][:16]
    return values


def write_frames(folder, net, training):
    """Training on one window of recorded pictures: the last five steps of the second episode, whose first ones see frames
    from before it, zeros. Returns-to-go are as they are."""
    rows, columns, stack = net.frames
    parameters = hashed_parameters(net)
    lengths, begin, first, end = [3, 6, 2], 3, 4, 9
    steps = sum(lengths)
    pixels = ((hashed(101, steps, rows, columns) + 1) * 128).floor()
    rewards = 2 * hashed(102, steps)
    actions = ((hashed(103, steps) + 1) * 2).floor()
    nothing = torch.zeros(rows, columns, dtype=torch.float64)
    seen = lambda step: nothing if step < begin else pixels[step] / 255
    stacked = lambda step: torch.stack([seen(step - stack + 1 + k) for k in range(stack)], dim=2)
    window = {
        "returns": torch.stack([rewards[step:end].sum() for step in range(first, end)])[None],
        "observations": torch.stack([stacked(step) for step in range(first, end)])[None],
        "actions": actions[first:end, None][None],
        "times": torch.arange(first - begin, end - begin)[None],
        "mask": torch.ones(1, end - first, dtype=torch.float64),
    }

    def compute(dtype):
        single, batch = cast(parameters, dtype), cast(window, dtype)
        _, loss, gradients = values_of(net, single, batch)
        return {"loss": loss, "losses": train(net, training, single, batch)[0]} | summaries(gradients)

    start = {"recorded.lengths": torch.tensor(lengths)}
    write(folder / "frames.safetensors", start, compute, describe(net, training))
    report_mistakes(net, training, parameters, window)


def write_hopper(folder):
    """The published network for Hopper: 726,019 parameters, windows of 20 steps."""
    net = Network(11, 3, discrete=False, context=20, times=1000, width=128, layers=3, heads=1)
    training = Training(rate=1e-4, warm_up=10, weight_decay=1e-4)
    parameters = hashed_parameters(net)
    lengths = [20, 20, 20, 7, 20, 1, 13, 20]
    batch, context = len(lengths), net.context
    mask = (torch.arange(context) >= context - torch.tensor(lengths)[:, None]).double()
    starts = 113 * torch.arange(batch)[:, None]
    times = torch.where(mask > 0, (starts + mask.cumsum(1) - 1).long(), 0)
    window = {
        "returns": 2 * hashed(101, batch, context) * mask,
        "observations": 2 * hashed(102, batch, context, net.observations) * mask[..., None],
        "actions": hashed(103, batch, context, net.actions) * mask[..., None],
        "times": times,
        "mask": mask,
    }

    def compute(dtype):
        single, batch = cast(parameters, dtype), cast(window, dtype)
        (actions, _), loss, gradients = values_of(net, single, batch)
        values = {"loss": loss, "losses": train(net, training, single, batch)[0]}
        values["predictions.actions"] = actions * batch["mask"][..., None]
        return values | summaries(gradients)

    start = {"lengths": torch.tensor(lengths)}
    write(folder / "hopper.safetensors", start, compute, describe(net, training))
    report_mistakes(net, training, parameters, window)


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    torch.set_num_threads(1)
    gym = Network(4, 3, discrete=False, context=5, times=9, width=16, layers=2, heads=2)
    # The settings of the paper for gym, but for the length of the warm-up.
    paper = Training(rate=1e-4, warm_up=10, weight_decay=1e-4)
    # Faster, and with more decay: mistakes move losses further.
    fast = Training(rate=6e-3, warm_up=4, weight_decay=0.1, betas=(0.9, 0.95), clip=1.0)
    lengths = [5, 5, 3, 1, 5, 2]
    write_small(folder, "continuous", 1, gym, paper, lengths)
    write_small(folder, "discrete", 2, replace(gym, actions=4, discrete=True), fast, lengths)
    other = replace(gym, actions=4, discrete=True, tokens="sRa", activation="gelu_erf", post_norm=True, return_classes=5)
    write_small(folder, "return_classes", 3, other, fast, lengths)
    atari = replace(gym, actions=4, discrete=True, activation="gelu_erf", atari=True)
    write_small(folder, "atari", 4, atari, fast, lengths)
    write_episodes(folder, gym, fast)
    write_frames(folder, replace(atari, frames=(44, 44, 4)), replace(fast, matrices_only=True))
    write_hopper(folder)


if __name__ == "__main__":
    main()
