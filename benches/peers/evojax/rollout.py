"""Times evojax rolling out a population on the cart-pole swing-up, on the CPU or on a GPU.

Made with Python 3.11.7, evojax 0.2.17 and jax 0.10.2. To run:

    python3 -m venv venv && venv/bin/pip install -r benches/peers/evojax/requirements.txt
    venv/bin/python benches/peers/evojax/rollout.py [--alive] [--policy linear] [--runs 5]

What is timed is `SimManager.eval_params`, which evojax's trainer calls once a generation: resets of the task and of the policy,
and `--steps` steps of policy, physics and masking for all lanes (members x episodes). The first call, which compiles, is not timed.
The members are PGPE's first population, with the settings that evojax publishes for the permutation-invariant policy.

It prints one JSON object; with `--serve`, one for each line that it is sent, as `compare.py` needs it.

    lane_steps     lanes x steps: evojax computes them all, whether or not a lane's episode has ended
    live_steps     a list with a number for each run: those before the end of the lane's first episode, which alone count for the fitness
    wall_s, cpu_s  lists with a number for each run; CPU seconds are those of all threads of this process

All members of a generation share the starts of their episodes. Hard starts are so wild that with one episode a member
one draw decides whether all lanes live for 30 steps or for 1,000, hence `--alive`: easy starts and a small deviation, with which nearly
all lanes last to the end, so that lane steps and live steps are nearly the same.
"""

import argparse
import json
import logging
import sys
import time

import flax.linen
import jax
import numpy
from evojax.algo import PGPE
from evojax.policy import MLPPolicy, PermutationInvariantPolicy
from evojax.policy.base import PolicyNetwork
from evojax.sim_mgr import SimManager
from evojax.task.base import TaskState
from evojax.task.cartpole import CartPoleSwingUp
from evojax.util import get_params_format_fn


class LinearPolicy(PolicyNetwork):
    """tanh(W o + b), which evojax has no class for."""

    def __init__(self, inputs, outputs):
        model = flax.linen.Dense(outputs)
        parameters = model.init(jax.random.PRNGKey(0), jax.numpy.ones([1, inputs]))
        self.num_params, format_parameters = get_params_format_fn(parameters)
        self._format = jax.vmap(format_parameters)
        self._forward = jax.vmap(lambda p, x: jax.numpy.tanh(model.apply(p, x)))

    def get_actions(self, t_states: TaskState, params, p_states):
        return self._forward(self._format(params), t_states.obs), p_states


def policy_of(name, hidden):
    if name == "attention-neuron":
        return PermutationInvariantPolicy(act_dim=1, hidden_dim=hidden)
    if name == "perceptron":
        return MLPPolicy(input_dim=5, hidden_dims=[hidden, hidden], output_dim=1)
    return LinearPolicy(5, 1)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="attention-neuron", choices=["attention-neuron", "perceptron", "linear"])
    parser.add_argument("--hidden", type=int, default=64, help="messages of the attention neuron, width of the perceptron's two layers")
    parser.add_argument("--members", type=int, default=256)
    parser.add_argument("--episodes", type=int, default=1, help="of each member")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--alive", action="store_true", help="nearly all lanes last to the end: easy starts, deviation 0.001")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--jit", action="store_true", help="wrap the whole rollout in jax.jit, which evojax does only for several devices")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--serve", action="store_true", help="one object for each line read, until the input ends")
    return parser.parse_args()


class Bench:
    def __init__(self, given):
        self.given = given
        task = lambda test: CartPoleSwingUp(max_steps=given.steps, harder=not given.alive, test=test)
        self.policy = policy_of(given.policy, given.hidden)
        self.solver = PGPE(
            pop_size=given.members,
            param_size=self.policy.num_params,
            optimizer="adam",
            center_learning_rate=0.037,
            stdev_learning_rate=0.078,
            init_stdev=0.001 if given.alive else 0.082,
            seed=given.seed,
        )
        self.manager = SimManager(
            n_repeats=given.episodes,
            test_n_repeats=1,
            pop_size=given.members,
            n_evaluations=100,
            policy_net=self.policy,
            train_vec_task=task(False),
            valid_vec_task=task(True),
            seed=given.seed,
            logger=logging.getLogger("rollout"),
        )
        rollout = self.manager._train_rollout_fn
        if given.jit:
            rollout = jax.jit(rollout)

        # The masks say how many steps were live, and evojax computes them in any case: here they are only kept.
        def keeping_masks(*arguments):
            scores, observations, masks, states = rollout(*arguments)
            self.masks = masks
            return scores, observations, masks, states

        self.manager._train_rollout_fn = keeping_masks
        self.parameters = self.solver.ask()
        start = time.perf_counter()
        self.run()
        self.first_s = time.perf_counter() - start

    def run(self):
        wall, cpu = time.perf_counter(), time.process_time()
        scores, _ = self.manager.eval_params(params=self.parameters, test=False)
        jax.block_until_ready(scores)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        # A mask is that after a step; before the first one all lanes are live.
        live = self.masks.shape[1] + int(self.masks[:-1].sum())
        return wall, cpu, live, float(numpy.mean(scores))

    def report(self):
        given = self.given
        runs = [self.run() for _ in range(given.runs)]
        return {
            "library": f"evojax on jax {jax.__version__}, {jax.devices()[0].platform}",
            "policy": given.policy,
            "hidden": given.hidden,
            "parameters": int(self.policy.num_params),
            "members": given.members,
            "episodes": given.episodes,
            "steps": given.steps,
            "alive": given.alive,
            "lane_steps": given.members * given.episodes * given.steps,
            "live_steps": [live for _, _, live, _ in runs],
            "wall_s": [wall for wall, _, _, _ in runs],
            "cpu_s": [cpu for _, cpu, _, _ in runs],
            "mean_return": [score for _, _, _, score in runs],
            "first_call_s": self.first_s,
        }


def main():
    given = arguments()
    bench = Bench(given)
    if given.serve:
        for _ in sys.stdin:
            print(json.dumps(bench.report()), flush=True)
    else:
        print(json.dumps(bench.report()))


if __name__ == "__main__":
    main()
