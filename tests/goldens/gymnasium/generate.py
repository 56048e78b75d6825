"""Writes the golden files of this folder: whole episodes of Gymnasium's classic control, and of the cart-pole swing-up.

Made with Python 3.11.7, gymnasium 1.4.0, numpy 2.4.6, safetensors 0.8.0. To run:

    python3 -m venv venv && venv/bin/pip install gymnasium numpy safetensors
    venv/bin/python tests/goldens/gymnasium/generate.py [FOLDER]

Starting states and continuous actions are rounded to float32, so that float32 and float64 start from the same place and
are pushed alike. Everything else is what Gymnasium computes, in float64, but for `mountain_car_continuous`: see `widened`.
"""

import inspect
import json
import math
import sys
import types
from pathlib import Path

import gymnasium
import numpy
import safetensors.numpy
from gymnasium.envs.classic_control import continuous_mountain_car


def float32_exact(values):
    """The nearest values that float32 can hold, as float64."""
    return numpy.asarray(values, dtype=numpy.float32).astype(numpy.float64)


def congruential(seed, count):
    """Pseudo-random integers below `count`: x <- 1664525 x + 1013904223 mod 2^32, of which the upper half counts."""
    state = seed
    while True:
        state = (1664525 * state + 1013904223) % 2**32
        yield (state >> 16) % count


# --- Episodes --------------------------------------------------------------------------------------------------------


class Episode:
    """What happened, a row a step; states and observations have one row more, the first."""

    def __init__(self, state, observation):
        self.states, self.observations = [state], [observation]
        self.actions, self.rewards, self.terminated, self.truncated = [], [], [], []

    def step(self, action, state, observation, reward, terminated, truncated):
        self.actions.append(action)
        self.states.append(state)
        self.observations.append(observation)
        self.rewards.append(reward)
        self.terminated.append(terminated)
        self.truncated.append(truncated)

    def ended(self):
        return self.terminated[-1] or self.truncated[-1]

    def tensors(self):
        discrete = isinstance(self.actions[0], int)
        observations = numpy.array(self.observations, dtype=numpy.float32)
        # Where the observation is the state in float32, it says nothing that the state does not.
        is_state = numpy.array_equal(observations, numpy.array(self.states).astype(numpy.float32))
        return ({} if is_state else {"observation": observations}) | {
            "state": numpy.array(self.states, dtype=numpy.float64),
            "action": numpy.array(self.actions, dtype=numpy.uint32 if discrete else numpy.float64),
            "reward": numpy.array(self.rewards, dtype=numpy.float64),
            "terminated": numpy.array(self.terminated, dtype=numpy.uint8),
            "truncated": numpy.array(self.truncated, dtype=numpy.uint8),
        }


def observe(environment):
    """The observation of the state that the environment is in, by its own function where it has one."""
    for name in ("_get_obs", "_get_ob"):
        if hasattr(environment, name):
            return getattr(environment, name)()
    return numpy.array(environment.state, dtype=numpy.float32)


def play(environment, start, rule):
    """One episode from `start`. `rule(t, state)` gives an int, or a float that is rounded to float32."""
    inner = environment.unwrapped
    environment.reset(seed=0)
    inner.state = float32_exact(start)
    episode = Episode(inner.state, observe(inner))
    while True:
        action = rule(len(episode.rewards), numpy.asarray(inner.state, dtype=numpy.float64))
        if isinstance(action, int):
            given = action
        else:
            action = float(float32_exact(action))
            given = numpy.array([action])
        observation, reward, terminated, truncated, _ = environment.step(given)
        episode.step(action, numpy.array(inner.state, dtype=numpy.float64), observation, reward, terminated, truncated)
        if episode.ended():
            return episode


def start_of(identity, seed):
    """The state that the environment's own reset draws with a seed."""
    environment = gymnasium.make(identity, disable_env_checker=True)
    environment.reset(seed=seed)
    return numpy.array(environment.unwrapped.state, dtype=numpy.float64)


def pseudo_random(seed, count):
    numbers = congruential(seed, count)
    return lambda t, state: next(numbers)


DTYPES = {"float64": "F64", "float32": "F32", "uint32": "U32", "uint8": "U8"}


def serialize(tensors, metadata):
    """The safetensors format, written out here since the library orders the metadata by chance.

    Wide elements come first, so that each tensor is aligned to its element.
    """
    header, offset, data = {"__metadata__": metadata}, 0, []
    for name, value in sorted(tensors.items(), key=lambda item: -item[1].itemsize):
        end = offset + value.nbytes
        header[name] = {"dtype": DTYPES[str(value.dtype)], "shape": list(value.shape), "data_offsets": [offset, end]}
        data.append(value.tobytes())
        offset = end
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + b"".join(data)


