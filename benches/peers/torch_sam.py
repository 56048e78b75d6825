"""Times training steps of a classifier of images in PyTorch, with SGD and with SAM.

The same steps as `fourfold bench sam`: 28 x 28 grey images, ten classes, mean cross-entropy, SGD with Nesterov momentum 0.9 and decay 5e-4; SAM perturbs by
0.1 along the gradient, whose batch norm moves its running statistics in the first pass alone. The batch stays the same and lies in memory: what drawing one costs
is left out here, and in.

    python torch_sam.py [--model cnn] [--batch 128] [--threads N] [--device cpu] [--channels-last] [--runs 5] [--steps 10]
    python torch_sam.py --serve ...    a line `SGD N` or `SAM N` on the input runs N steps and prints seconds of a step
"""

import argparse
import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


def convolution(inputs, outputs, stride=1):
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


class SmallConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [1, 16, 32, 64]
        self.layers = nn.ModuleList(
            nn.Sequential(convolution(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU())
            for inputs, outputs in zip(widths, widths[1:])
        )
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index < 2:
                x = F.max_pool2d(x, 2)
        return self.head(x.mean(dim=(2, 3)))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = convolution(inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = convolution(outputs, outputs), nn.BatchNorm2d(outputs)
        self.stride, self.more = stride, outputs - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        return F.relu(y + shortcut)


class ResNet(nn.Module):
    def __init__(self, depth, width):
        super().__init__()
        self.conv1, self.bn1 = convolution(1, width), nn.BatchNorm2d(width)
        blocks, inputs = [], width
        for group in range(3):
            for index in range((depth - 2) // 6):
                outputs = width << group
                blocks.append(Block(inputs, outputs, 2 if group > 0 and index == 0 else 1))
                inputs = outputs
        self.blocks, self.head = nn.Sequential(*blocks), nn.Linear(inputs, 10)

    def forward(self, x):
        return self.head(self.blocks(F.relu(self.bn1(self.conv1(x)))).mean(dim=(2, 3)))


def network(name):
    if name == "cnn":
        return SmallConvNet()
    kind, _, numbers = name.partition(":")
    if kind != "resnet":
        sys.exit(f"--model: expected cnn or resnet:LAYERS[,WIDTH], got {name}")
    depth, _, width = numbers.partition(",")
    return ResNet(int(depth), int(width or 16))


class Training:
    def __init__(self, arguments):
        torch.manual_seed(0)
        layout = torch.channels_last if arguments.channels_last else torch.contiguous_format
        self.device = arguments.device
        self.model = network(arguments.model).to(self.device, memory_format=layout).train()
        self.optimiser = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
        self.images = torch.randn(arguments.batch, 1, 28, 28).to(self.device, memory_format=layout)
        self.labels = torch.randint(0, 10, (arguments.batch,)).to(self.device)
        self.norms = [module for module in self.model.modules() if isinstance(module, nn.BatchNorm2d)]

    def gradient(self):
        self.optimiser.zero_grad()
        F.cross_entropy(self.model(self.images), self.labels).backward()

    def step(self, method):
        self.gradient()
        if method == "SAM":
            with torch.no_grad():
                weights = list(self.model.parameters())
                kept = [weight.clone() for weight in weights]
                norm = torch.sqrt(sum(weight.grad.square().sum() for weight in weights))
                for weight in weights:
                    weight.add_(weight.grad, alpha=0.1 / (float(norm) + 1e-12))
            for module in self.norms:
                module.momentum = 0.0
            self.gradient()
            for module in self.norms:
                module.momentum = 0.1
            with torch.no_grad():
                for weight, old in zip(weights, kept):
                    weight.copy_(old)
        self.optimiser.step()

    def seconds(self, method, steps):
        begun, cpu = time.perf_counter(), time.process_time()
        for _ in range(steps):
            self.step(method)
        if self.device != "cpu":
            torch.cuda.synchronize()
        return {"wall_s": (time.perf_counter() - begun) / steps, "cpu_s": (time.process_time() - cpu) / steps}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--serve", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    training = Training(arguments)
    for method in ["SGD", "SAM"]:
        training.seconds(method, 2)
    count = sum(parameter.numel() for parameter in training.model.parameters())
    about = {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": arguments.device, "parameters": count}
    print(json.dumps(about), flush=True)
    if arguments.serve:
        for line in sys.stdin:
            method, steps = line.split()
            print(json.dumps(training.seconds(method, int(steps))), flush=True)
        return
    for _ in range(arguments.runs):
        for method in ["SGD", "SAM"]:
            print(json.dumps({"method": method, **training.seconds(method, arguments.steps)}), flush=True)


if __name__ == "__main__":
    main()
