"""Steps environments of Gymnasium for `fourfold dt train`: commands come through the standard input, answers go out
through the standard output, all little-endian.

    python -c SCRIPT ENVIRONMENT LANES

First goes a greeting: the bytes `4FLD`, the number of observations, 0 and the numbers of an action or 1 and the number
of choices, the steps after which time is up (0: never) (four u32), and the versions of what runs (a u32 of length, then
UTF-8). Then for each command:

    `R`, a seed for each lane (u32)          -> observations (lanes, observations) f32
    `S`, which lanes go on (lanes bytes),
         actions (lanes, numbers) f32        -> observations, rewards (lanes) f64, ends (lanes bytes)

The number of a choice is sent as an f32. An end is 1 if the episode terminated, 2 if its time was up, 0 if it goes on.
"""

import os
import sys

# Packages may print: what is meant for people goes where people look.
answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
commands = sys.stdin.buffer

# What a user can mend is told in one sentence, with this exit code.
USER_ERROR = 3


def refuse(sentence):
    print(sentence, file=sys.stderr, flush=True)
    os._exit(USER_ERROR)


try:
    import gymnasium
    import numpy
except ImportError as error:
    refuse(f"the Python package `{error.name}` is missing from {sys.executable}: pip install \"gymnasium[mujoco]\"")


def package_version(name):
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return None


def make(name):
    try:
        return gymnasium.make(name)
    except ImportError as error:
        refuse(f"{name} needs the Python package `{error.name}`, which is missing from {sys.executable}: "
               "pip install \"gymnasium[mujoco]\"")
    except gymnasium.error.DependencyNotInstalled as error:
        refuse(f"{name} needs a Python package that is missing from {sys.executable} "
               f"(pip install \"gymnasium[mujoco]\"): {' '.join(str(error).split())}")
    except gymnasium.error.Error as error:
        refuse(f"Gymnasium has no environment `{name}`: {' '.join(str(error).split())}")


def flat(observation):
    """All numbers of an observation; those of a dictionary in the order of its keys, those of a tuple in its own."""
    if isinstance(observation, tuple):
        return numpy.concatenate([flat(element) for element in observation])
    if isinstance(observation, dict):
        return numpy.concatenate([flat(observation[key]) for key in sorted(observation)])
    return numpy.asarray(observation, dtype="<f4").ravel()


def exactly(count):
    """The next bytes of the standard input; ends the process where there are no more."""
    data = commands.read(count)
    if len(data) < count:
        os._exit(0)
    return data


def numbers(*values):
    return numpy.array(values, dtype="<u4").tobytes()


def main():
    name, lanes = sys.argv[1], int(sys.argv[2])
    environments = [make(name) for _ in range(lanes)]
    space = environments[0].action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        choices, width = True, int(space.n)
    elif isinstance(space, gymnasium.spaces.Box):
        choices, width = False, int(numpy.prod(space.shape))
    else:
        refuse(f"{name} has actions of another kind than numbers or choices: {space}")
    observations, _ = environments[0].reset(seed=0)
    observations = len(flat(observations))
    limit = environments[0].spec.max_episode_steps or 0
    versions = [package_version(package) for package in ("gymnasium", "mujoco")]
    versions = ", ".join([version for version in versions if version] + [f"Python {sys.version.split()[0]}"])
    text = versions.encode()
    answers.write(b"4FLD" + numbers(observations, choices, width, limit, len(text)) + text)
    answers.flush()

    seen = numpy.zeros((lanes, observations), dtype="<f4")
    while True:
        command = exactly(1)
        if command == b"R":
            seeds = numpy.frombuffer(exactly(4 * lanes), dtype="<u4")
            for lane, environment in enumerate(environments):
                seen[lane] = flat(environment.reset(seed=int(seeds[lane]))[0])
            answers.write(seen.tobytes())
        elif command == b"S":
            going = exactly(lanes)
            size = 1 if choices else width
            actions = numpy.frombuffer(exactly(4 * lanes * size), dtype="<f4").reshape(lanes, size)
            rewards, ends = numpy.zeros(lanes, dtype="<f8"), bytearray(lanes)
            for lane, environment in enumerate(environments):
                if not going[lane]:
                    continue
                if choices:
                    action = int(space.start) + int(actions[lane, 0])
                else:
                    action = actions[lane].astype(space.dtype).reshape(space.shape)
                    action = numpy.clip(action, space.low, space.high)
                observation, rewards[lane], terminated, truncated, _ = environment.step(action)
                seen[lane] = flat(observation)
                ends[lane] = 1 if terminated else 2 if truncated else 0
            answers.write(seen.tobytes() + rewards.tobytes() + bytes(ends))
        else:
            raise ValueError(f"no such command: {command}")
        answers.flush()


main()