def write(file, episodes, metadata, extra=None):
    tensors = dict(extra or {})
    for name, episode in episodes.items():
        for tensor, values in episode.tensors().items():
            tensors[f"{name}.{tensor}"] = values
        cause = "terminated" if episode.terminated[-1] else "truncated"
        print(f"{file.stem:24} {name:14} {len(episode.rewards):4} steps, {cause}, return {math.fsum(episode.rewards):.9g}")
    metadata = {"episodes": json.dumps(list(episodes)), **metadata}
    file.write_bytes(serialize(tensors, metadata))
    safetensors.numpy.load_file(file)  # the library must read what was written


def made_with():
    return f"gymnasium {gymnasium.__version__}, numpy {numpy.__version__}"


# --- The environments of Gymnasium -----------------------------------------------------------------------------------


def write_cart_pole(folder):
    environment = gymnasium.make("CartPole-v1", disable_env_checker=True)
    first = start_of("CartPole-v1", 1)

    def lean(target):
        """Keeps the pole at an angle; leaning makes the cart run away below it."""
        return lambda t, s: int(s[2] - target + 0.3 * s[3] > 0)

    rules = {
        "random": (first, pseudo_random(1, 2)),
        "left": (start_of("CartPole-v1", 2), lambda t, s: 0),
        "right": (start_of("CartPole-v1", 3), lambda t, s: 1),
        "balance": (start_of("CartPole-v1", 4), lambda t, s: int(s[2] + 0.3 * s[3] + 0.03 * s[0] + 0.1 * s[1] > 0)),
        "off_the_right": (start_of("CartPole-v1", 5), lean(0.1)),
        "off_the_left": (start_of("CartPole-v1", 6), lean(-0.1)),
    }
    episodes = {name: play(environment, start, rule) for name, (start, rule) in rules.items()}
    assert episodes["balance"].truncated[-1] and not episodes["balance"].terminated[-1]
    assert episodes["off_the_right"].states[-1][0] > 2.4 and episodes["off_the_left"].states[-1][0] < -2.4
    fall = 12 * 2 * math.pi / 360
    assert episodes["left"].states[-1][2] > fall and episodes["right"].states[-1][2] < -fall
    metadata = {
        "made_with": made_with(),
        "random": "congruential(1), 2 actions",
        "left": "action 0",
        "right": "action 1",
        "balance": "1 if theta + 0.3 theta_dot + 0.03 x + 0.1 x_dot > 0",
        "off_the_right": "1 if theta - 0.1 + 0.3 theta_dot > 0",
        "off_the_left": "1 if theta + 0.1 + 0.3 theta_dot > 0",
    }
    write(folder / "cart_pole.safetensors", episodes, metadata)


def write_pendulum(folder):
    environment = gymnasium.make("Pendulum-v1", disable_env_checker=True)
    rules = {
        "sine": (start_of("Pendulum-v1", 1), lambda t, s: 2 * math.sin(0.1 * t)),
        "beyond": (start_of("Pendulum-v1", 2), lambda t, s: 5 * math.sin(0.07 * t)),
        "spin_up": ((-3.0, -0.7), lambda t, s: 2.0 if s[1] >= 0 else -2.0),
        "spin_down": ((3.0, 0.5), lambda t, s: 2.0 if s[1] >= 0 else -2.0),
    }
    episodes = {name: play(environment, start, rule) for name, (start, rule) in rules.items()}
    for name, sign in (("spin_up", 1), ("spin_down", -1)):
        states = sign * numpy.array(episodes[name].states)
        # The speed limit is met, and the angle has been several times round.
        assert states[:, 1].max() == 8 and states[-1, 0] > 6 * math.pi, (name, states[:, 1].max(), states[-1, 0])
    metadata = {
        "made_with": made_with(),
        "sine": "2 sin(0.1 t)",
        "beyond": "5 sin(0.07 t), beyond the torque limit",
        "spin_up": "2 in the direction of the speed",
        "spin_down": "2 in the direction of the speed",
    }
    write(folder / "pendulum.safetensors", episodes, metadata)


