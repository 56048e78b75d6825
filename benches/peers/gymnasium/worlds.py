"""Times environment steps of Gymnasium and of `fourfold bench rollout` turn and turn about, and prints a table in markdown.

    cargo build --release
    python3 -m venv venv && venv/bin/pip install -r benches/peers/gymnasium/requirements.txt
    venv/bin/python benches/peers/gymnasium/worlds.py target/release/fourfold [--rounds 5] [--seconds 3]

Gymnasium steps one environment in one process, as most programs do, with actions that cost nothing to choose; Fourfold steps many side by side
on all that its adapter has, with a linear policy. Only steps of episodes that go on are counted. CarRacing is timed with the picture that each of
its steps draws, and without; Pong is the Arcade Learning Environment's, four frames a step, without a picture on either side.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time

import gymnasium
import numpy


def car(pictures):
    environment = gymnasium.make("CarRacing-v3", max_episode_steps=None)
    if not pictures:
        environment.unwrapped._render = lambda mode: None
        environment = environment.unwrapped
    environment.reset(seed=1)
    steps = 0

    def step():
        nonlocal steps
        steps += 1
        # It drives, and sways a little.
        steer = 0.3 if steps % 40 < 20 else -0.3
        _, _, ended, cut, _ = environment.step(numpy.array([steer, 0.1, 0.0], numpy.float32))
        if ended or cut or steps % 1000 == 0:
            environment.reset()

    return step


def pong():
    import ale_py

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("frame_skip", 4)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(ale_py.roms.get_rom_path("pong"))
    actions = ale.getMinimalActionSet()
    steps = 0

    def step():
        nonlocal steps
        steps += 1
        ale.act(actions[steps // 7 % len(actions)])
        if ale.game_over():
            ale.reset_game()

    return step


def theirs(step, seconds):
    """Steps a second, by the clock and by the process's own time."""
    begun, used, steps = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begun < seconds:
        for _ in range(20):
            step()
        steps += 20
    return steps / (time.perf_counter() - begun), steps / (time.process_time() - used)


def ours(fourfold, world, steps, extra):
    command = [fourfold, "bench", "rollout", "--environment", world, "--policy", "linear", "--members", "256", "--episodes", "4"]
    command += ["--steps", str(steps), "--runs", "3", "--json", *extra]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*command, "--out", folder], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr.strip()}")
    sample = json.loads(done.stdout)
    live = sample["live_steps"]
    by_clock = max(count / wall for count, wall in zip(live, sample["wall_s"]))
    by_process = max(count / used for count, used in zip(live, sample["cpu_s"])) if "cpu_s" in sample else None
    return by_clock, by_process


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("fourfold", help="the program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a sample of Gymnasium's")
    parser.add_argument("extra", nargs="*", help="passed on to Fourfold, after --")
    given = parser.parse_args()
    rows = (
        ("car racing, no pictures", car(False), "car_racing", 1000),
        ("car racing, Gymnasium with its pictures", car(True), "car_racing", 1000),
        ("Pong, no pictures", pong(), "pong", 2000),
    )
    print("| steps a second | Gymnasium, best | Fourfold, best | Fourfold / Gymnasium, median (range) | the same per CPU second |")
    print("|---|---|---|---|---|")
    for name, step, world, steps in rows:
        ours(given.fourfold, world, steps, given.extra)  # untimed: compiles
        samples = [(theirs(step, given.seconds), ours(given.fourfold, world, steps, given.extra)) for _ in range(given.rounds)]
        ratios = sorted(mine[0] / other[0] for other, mine in samples)
        used = [mine[1] / other[1] for other, mine in samples if mine[1] is not None]
        best = [max(sample[half][0] for sample in samples) for half in range(2)]
        spread = f"{statistics.median(ratios):.0f} ({ratios[0]:.0f} to {ratios[-1]:.0f})"
        cpu = f"{statistics.median(used):.0f}" if used else "-"
        print(f"| {name} | {best[0]:,.0f} | {best[1]:,.0f} | {spread} | {cpu} |", flush=True)


main()
