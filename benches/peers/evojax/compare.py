"""Runs evojax and `fourfold bench rollout` turn and turn about on the same rollouts, and prints a table in markdown.

    cargo build --release
    venv/bin/python benches/peers/evojax/compare.py target/release/fourfold [--rounds 9] [--json FILE]

The python that runs this must have what `requirements.txt` lists. Each round times evojax and then Fourfold, and gives a ratio; evojax runs in one
process throughout, so that it compiles once, and Fourfold in a fresh one each round, whose own warm-up is not timed.

Fourfold is called as

    fourfold bench rollout --policy NAME [--hidden N] --members N --episodes N [--alive] --steps N --runs N --json --out FOLDER

and must print a JSON object with `lane_steps`, and with lists of a number for each run, `live_steps` and `wall_s`; `cpu_s` as well
where the process can tell. `--alive` means the same for both: easy starts, a population around zero with deviation 0.001. Without it: hard starts,
deviation 0.082. The folder is a temporary one. What comes after `--` is passed on to Fourfold.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

# Name of the row and the arguments, which both understand. Hard starts need many episodes: the members share them, and each
# decides by itself how long the lanes live.
ROWS = (
    (
        "attention neuron, 256 members, all live",
        ["--policy", "attention-neuron", "--hidden", "64", "--members", "256", "--episodes", "1", "--alive"],
    ),
    (
        "attention neuron, 64 members x 16 hard starts",
        ["--policy", "attention-neuron", "--hidden", "64", "--members", "64", "--episodes", "16"],
    ),
    ("linear, 256 members, all live", ["--policy", "linear", "--members", "256", "--episodes", "1", "--alive"]),
)


class Evojax:
    """`rollout.py --serve`: a process that answers each line with the figures of some runs."""

    def __init__(self, arguments):
        script = Path(__file__).with_name("rollout.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), "--serve", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def sample(self):
        try:
            self.process.stdin.write("run\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            sys.exit("rollout.py ended early: run it by itself to see why, with the same arguments")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Fourfold:
    def __init__(self, command):
        self.command = command

    def sample(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([*self.command, "--out", folder], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(self.command)} ended with {done.returncode}:\n{done.stderr.strip()}")
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            sys.exit(f"{' '.join(self.command)} was to print one JSON object, but printed:\n{done.stdout.strip()[:500]}")

    def close(self):
        pass


def rates(sample):
    """Lane steps and live steps a second, each in the fastest run of a round and in the median one."""
    wall, lanes = sample["wall_s"], sample["lane_steps"]
    live = sorted(live / seconds for live, seconds in zip(sample["live_steps"], wall))
    return {
        "lane_best": lanes / min(wall),
        "lane_median": lanes / statistics.median(wall),
        "live_best": live[-1],
        "live_median": statistics.median(live),
        "cpu": lanes / min(sample["cpu_s"]) if "cpu_s" in sample else None,
        "live_share": sum(sample["live_steps"]) / (lanes * len(wall)),
    }


def millions(value):
    return "-" if value is None else f"{value / 1e6:.3f}"


def compare(row, arguments, given, log):
    shared = [*arguments, "--steps", str(given.steps), "--runs", str(given.runs)]
    halves = {
        "evojax": Evojax(shared),
        "Fourfold": Fourfold([given.fourfold, "bench", "rollout", *shared, "--json", *given.extra]),
    }
    samples = {name: [] for name in halves}
    for half in halves.values():
        half.sample()  # untimed: compiles, and warms caches
    for _ in range(given.rounds):
        for name, half in halves.items():
            sample = half.sample()
            samples[name].append(rates(sample))
            if log:
                log.write(json.dumps({"row": row, "half": name, **sample}) + "\n")
    for half in halves.values():
        half.close()

    column = lambda name, key: [sample[key] for sample in samples[name]]
    for name in halves:
        cpu = [value for value in column(name, "cpu") if value is not None]
        print(
            f"| {row} | {name} | {millions(max(column(name, 'lane_best')))} / {millions(statistics.median(column(name, 'lane_median')))}"
            f" | {millions(max(column(name, 'live_best')))} / {millions(statistics.median(column(name, 'live_median')))}"
            f" | {statistics.median(column(name, 'live_share')):.0%} | {millions(max(cpu) if cpu else None)} |"
        )
    ratios = {}
    for kind in ("lane", "live"):
        pairs = [ours / theirs for ours, theirs in zip(column("Fourfold", f"{kind}_best"), column("evojax", f"{kind}_best"))]
        best = max(column("Fourfold", f"{kind}_best")) / max(column("evojax", f"{kind}_best"))
        ratios[kind] = f"{best:.2f} / {statistics.median(pairs):.2f} ({min(pairs):.2f} to {max(pairs):.2f})"
    print(f"| {row} | **Fourfold / evojax** | {ratios['lane']} | {ratios['live']} | | |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fourfold", help="the built command")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each half in a round")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--row", default="", help="only the rows whose name contains this")
    parser.add_argument("--json", help="also write each sample to this file, a line each")
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    given = parser.parse_args(arguments[:cut])
    given.extra = arguments[cut + 1 :]

    print("| rollout | | lane steps, 10^6/s, best / median | live steps, 10^6/s, best / median | live | lane steps per CPU second, 10^6 |")
    print("|---|---|---|---|---|---|")
    log = open(given.json, "w") if given.json else None
    for row, shared in ROWS:
        if given.row in row:
            compare(row, shared, given, log)
    if log:
        log.close()


if __name__ == "__main__":
    main()