def write_acrobot(folder):
    environment = gymnasium.make("Acrobot-v1", disable_env_checker=True)
    rules = {
        "random": (start_of("Acrobot-v1", 1), pseudo_random(2, 3)),
        "pump": (start_of("Acrobot-v1", 2), lambda t, s: 2 if s[3] >= 0 else 0),
        "against": (start_of("Acrobot-v1", 3), lambda t, s: 0 if s[2] >= 0 else 2),
        "whirl_up": ((-1.0, -3.0, 3.0, -27.0), lambda t, s: 2),
        "whirl_down": ((1.0, 3.0, -3.0, 27.0), lambda t, s: 0),
    }
    episodes = {name: play(environment, start, rule) for name, (start, rule) in rules.items()}
    states = numpy.concatenate([numpy.array(e.states[1:]) for e in episodes.values()])
    # Both velocity limits are met from either side, and both angles wrap: they jump by nearly 2 pi.
    for column, limit in ((2, 4 * math.pi), (3, 9 * math.pi)):
        assert states[:, column].max() == limit and states[:, column].min() == -limit
    for column in (0, 1):
        assert any(numpy.abs(numpy.diff(numpy.array(e.states)[:, column])).max() > 5 for e in episodes.values()), column
    assert episodes["random"].truncated[-1] and episodes["pump"].terminated[-1] and episodes["against"].terminated[-1]
    metadata = {
        "made_with": made_with(),
        "random": "congruential(2), 3 actions",
        "pump": "2 if theta2_dot >= 0, else 0",
        "against": "0 if theta1_dot >= 0, else 2",
        "whirl_up": "2",
        "whirl_down": "0",
    }
    write(folder / "acrobot.safetensors", episodes, metadata)


def widened():
    """Gymnasium's own mountain car, its source text taken with float64 in the place of float32.

    As shipped it keeps its state in float32 and so computes in float32 from the second step on.
    """
    text = inspect.getsource(continuous_mountain_car)
    assert text.count("self.state = np.array([position, velocity], dtype=np.float32)") == 1
    module = types.ModuleType("widened_mountain_car")
    exec(compile(text.replace("np.float32", "np.float64"), "widened_mountain_car", "exec"), module.__dict__)
    limit = gymnasium.spec("MountainCarContinuous-v0").max_episode_steps
    return gymnasium.wrappers.TimeLimit(module.Continuous_MountainCarEnv(), limit)


def write_mountain_car_continuous(folder):
    identity = "MountainCarContinuous-v0"
    environment, shipped = widened(), gymnasium.make(identity, disable_env_checker=True)
    rules = {
        "pump": (start_of(identity, 1), lambda t, s: 1.0 if s[1] >= 0 else -1.0),
        "into_the_wall": (start_of(identity, 2), lambda t, s: -1.0 if s[0] < -0.9 or s[1] < 0 else 1.0),
        "beyond": (start_of(identity, 3), lambda t, s: 3 * math.sin(0.08 * t)),
        "sine": (start_of(identity, 4), lambda t, s: math.sin(0.1 * t)),
        "speeding_right": ((-0.6, 0.0695), lambda t, s: 1.0 if s[1] >= 0 else -1.0),
        "speeding_left": ((-0.6, -0.0695), lambda t, s: 1.0 if s[1] >= 0 else -1.0),
    }
    episodes = {name: play(environment, start, rule) for name, (start, rule) in rules.items()}
    extra, stray = {}, 0.0
    for name, episode in episodes.items():
        actions = iter(episode.actions)
        replayed = play(shipped, episode.states[0], lambda t, s: next(actions))
        assert replayed.terminated == episode.terminated and replayed.truncated == episode.truncated
        extra[f"{name}.shipped_state"] = numpy.array(replayed.states, dtype=numpy.float32)
        stray = max(stray, numpy.abs(numpy.array(replayed.states) - numpy.array(episode.states)).max())
    states = numpy.concatenate([numpy.array(e.states[1:]) for e in episodes.values()])
    at_the_wall = states[states[:, 0] == -1.2]
    assert len(at_the_wall) and (at_the_wall[:, 1] == 0).all()
    assert states[:, 1].min() == -0.07 and states[:, 1].max() == 0.07
    assert episodes["pump"].terminated[-1] and not episodes["sine"].terminated[-1]
    metadata = {
        "made_with": made_with() + "; float64 in the place of float32 in continuous_mountain_car.py",
        "shipped_stray": f"{stray:.3g}",
        "pump": "1 in the direction of the velocity",
        "into_the_wall": "-1 if position < -0.9 or velocity < 0, else 1",
        "beyond": "3 sin(0.08 t), beyond the limits",
        "sine": "sin(0.1 t)",
        "speeding_right": "1 in the direction of the velocity",
        "speeding_left": "1 in the direction of the velocity",
    }
    print("shipped float32 strays by", stray)
    write(folder / "mountain_car_continuous.safetensors", episodes, metadata, extra)


# --- Cart-pole swing-up: not Gymnasium's, transcribed from the equations in README.md ----------------------------------


