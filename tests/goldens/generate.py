"""Writes the golden files of this folder: losses, gradients and training runs as PyTorch computes them.

Made with Python 3.11.7, torch 2.15.0 (CPU), numpy 2.4.6, safetensors 0.8.0. To run:

    python3 -m venv venv && venv/bin/pip install torch numpy safetensors
    venv/bin/python tests/goldens/generate.py [FOLDER]

Everything is computed in float64 and rounded to float32 once, when it is stored. The starting points (parameters,
inputs, directions) are rounded to float32 before anything is computed from them, so that they are stored exactly.
The same runs are repeated in float32; how far they stray from the float64 ones is printed and kept in the metadata
of each file: it is what PyTorch's own float32 deserves, and the measure for the tolerances in README.md.
"""

import json
import math
import sys
from pathlib import Path

import numpy
import safetensors.numpy
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

STEPS = 10


# --- Starting points -------------------------------------------------------------------------------------------------


def float32_exact(tensor):
    """The nearest values that float32 can hold, as float64."""
    return tensor.float().double()


def normal(generator, *shape, deviation=1.0):
    return float32_exact(torch.randn(*shape, generator=generator, dtype=torch.float64) * deviation)


def linear(generator, name, inputs, outputs):
    """Weight (outputs, inputs) and bias (outputs); biases are not zero, so that a forgotten one shows."""
    return {
        f"{name}.weight": normal(generator, outputs, inputs, deviation=1 / math.sqrt(inputs)),
        f"{name}.bias": normal(generator, outputs, deviation=0.1),
    }


def layer_norm(generator, name, width):
    return {
        f"{name}.weight": float32_exact(1 + normal(generator, width, deviation=0.1)),
        f"{name}.bias": normal(generator, width, deviation=0.1),
    }


# --- Models: functions of (parameters, input), so that float32, float64 and second derivatives share one text --------


def mlp_parameters(generator):
    return (
        linear(generator, "layer1", 64, 32) | linear(generator, "layer2", 32, 16) | linear(generator, "layer3", 16, 10)
    )


def mlp(p, x):
    x = F.relu(F.linear(x, p["layer1.weight"], p["layer1.bias"]))
    x = F.relu(F.linear(x, p["layer2.weight"], p["layer2.bias"]))
    return F.linear(x, p["layer3.weight"], p["layer3.bias"])


WIDTH, HEADS, HIDDEN, CLASSES, EPSILON = 32, 4, 128, 5, 1e-5


def block_parameters(generator):
    parameters = layer_norm(generator, "norm1", WIDTH)
    for projection in ("query", "key", "value", "output"):
        parameters |= linear(generator, f"attention.{projection}", WIDTH, WIDTH)
    parameters |= layer_norm(generator, "norm2", WIDTH)
    parameters |= linear(generator, "mlp.expand", WIDTH, HIDDEN)
    parameters |= linear(generator, "mlp.contract", HIDDEN, WIDTH)
    return parameters | linear(generator, "head", WIDTH, CLASSES)


