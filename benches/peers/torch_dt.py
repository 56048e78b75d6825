"""Times training steps of the decision transformer in PyTorch, at the paper's sizes for Hopper.

The same step as `fourfold bench dt`: 3 pre-norm blocks of one head, width 128, hidden layers of 512 with ReLU, dropout 0.1 on tokens, attention and
residuals, causal attention with padding masked as keys, mean squared error at the observations' tokens over real steps, clipping at 0.25, AdamW.
The batch stays the same and lies in memory: what drawing one costs is left out here, and in.

    python torch_dt.py [--batch 64] [--context 20] [--threads N] [--device cpu] [--runs 5] [--steps 10]
    python torch_dt.py --serve ...    a line `AdamW N` on the input runs N steps and prints seconds of a step
"""

import argparse
import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

OBSERVATIONS, ACTIONS, WIDTH, LAYERS, TIMES, DROPOUT = 11, 3, 128, 3, 1000, 0.1


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.project = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.expand, self.contract = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x, bias):
        q, k, v = self.qkv(self.norm1(x)).unsqueeze(1).chunk(3, dim=-1)
        rate = DROPOUT if self.training else 0.0
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=rate).squeeze(1)
        x = x + F.dropout(self.project(attended), DROPOUT, self.training)
        hidden = self.contract(F.relu(self.expand(self.norm2(x))))
        return x + F.dropout(hidden, DROPOUT, self.training)


class DecisionTransformer(nn.Module):
    def __init__(self, context):
        super().__init__()
        self.times = nn.Embedding(TIMES, WIDTH)
        self.returns, self.observations = nn.Linear(1, WIDTH), nn.Linear(OBSERVATIONS, WIDTH)
        self.actions = nn.Linear(ACTIONS, WIDTH)
        self.norm_tokens, self.norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, ACTIONS)
        self.register_buffer("causal", torch.ones(3 * context, 3 * context, dtype=torch.bool).tril())

    def forward(self, returns, observations, actions, times, mask):
        time = self.times(times)
        tokens = (self.returns(returns) + time, self.observations(observations) + time, self.actions(actions) + time)
        x = torch.stack(tokens, dim=2).flatten(1, 2)
        x = F.dropout(self.norm_tokens(x), DROPOUT, self.training)
        padding = (1.0 - mask.repeat_interleave(3, dim=1))[:, None, None, :] * -1e4
        bias = torch.where(self.causal, 0.0, -1e4) + padding
        for block in self.blocks:
            x = block(x, bias)
        # Only the observations' tokens have a head.
        return torch.tanh(self.head(self.norm(x[:, 1::3])))


class Training:
    def __init__(self, batch, context, device):
        torch.manual_seed(0)
        self.device = device
        self.model = DecisionTransformer(context).to(device).train()
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-4, weight_decay=1e-4)
        mask = torch.ones(batch, context)
        mask[::16, : context // 2] = 0.0
        times = torch.randint(0, TIMES - context, (batch, 1)) + torch.arange(context)
        window = (
            torch.rand(batch, context, 1),
            torch.randn(batch, context, OBSERVATIONS),
            torch.rand(batch, context, ACTIONS) * 2.0 - 1.0,
            times,
            mask,
        )
        self.window = [tensor.to(device) for tensor in window]

    def step(self):
        actions, mask = self.window[2], self.window[4]
        difference = (self.model(*self.window) - actions).square().mean(dim=2)
        loss = (difference * mask).sum() / mask.sum()
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 0.25)
        self.optimiser.step()

    def finish(self):
        if self.device != "cpu":
            torch.cuda.synchronize()

    def seconds(self, steps):
        begun, cpu = time.perf_counter(), time.process_time()
        for _ in range(steps):
            self.step()
        self.finish()
        return {"wall_s": (time.perf_counter() - begun) / steps, "cpu_s": (time.process_time() - cpu) / steps}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--context", type=int, default=20)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--serve", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    training = Training(arguments.batch, arguments.context, arguments.device)
    training.seconds(2)
    count = sum(parameter.numel() for parameter in training.model.parameters())
    about = {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": arguments.device, "parameters": count}
    print(json.dumps(about), flush=True)
    if arguments.serve:
        for line in sys.stdin:
            print(json.dumps(training.seconds(int(line.split()[-1]))), flush=True)
        return
    for _ in range(arguments.runs):
        print(json.dumps(training.seconds(arguments.steps)), flush=True)


if __name__ == "__main__":
    main()
