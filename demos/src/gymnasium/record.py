"""Records episodes of a random policy in an environment of Gymnasium, in D4RL's layout or in Minari's.

    pip install "gymnasium[mujoco]" h5py minari
    python record.py Hopper-v5 hopper-random.hdf5 --episodes 500
    python record.py Hopper-v5 hopper/random-v0 --format minari --root data

The first is one file, the second the data set `hopper/random-v0` in the folder `data`.
"""

import argparse
import os

import gymnasium
import numpy


def episodes(name, count, seed):
    """Observations, actions, rewards, terminals and timeouts of each episode, and its last observation."""
    environment = gymnasium.make(name)
    environment.action_space.seed(seed)
    for episode in range(count):
        observation, _ = environment.reset(seed=seed + episode)
        columns = [], [], [], [], []
        over = False
        while not over:
            action = environment.action_space.sample()
            following, reward, terminal, timeout, _ = environment.step(action)
            for column, value in zip(columns, (observation, action, reward, terminal, timeout)):
                column.append(value)
            observation, over = following, terminal or timeout
        yield *columns, observation


def d4rl(arguments):
    import h5py

    columns = [[], [], [], [], []]
    for *own, _ in episodes(arguments.environment, arguments.episodes, arguments.seed):
        for column, values in zip(columns, own):
            column.extend(values)
    with h5py.File(arguments.out, "w") as file:
        names = "observations", "actions", "rewards", "terminals", "timeouts"
        for name, column in zip(names, columns):
            values = numpy.asarray(column)
            values = values.astype("f4") if values.dtype == numpy.float64 else values
            file.create_dataset(name, data=values, compression="gzip")
        file["metadata/algorithm"] = numpy.bytes_(f"random policy, seeds from {arguments.seed} on")
    print(f"{arguments.out}: {arguments.episodes} episodes, {len(columns[0])} steps")


def with_minari(arguments):
    os.environ["MINARI_DATASETS_PATH"] = os.path.abspath(arguments.root)
    import minari
    from minari.data_collector.episode_buffer import EpisodeBuffer

    buffers = []
    for number, columns in enumerate(episodes(arguments.environment, arguments.episodes, arguments.seed)):
        observations, actions, rewards, terminals, timeouts, last = columns
        buffers.append(EpisodeBuffer(
            id=number, seed=arguments.seed + number, observations=numpy.array([*observations, last]),
            actions=numpy.array(actions), rewards=rewards, terminations=terminals, truncations=timeouts,
        ))
    data = minari.create_dataset_from_buffers(
        arguments.out, buffers, env=gymnasium.make(arguments.environment), algorithm_name="random policy",
        data_format="hdf5",
    )
    print(f"{arguments.out}: {data.total_episodes} episodes, {data.total_steps} steps")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment")
    parser.add_argument("out")
    parser.add_argument("--episodes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=["d4rl", "minari"], default="d4rl")
    parser.add_argument("--root", default=".")
    arguments = parser.parse_args()
    (with_minari if arguments.format == "minari" else d4rl)(arguments)
