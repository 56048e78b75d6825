"""Steps environments for us: commands come through the standard input, answers go out through the standard output, all
little-endian. What follows this file makes the environments.

    python -c SCRIPT ENVIRONMENT LANES

First goes a greeting: the bytes `4FLD`, the number of observations, 0 and the numbers of an action or 1 and the number
of choices, the steps after which time is up (0: never) (four u32), and the versions of what runs (a u32 of length, then
UTF-8). Then for each command:

    `R`, what a lane begins with (u32s of
         its own) for each lane          -> observations (lanes, observations) f32
    `S`, which lanes go on (lanes bytes),
         actions (lanes, numbers) f32    -> observations, rewards (lanes) f64, ends (lanes bytes)

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


def missing(error, packages):
    refuse(f"the Python package `{error.name}` is missing from {sys.executable}: pip install {packages}")


try:
    import numpy
except ImportError as error:
    missing(error, "numpy")


def package_version(name):
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return None


def exactly(count):
    """The next bytes of the standard input; ends the process where there are no more."""
    data = commands.read(count)
    if len(data) < count:
        os._exit(0)
    return data


def words(count):
    """The next numbers of the standard input."""
    return numpy.frombuffer(exactly(4 * count), dtype="<u4")


def numbers(*values):
    return numpy.array(values, dtype="<u4").tobytes()


def serve(lanes, observations, choices, width, limit, packages, reset, step):
    """Greets, and answers commands until there are no more. `reset(lane)` reads what the lane begins with and returns what
    it observes; `step(lane, action)` returns that, the reward and the end."""
    versions = [package_version(package) for package in packages]
    text = ", ".join([version for version in versions if version] + [f"Python {sys.version.split()[0]}"]).encode()
    answers.write(b"4FLD" + numbers(observations, choices, width, limit, len(text)) + text)
    answers.flush()
    seen = numpy.zeros((lanes, observations), dtype="<f4")
    size = 1 if choices else width
    while True:
        command = exactly(1)
        if command == b"R":
            for lane in range(lanes):
                seen[lane] = reset(lane)
            answers.write(seen.tobytes())
        elif command == b"S":
            going = exactly(lanes)
            actions = numpy.frombuffer(exactly(4 * lanes * size), dtype="<f4").reshape(lanes, size)
            rewards, ends = numpy.zeros(lanes, dtype="<f8"), bytearray(lanes)
            for lane in range(lanes):
                if going[lane]:
                    seen[lane], rewards[lane], ends[lane] = step(lane, actions[lane])
            answers.write(seen.tobytes() + rewards.tobytes() + bytes(ends))
        else:
            raise ValueError(f"no such command: {command}")
        answers.flush()