class SwingUp:
    LIMIT = 1000

    @staticmethod
    def observation(state):
        x, v, theta, omega = state
        return numpy.array([x, v, math.cos(theta), math.sin(theta), omega])

    @staticmethod
    def step(state, action):
        x, v, theta, omega = state
        g, cart, pole, length, friction, dt = 9.82, 0.5, 0.5, 0.6, 0.1, 0.01
        total, moment = cart + pole, pole * length
        force = 10 * min(max(action, -1), 1)
        s, c = math.sin(theta), math.cos(theta)
        x_acceleration = (-2 * moment * omega**2 * s + 3 * pole * g * s * c + 4 * force - 4 * friction * v) / (
            4 * total - 3 * pole * c**2
        )
        theta_acceleration = (
            -3 * moment * omega**2 * s * c + 6 * total * g * s + 6 * (force - friction * v) * c
        ) / (4 * length * total - 3 * moment * c**2)
        new = numpy.array(
            [x + v * dt, v + x_acceleration * dt, theta + omega * dt, omega + theta_acceleration * dt]
        )
        reward = (math.cos(new[2]) + 1) / 2 * math.cos(new[0] / 2.4 * math.pi / 2)
        return new, reward, bool(abs(new[0]) > 2.4)

    @classmethod
    def play(cls, start, rule):
        state = float32_exact(start)
        episode = Episode(state, cls.observation(state))
        while True:
            action = float(float32_exact(rule(len(episode.rewards), state)))
            state, reward, terminated = cls.step(state, action)
            truncated = len(episode.rewards) + 1 >= cls.LIMIT
            episode.step(action, state, cls.observation(state), reward, terminated, truncated)
            if episode.ended():
                return episode


# The reference trajectory: a run of the original implementation, in float64, from (0.1, -0.2, 3, 0.5) with a_t = sin(0.1 t):
# steps taken, state, return so far.
REFERENCE = (
    (1, (0.098, -0.20790183424391484, 3.005, 0.5542018535058377), 0.004647564),
    (10, (0.0950359541007942, 0.39265472380522304, 3.026771766063036, -0.6756261122451059), 0.035138372),
    (100, (0.8511338648319209, 2.074792634227737, 3.863762528840989, -3.714434121332018), 10.237233820),
)


def check_reference():
    state, score = numpy.array([0.1, -0.2, 3.0, 0.5]), 0.0
    table = {steps: (expected, total) for steps, expected, total in REFERENCE}
    for t in range(100):
        state, reward, _ = SwingUp.step(state, math.sin(0.1 * t))
        score += reward
        if t + 1 in table:
            expected, total = table[t + 1]
            assert numpy.abs(state - expected).max() < 1e-12 and abs(score - total) < 1e-9, (t + 1, state, score)
    return {
        "reference.steps": numpy.array([steps for steps, _, _ in REFERENCE], dtype=numpy.uint32),
        "reference.state": numpy.array([expected for _, expected, _ in REFERENCE]),
        "reference.return": numpy.array([total for _, _, total in REFERENCE]),
    }


def write_cart_pole_swing_up(folder):
    generator = numpy.random.default_rng(1)
    hard = generator.uniform(-1, 1, 4) * (2.4, 10, math.pi / 2, 10) + (0, 0, math.pi, 0)
    easy = generator.normal(0, 0.2, 4) + (0, 0, math.pi, 0)

    rules = {
        "sine": ((0.1, -0.2, 3.0, 0.5), lambda t, s: math.sin(0.1 * t)),
        "hard": (hard, lambda t, s: 3 * math.sin(0.11 * t)),
        "left": (easy, lambda t, s: -1.0),
        "right": (easy, lambda t, s: 1.0),
        # A spring and a brake keep the cart on the track, so that the episode lasts.
        "held": ((0.3, 0.1, 2.5, 1.0), lambda t, s: -0.5 * s[0] - 0.3 * s[1] + 0.2 * math.sin(0.6 * t)),
    }
    episodes = {name: SwingUp.play(start, rule) for name, (start, rule) in rules.items()}
    assert episodes["held"].truncated[-1] and not episodes["held"].terminated[-1]
    assert episodes["left"].states[-1][0] < -2.4 and episodes["right"].states[-1][0] > 2.4
    metadata = {
        "made_with": f"numpy {numpy.__version__}",
        "sine": "sin(0.1 t)",
        "hard": "3 sin(0.11 t), beyond the limits",
        "left": "-1",
        "right": "1",
        "held": "-0.5 x - 0.3 v + 0.2 sin(0.6 t)",
    }
    write(folder / "cart_pole_swing_up.safetensors", episodes, metadata, check_reference())


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    write_cart_pole(folder)
    write_pendulum(folder)
    write_acrobot(folder)
    write_mountain_car_continuous(folder)
    write_cart_pole_swing_up(folder)


if __name__ == "__main__":
    main()
