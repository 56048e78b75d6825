"""Outer iterations of persistent evolution strategies in JAX and by `fourfold bench pes`, turn and turn about; prints a table in markdown.

    cargo build --release
    venv/bin/python benches/peers/jax/pes.py target/release/fourfold [--rounds 5]

The python that runs this needs jax (`pip install jax==0.10.2`; for a GPU of NVIDIA's "jax[cuda13]==0.10.2").

The work is the 2-D toy regression of the paper (Vicol et al. 2021): T = 100, K = 10, sigma 0.3, Adam at 1e-2 with beta1 0.99. JAX runs it twice: as most
users write it, one jitted call an iteration, and with all iterations inside one `lax.scan`, which leaves Python out. Fourfold submits as many iterations at
once as the scan has.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial

import jax
import jax.numpy as jnp

HORIZON, TRUNCATION, SIGMA, RATE, BETA1, BETA2 = 100, 10, 0.3, 1e-2, 0.99, 0.999
START = jnp.array([1.0, 1.0])


def loss(x):
    bell = jnp.sin(x[1]) ** 2 * jnp.exp(-5.0 * x[0] ** 2)
    return jnp.sqrt(x[0] ** 2 + 5.0) - jnp.sqrt(5.0) + bell + 0.25 * jnp.abs(x[1] - 100.0)


def unroll(theta, x, time_):
    def step(x, t):
        rate = jnp.exp(theta[0]) * (HORIZON - t) / HORIZON + jnp.exp(theta[1]) * t / HORIZON
        x = x - rate * jax.grad(loss)(x)
        return x, loss(x)

    x, losses = jax.lax.scan(step, x, time_ + jnp.arange(TRUNCATION, dtype=jnp.float32))
    return losses.sum(), x


def iteration(particles, carry, key):
    theta, (m, v, count), (states, accumulators, time_) = carry
    noise = SIGMA * jax.random.normal(key, (particles // 2, 2))
    noise = jnp.concatenate([noise, -noise])
    losses, states = jax.vmap(unroll, in_axes=(0, 0, None))(theta + noise, states, time_)
    accumulators = accumulators + noise
    gradient = losses @ accumulators / (particles * SIGMA**2)
    count = count + 1
    m, v = BETA1 * m + (1 - BETA1) * gradient, BETA2 * v + (1 - BETA2) * gradient**2
    theta = theta - RATE * (m / (1 - BETA1**count)) / (jnp.sqrt(v / (1 - BETA2**count)) + 1e-8)
    time_ = time_ + TRUNCATION
    over = time_ >= HORIZON
    time_ = jnp.where(over, 0.0, time_)
    states = jnp.where(over, START, states)
    accumulators = jnp.where(over, 0.0, accumulators)
    return (theta, (m, v, count), (states, accumulators, time_)), None


def beginning(particles):
    states = jnp.broadcast_to(START, (particles, 2))
    moments = (jnp.zeros(2), jnp.zeros(2), jnp.array(0.0))
    return jnp.array([-4.0, -4.0]), moments, (states, jnp.zeros((particles, 2)), jnp.array(0.0))


@partial(jax.jit, static_argnums=0)
def one(particles, carry, key):
    return iteration(particles, carry, key)[0]


@partial(jax.jit, static_argnums=0)
def many(particles, carry, keys):
    return jax.lax.scan(partial(iteration, particles), carry, keys)[0]


def measured(run, iterations):
    """Wall and CPU seconds of an iteration."""
    cpu, wall = time.process_time(), time.perf_counter()
    jax.block_until_ready(run())
    return (time.perf_counter() - wall) / iterations, (time.process_time() - cpu) / iterations


def loop(particles, keys):
    carry = beginning(particles)
    for key in keys:
        carry = one(particles, carry, key)
    return carry


def fourfold(path, particles, iterations):
    with tempfile.TemporaryDirectory() as folder:
        command = [path, "bench", "pes", "--particles", str(particles), "--iterations", str(iterations), "--runs", "1"]
        done = subprocess.run([*command, "--json", "--quiet", "--out", os.path.join(folder, "run")], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr.strip()}")
    result = json.loads(done.stdout)
    return result["wall_s"][0], result.get("cpu_s", [float("nan")])[0], result["adapter"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fourfold", help="the command, such as target/release/fourfold")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    adapter = None
    print("| particles | | an iteration, best / median | CPU time, best |\n|---|---|---|---|")
    for particles, iterations in ((100, 1000), (10_000, 200)):
        keys = jax.random.split(jax.random.PRNGKey(0), iterations)
        listed = [keys[i] for i in range(iterations)]
        ways = {
            "JAX, a call an iteration": lambda: measured(lambda: loop(particles, listed), iterations),
            "JAX, one scan": lambda: measured(lambda: many(particles, beginning(particles), keys), iterations),
        }
        samples = {name: [] for name in [*ways, "Fourfold"]}
        for way in ways.values():
            way()  # compiles
        for _ in range(given.rounds):
            for name, way in ways.items():
                samples[name].append(way())
            wall, cpu, adapter = fourfold(given.fourfold, particles, iterations)
            samples["Fourfold"].append((wall, cpu))
        for name, pairs in samples.items():
            walls, cpus = [wall for wall, _ in pairs], [cpu for _, cpu in pairs]
            print(f"| {particles} | {name} | {min(walls) * 1e6:.0f} / {statistics.median(walls) * 1e6:.0f} us | {min(cpus) * 1e6:.0f} us |")
        for name in ways:
            ratios = [theirs[0] / ours[0] for theirs, ours in zip(samples[name], samples["Fourfold"])]
            best = min(wall for wall, _ in samples[name]) / min(wall for wall, _ in samples["Fourfold"])
            print(f"| {particles} | **{name} / Fourfold** | {best:.2f} / {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | |")
    print(f"\njax {jax.__version__} on {jax.devices()[0].platform}; Fourfold on {adapter}")


if __name__ == "__main__":
    main()
