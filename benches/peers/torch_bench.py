"""Times PyTorch on the CPU doing the work of this folder: what two cores can do without the detour over a GPU API.

Made with Python 3.11.7, torch 2.15.0 (CPU). To run:

    python3 -m venv venv && venv/bin/pip install torch
    venv/bin/python benches/peers/torch_bench.py [--threads 2] [--rounds 9] [--json FILE]

Sizes, samples and the form of the table are those of `src/work.rs`; the SAM step is the usual one of two passes
(gradient, ascent by rho g / |g|, gradient, restore, SGD step). Rows are taken turn and turn about.
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F

STEPS = 16


def perceptron():
    generator = torch.Generator().manual_seed(1)
    uniform = lambda *shape: torch.rand(shape, generator=generator) * 2 - 1
    network = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    return network, optimizer, uniform(128, 64), torch.arange(128) % 10


def sgd_steps():
    network, optimizer, x, labels = perceptron()

    def step():
        optimizer.zero_grad()
        F.cross_entropy(network(x), labels).backward()
        optimizer.step()

    return lambda: [step() for _ in range(STEPS)]


def sam_steps(rho=0.05):
    network, optimizer, x, labels = perceptron()
    weights = list(network.parameters())

    def gradient():
        optimizer.zero_grad()
        F.cross_entropy(network(x), labels).backward()

    def step():
        gradient()
        with torch.no_grad():
            scale = rho / (torch.linalg.vector_norm(torch.stack([w.grad.norm() for w in weights])) + 1e-12)
            before = [w.clone() for w in weights]
            for w in weights:
                w.add_(w.grad * scale)
        gradient()
        with torch.no_grad():
            for w, b in zip(weights, before):
                w.copy_(b)
        optimizer.step()

    return lambda: [step() for _ in range(STEPS)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    a, b, x = torch.rand(1024, 1024), torch.rand(1024, 1024), torch.rand(4096, 512)
    # Name, work, operations of one sample in units of 1e9, their unit, steps in a sample.
    rows = [
        ("matrix product 1024^3", lambda: a @ b, 2 * 1024**3 / 1e9, "GFLOP/s", 1),
        ("layer norm 4096x512", lambda: F.layer_norm(x, (512,)), 2 * 4 * 4096 * 512 / 1e9, "GB/s", 1),
        ("softmax 4096x512", lambda: torch.softmax(x, 1), 2 * 4 * 4096 * 512 / 1e9, "GB/s", 1),
        ("SGD step 64-128-10, batch 128", sgd_steps(), None, "", STEPS),
        ("SAM step 64-128-10, batch 128", sam_steps(), None, "", STEPS),
    ]
    samples = {name: [] for name, *_ in rows}
    for round in range(arguments.warm_up + arguments.rounds):
        for name, work, *_ in rows:
            start = time.perf_counter()
            work()
            if round >= arguments.warm_up:
                samples[name].append(time.perf_counter() - start)

    print(f"torch {torch.__version__.split('+')[0]} on the CPU, {arguments.threads} threads. Times: minimum / median.\n")
    print("| work | PyTorch on the CPU |\n|---|---|")
    lines = []
    for name, _, amount, unit, steps in rows:
        least, middle = min(samples[name]) / steps, statistics.median(samples[name]) / steps
        rate = f", {amount / least:.2f} {unit}" if amount else ""
        print(f"| {name} | {least * 1e3:.3f} ms / {middle * 1e3:.3f} ms{rate} |")
        lines.append({"work": name, "library": "torch", "minimum_ms": least * 1e3, "median_ms": middle * 1e3})
    if arguments.json:
        with open(arguments.json, "w") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main()
