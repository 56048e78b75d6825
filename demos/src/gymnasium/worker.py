# Environments by name, Gymnasium's and pybullet's. A lane begins with a seed.

NAME, LANES = sys.argv[1], int(sys.argv[2])

if "BulletEnv" in NAME:
    # pybullet's environments are older than Gymnasium: they need its predecessor.
    PACKAGES = ("gym", "pybullet")
    try:
        import gym as library
        import pybullet_envs  # registers them
    except ImportError as error:
        missing(error, '"gym==0.19.0" pybullet')
else:
    PACKAGES = ("gymnasium", "mujoco")
    try:
        import gymnasium as library
    except ImportError as error:
        missing(error, '"gymnasium[mujoco]"')


class Predecessor:
    """An environment of gym 0.19 as Gymnasium has it: a seed for each reset, and time that is up apart from an end."""

    def __init__(self, environment):
        self.environment, self.spec = environment, environment.spec
        self.action_space = environment.action_space

    def reset(self, seed):
        self.environment.seed(seed)
        return self.environment.reset(), {}

    def step(self, action):
        observation, reward, done, information = self.environment.step(action)
        is_up = bool(information.get("TimeLimit.truncated"))
        return observation, reward, done and not is_up, is_up, information


def make(name):
    try:
        environment = library.make(name)
    except ImportError as error:
        refuse(f"{name} needs the Python package `{error.name}`, which is missing from {sys.executable}: "
               "pip install \"gymnasium[mujoco]\"")
    except library.error.DependencyNotInstalled as error:
        refuse(f"{name} needs a Python package that is missing from {sys.executable} "
               f"(pip install \"gymnasium[mujoco]\"): {' '.join(str(error).split())}")
    except library.error.Error as error:
        refuse(f"{library.__name__} has no environment `{name}`: {' '.join(str(error).split())}")
    return Predecessor(environment) if library.__name__ == "gym" else environment


def flat(observation):
    """All numbers of an observation; those of a dictionary in the order of its keys, those of a tuple in its own."""
    if isinstance(observation, tuple):
        return numpy.concatenate([flat(element) for element in observation])
    if isinstance(observation, dict):
        return numpy.concatenate([flat(observation[key]) for key in sorted(observation)])
    return numpy.asarray(observation, dtype="<f4").ravel()


def main():
    environments = [make(NAME) for _ in range(LANES)]
    space = environments[0].action_space
    if isinstance(space, library.spaces.Discrete):
        choices, width, first = True, int(space.n), int(getattr(space, "start", 0))
    elif isinstance(space, library.spaces.Box):
        choices, width = False, int(numpy.prod(space.shape))
    else:
        refuse(f"{NAME} has actions of another kind than numbers or choices: {space}")
    observations = len(flat(environments[0].reset(seed=0)[0]))
    limit = environments[0].spec.max_episode_steps or 0

    def reset(lane):
        return flat(environments[lane].reset(seed=int(words(1)[0]))[0])

    def step(lane, action):
        if choices:
            action = first + int(action[0])
        else:
            action = numpy.clip(action.astype(space.dtype).reshape(space.shape), space.low, space.high)
        observation, reward, terminated, truncated, _ = environments[lane].step(action)
        return flat(observation), reward, 1 if terminated else 2 if truncated else 0

    serve(LANES, observations, choices, width, limit, PACKAGES, reset, step)


main()