def block_classifier(gelu, causal, padding):
    """One pre-norm transformer block, mean over the positions that count, and a linear layer.

    `gelu`: "tanh" or "none" (the erf form). `padding`: (batch, length), true where a position is padding: no query
    attends to it and the mean leaves it out; or None.
    """

    def model(p, x):
        batch, length, _ = x.shape
        allowed = torch.ones(batch, 1, length, length, dtype=torch.bool)
        if causal:
            allowed = allowed.tril()
        if padding is not None:
            allowed = allowed & ~padding[:, None, None, :]

        normed = F.layer_norm(x, (WIDTH,), p["norm1.weight"], p["norm1.bias"], EPSILON)

        def heads(name):
            projected = F.linear(normed, p[f"attention.{name}.weight"], p[f"attention.{name}.bias"])
            return projected.view(batch, length, HEADS, WIDTH // HEADS).transpose(1, 2)

        # The plain backend is the one that can be differentiated twice.
        with sdpa_kernel(SDPBackend.MATH):
            attended = F.scaled_dot_product_attention(heads("query"), heads("key"), heads("value"), attn_mask=allowed)
        attended = attended.transpose(1, 2).reshape(batch, length, WIDTH)
        x = x + F.linear(attended, p["attention.output.weight"], p["attention.output.bias"])

        normed = F.layer_norm(x, (WIDTH,), p["norm2.weight"], p["norm2.bias"], EPSILON)
        hidden = F.gelu(F.linear(normed, p["mlp.expand.weight"], p["mlp.expand.bias"]), approximate=gelu)
        x = x + F.linear(hidden, p["mlp.contract.weight"], p["mlp.contract.bias"])

        counts = torch.ones(batch, length, 1, dtype=x.dtype) if padding is None else (~padding)[:, :, None].to(x.dtype)
        pooled = (x * counts).sum(1) / counts.sum(1)
        return F.linear(pooled, p["head.weight"], p["head.bias"])

    return model


# --- Losses, gradients, training -------------------------------------------------------------------------------------


class Problem:
    """A model with its starting point, one batch and one loss: the mean cross-entropy with label smoothing."""

    def __init__(self, model, parameters, x, labels, smoothing):
        self.model, self.parameters, self.x, self.labels, self.smoothing = model, parameters, x, labels, smoothing

    def start(self, dtype):
        parameters = {name: value.to(dtype).clone().requires_grad_() for name, value in self.parameters.items()}
        return parameters, self.x.to(dtype).clone()

    def loss(self, parameters, x):
        return F.cross_entropy(self.model(parameters, x), self.labels, label_smoothing=self.smoothing)

    def values(self, dtype):
        """Logits, loss and the gradient of every parameter and of the input."""
        parameters, x = self.start(dtype)
        x.requires_grad_()
        loss = self.loss(parameters, x)
        gradients = torch.autograd.grad(loss, [*parameters.values(), x])
        values = {"logits": self.model(parameters, x), "loss": loss.reshape(1)}
        return values | {f"gradient.{name}": g for name, g in zip([*parameters, "input"], gradients)}

    def train(self, dtype, name, optimizer, rho=None):
        """Ten steps on the one batch; the losses are those before each step. With `rho`: SAM around the optimiser."""
        parameters, x = self.start(dtype)
        weights = list(parameters.values())
        optimizer = optimizer(weights)
        losses, ascended_losses = [], []
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = self.loss(parameters, x)
            loss.backward()
            losses.append(loss.item())
            if rho is not None:
                before = [w.detach().clone() for w in weights]
                norm = torch.sqrt(sum((w.grad**2).sum() for w in weights))
                with torch.no_grad():
                    for w in weights:
                        w += rho / norm * w.grad
                optimizer.zero_grad()
                loss = self.loss(parameters, x)
                loss.backward()
                ascended_losses.append(loss.item())
                with torch.no_grad():
                    for w, b in zip(weights, before):
                        w.copy_(b)
            optimizer.step()
        result = {f"losses.{name}": torch.tensor(losses, dtype=torch.float64)}
        if rho is not None:
            result[f"ascended_losses.{name}"] = torch.tensor(ascended_losses, dtype=torch.float64)
        return result | {f"final.{name}.{parameter}": w for parameter, w in parameters.items()}

    def hessian_vector(self, dtype, direction):
        parameters, x = self.start(dtype)
        gradients = torch.autograd.grad(self.loss(parameters, x), list(parameters.values()), create_graph=True)
        product = sum((g * direction[name].to(dtype)).sum() for name, g in zip(parameters, gradients))
        products = torch.autograd.grad(product, list(parameters.values()))
        return {f"hessian_vector.{name}": h for name, h in zip(parameters, products)}


# --- Files -----------------------------------------------------------------------------------------------------------


def stray(single, double):
    """The largest |single - double| over the largest |double| of each kind of tensor: the part before the first dot."""
    worst = {}
    for name, truth in double.items():
        if name.endswith("attention.key.bias"):
            continue  # its gradient is zero but for rounding, see README.md
        kind = name.split(".")[0]
        difference = (single[name].double() - truth.double()).abs().max() / truth.abs().max()
        worst[kind] = max(worst.get(kind, 0.0), difference.item())
    return {f"float32_stray.{kind}": f"{value:.1e}" for kind, value in worst.items()}


def serialize(tensors, metadata):
    """The safetensors format, written out here because the library shuffles the metadata from run to run."""
    header, offset = {"__metadata__": metadata}, 0
    for name, value in tensors.items():
        kind = {"float32": "F32", "uint32": "U32"}[value.dtype.name]
        header[name] = {"dtype": kind, "shape": value.shape, "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(value.tobytes() for value in tensors.values())


def write(path, start, compute, metadata):
    """`start`: tensors that are stored as they are; `compute(dtype)`: those that follow from them."""
    double, single = compute(torch.float64), compute(torch.float32)
    tensors = {name: value.detach().float().numpy() for name, value in double.items()}
    for name, value in start.items():
        integer = value.dtype in (torch.int64, torch.bool)
        tensors[name] = value.numpy().astype(numpy.uint32 if integer else numpy.float32)
    tensors = {name: numpy.ascontiguousarray(value) for name, value in tensors.items()}
    versions = {"torch": torch.__version__.split("+")[0], "numpy": numpy.__version__}
    metadata = versions | {"computed_in": "float64"} | metadata | stray(single, double)
    path.write_bytes(serialize(tensors, metadata))
    safetensors.numpy.load_file(path)  # the library must read what was written
    print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes")
    for key, value in metadata.items():
        print(f"    {key} = {value}")


def sgd(weights):
    return torch.optim.SGD(weights, lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)


def sgd_below_sam(weights):
    return torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=5e-4)


def adamw(rate):
    return lambda weights: torch.optim.AdamW(weights, lr=rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2)


ADAMW = "lr {}, betas 0.9 0.999, eps 1e-8, decoupled weight_decay 1e-2"


def named_parameters(parameters):
    return {f"parameter.{name}": value for name, value in parameters.items()}


def write_mlp(folder):
    generator = torch.Generator().manual_seed(64)
    parameters = mlp_parameters(generator)
    x = normal(generator, 24, 64)
    labels = torch.randint(0, 10, (24,), generator=generator)
    problem = Problem(mlp, parameters, x, labels, smoothing=0.1)

    def compute(dtype):
        values = problem.values(dtype)
        values |= problem.train(dtype, "sgd", sgd)
        values |= problem.train(dtype, "adamw", adamw(1e-2))
        return values | problem.train(dtype, "sam", sgd_below_sam, rho=0.05)

    metadata = {
        "model": "linear 64-32, ReLU, linear 32-16, ReLU, linear 16-10",
        "loss": "mean cross-entropy, label smoothing 0.1",
        "sgd": "lr 0.1, momentum 0.9, Nesterov, weight_decay 5e-4",
        "adamw": ADAMW.format("1e-2"),
        "sam": "p 2, rho 0.05, around SGD with lr 0.1, momentum 0.9, weight_decay 5e-4 (at w, outside the maximum)",
    }
    write(folder / "mlp.safetensors", named_parameters(parameters) | {"input": x, "labels": labels}, compute, metadata)


def write_block(folder, file, gelu, causal, lengths, hessian_file=None):
    generator = torch.Generator().manual_seed(32)
    parameters = block_parameters(generator)
    x = normal(generator, 3, 11, WIDTH)
    labels = torch.tensor([4, 0, 2])
    direction = {name: normal(generator, *value.shape) for name, value in parameters.items()}
    padding = None if lengths is None else torch.arange(11)[None, :] >= torch.tensor(lengths)[:, None]
    problem = Problem(block_classifier(gelu, causal, padding), parameters, x, labels, smoothing=0.0)

    def compute(dtype):
        return problem.values(dtype) | problem.train(dtype, "adamw", adamw(1e-3))

    metadata = {
        "model": "x += attention(norm1(x)); x += contract(gelu(expand(norm2(x)))); head(mean over positions)",
        "heads": str(HEADS),
        "layer_norm_epsilon": str(EPSILON),
        "gelu": "tanh" if gelu == "tanh" else "erf",
        "causal": str(causal).lower(),
        "lengths": "all 11" if lengths is None else " ".join(map(str, lengths)),
        "loss": "mean cross-entropy",
    }
    start = named_parameters(parameters) | {"input": x, "labels": labels}
    if padding is not None:
        start["padding"] = padding
    write(folder / file, start, compute, metadata | {"adamw": ADAMW.format("1e-3")})
    if hessian_file is not None:
        start = {f"direction.{name}": value for name, value in direction.items()}
        metadata |= {"point": f"the parameters, input and labels of {file}"}
        write(folder / hessian_file, start, lambda dtype: problem.hessian_vector(dtype, direction), metadata)


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    torch.set_num_threads(1)
    write_mlp(folder)
    write_block(folder, "transformer_block.safetensors", "tanh", True, None, "transformer_block_hessian.safetensors")
    write_block(folder, "transformer_block_erf.safetensors", "none", True, None)
    write_block(folder, "transformer_block_padded.safetensors", "tanh", False, [11, 7, 1])


if __name__ == "__main__":
    main()
