"""Train an example policy with Stable-Baselines3, export it to ONNX with its normalizer inside, and write its card.

    pip install -r examples/requirements-train.txt
    python examples/policies/train.py InvertedDoublePendulum-v5
"""

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path

import gymnasium
import numpy as np
import onnx
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from evaluate import evaluate, open_policy

CHEETAH_JOINTS = ["bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot"]

# ppo and vec_normalize are keyword arguments of those classes. the half cheetah's come from rl-baselines3-zoo,
# with its 512 steps per update spread over four environments
TASKS = {
    "HalfCheetah-v5": {
        "name": "half_cheetah",
        "steps": 1_000_000,
        "envs": 4,
        "ppo": dict(n_steps=128, batch_size=64, n_epochs=20, gamma=0.98, gae_lambda=0.92, learning_rate=2.0633e-05,
                    clip_range=0.1, ent_coef=0.000401762, vf_coef=0.58096, max_grad_norm=0.8),
        "network": dict(hidden=[256, 256], activation="ReLU", log_std_init=-2.0, ortho_init=False),
        "vec_normalize": dict(gamma=0.98, clip_obs=10.0, epsilon=1e-8),
        "observation": [f"{joint} position" for joint in ["rootz", "rooty", *CHEETAH_JOINTS]]
        + [f"{joint} velocity" for joint in ["rootx", "rootz", "rooty", *CHEETAH_JOINTS]],
        "action": [f"{joint} torque" for joint in CHEETAH_JOINTS],
    },
    "InvertedDoublePendulum-v5": {
        "name": "inverted_double_pendulum",
        "steps": 300_000,
        "envs": 8,
        "ppo": dict(n_steps=128, batch_size=128, n_epochs=10, gamma=0.98, gae_lambda=0.9, learning_rate=3e-4,
                    clip_range=0.2, ent_coef=0.0, vf_coef=0.5, max_grad_norm=0.5),
        "network": dict(hidden=[64, 64], activation="Tanh", log_std_init=0.0, ortho_init=True),
        "vec_normalize": dict(gamma=0.98, clip_obs=10.0, epsilon=1e-8),
        "observation": ["slider position", "sin hinge", "sin hinge2", "cos hinge", "cos hinge2", "slider velocity",
                        "hinge velocity", "hinge2 velocity", "slider constraint force"],
        "action": ["slider force"],
    },
}
PACKAGES = ["torch", "stable-baselines3", "gymnasium", "mujoco", "numpy", "onnx", "onnxscript", "onnxruntime"]
OPSET = 18
CHECK_TOLERANCE = 1e-5
EPISODES, FIRST_SEED = 20, 1000

console = Console()


class Bar(BaseCallback):
    """Progress bar with the mean return of the last 100 training episodes."""

    def __init__(self, progress, steps):
        super().__init__()
        self.progress = progress
        self.row = progress.add_task("training", total=steps, mean="")

    def _on_step(self):
        self.progress.update(self.row, completed=self.num_timesteps)
        return True

    def _on_rollout_end(self):
        if self.model.ep_info_buffer:
            mean = np.mean([episode["r"] for episode in self.model.ep_info_buffer])
            self.progress.update(self.row, mean=f"return {mean:.0f}")


class Actor(torch.nn.Module):
    """obs [batch, n] -> actions [batch, m]: normalize, clip, mean network, clip to the action range."""

    def __init__(self, model, normalizer):
        super().__init__()
        policy, space = model.policy, model.action_space
        deviation = np.sqrt(normalizer.obs_rms.var + normalizer.epsilon)
        self.register_buffer("mean", torch.as_tensor(normalizer.obs_rms.mean, dtype=torch.float32))
        self.register_buffer("deviation", torch.as_tensor(deviation, dtype=torch.float32))
        self.clip_obs = normalizer.clip_obs
        self.network = torch.nn.Sequential(*policy.mlp_extractor.policy_net, policy.action_net)
        # scalar limits keep the graph to one Clip; every task here has the same range on all its actions
        self.low, self.high = action_range(space)

    def forward(self, obs):
        normalized = torch.clamp((obs - self.mean) / self.deviation, -self.clip_obs, self.clip_obs)
        return torch.clamp(self.network(normalized), self.low, self.high)


def action_range(space):
    """The (low, high) that all actions of the space share."""
    low, high = np.unique(space.low), np.unique(space.high)
    if len(low) != 1 or len(high) != 1:
        raise SystemExit(f"action range differs between actions: low {space.low}, high {space.high}, expected one "
                         f"range")
    return float(low[0]), float(high[0])


def train(env_id, task, steps, seed):
    """The trained PPO model and its VecNormalize."""
    torch.set_num_threads(1)
    envs = VecNormalize(make_vec_env(env_id, n_envs=task["envs"], seed=seed), **task["vec_normalize"])
    network = task["network"]
    policy = dict(net_arch=network["hidden"], activation_fn=getattr(torch.nn, network["activation"]),
                  log_std_init=network["log_std_init"], ortho_init=network["ortho_init"])
    model = PPO("MlpPolicy", envs, seed=seed, device="cpu", policy_kwargs=policy, **task["ppo"])
    columns = [TextColumn(env_id), BarColumn(), TextColumn("{task.completed:,}/{task.total:,} steps"),
               TextColumn("{task.fields[mean]}"), TimeElapsedColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=console) as progress:
        model.learn(steps, callback=Bar(progress, steps))
    return model, envs


def export(model, normalizer, path):
    """Write the deterministic policy, normalizer included, as one float32 ONNX file with a symbolic batch."""
    actor = Actor(model, normalizer).eval()
    example = torch.zeros(2, model.observation_space.shape[0])
    torch.onnx.export(actor, (example,), path, input_names=["obs"], output_names=["actions"], opset_version=OPSET,
                      dynamic_shapes={"obs": {0: torch.export.Dim("batch")}}, external_data=False, dynamo=True,
                      verbose=False)


def check(model, normalizer, env_id, path, seed, count=1000):
    """Largest |file - Stable-Baselines3| over `count` rolled-out and `count` random observations."""
    space = model.observation_space
    generator = np.random.default_rng(seed)
    # four deviations wide, so that some values pass the normalizer's clip after the tenfold stretch below
    random = normalizer.obs_rms.mean + 4 * np.sqrt(normalizer.obs_rms.var) * generator.standard_normal(
        (count, *space.shape)
    )
    random[::10] *= 10
    rolled_out = []
    envs = make_vec_env(env_id, n_envs=1, seed=seed)
    observation = envs.reset()
    for _ in range(count):
        rolled_out.append(observation[0])
        actions, _ = model.predict(normalizer.normalize_obs(observation), deterministic=True)
        observation, _, _, _ = envs.step(actions)
    envs.close()

    session, _ = open_policy(path)
    observations = np.concatenate([rolled_out, random]).astype(np.float32)
    expected, _ = model.predict(normalizer.normalize_obs(observations), deterministic=True)
    (found,) = session.run(["actions"], {"obs": observations})
    return float(np.abs(found - expected).max())


def describe(path, metadata):
    """Put `metadata` into the ONNX file's metadata_props, and drop the exporter's notes on each node."""
    model = onnx.load(path)
    # the notes are stack traces with the paths of the machine that exported
    for item in [*model.graph.node, *model.graph.initializer, *model.graph.value_info, model.graph]:
        del item.metadata_props[:]
    onnx.helper.set_model_props(model, {key: str(value) for key, value in metadata.items()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def control_period(env_id):
    """Seconds between two actions."""
    env = gymnasium.make(env_id)
    period = float(env.unwrapped.dt)
    env.close()
    return period


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--steps", type=int, help="environment steps (default: the task's own)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of the two files")
    args = parser.parse_args()
    if not args.out.is_dir():
        parser.error(f"no such folder: {args.out}")
    env_id, task = args.task, TASKS[args.task]
    steps = task["steps"] if args.steps is None else args.steps
    if steps < 1:
        parser.error(f"--steps is {steps}, expected at least 1")
    path, card_path = (args.out / (task["name"] + suffix) for suffix in (".onnx", ".json"))

    start = time.perf_counter()
    model, normalizer = train(env_id, task, steps, args.seed)
    seconds = time.perf_counter() - start

    export(model, normalizer, path)
    difference = check(model, normalizer, env_id, path, args.seed)
    console.print(f"largest difference from Stable-Baselines3: {difference:.2e}")
    if not difference < CHECK_TOLERANCE:
        raise SystemExit(f"{path}: actions differ from Stable-Baselines3 by {difference:.2e}, expected below "
                         f"{CHECK_TOLERANCE}")

    returns = [round(value, 2) for value in evaluate(path, env_id, EPISODES, FIRST_SEED)]
    mean, deviation = round(float(np.mean(returns)), 2), round(float(np.std(returns)), 2)
    console.print(f"return {mean:.1f}, std {deviation:.1f} over {EPISODES} episodes, trained in {seconds:.0f} s")

    low, high = action_range(model.action_space)
    describe(path, {"algorithm": "PPO", "env": env_id, "seed": args.seed, "steps": model.num_timesteps,
                    "observation_size": len(task["observation"]), "action_low": low, "action_high": high,
                    "mean_return": mean})
    card = {
        "file": path.name,
        "env": env_id,
        "algorithm": "PPO",
        "command": f"python examples/policies/train.py {env_id} --steps {steps} --seed {args.seed}",
        "seed": args.seed,
        "steps": model.num_timesteps,
        "train_seconds": round(seconds),
        "control_period": control_period(env_id),
        # null: unbounded
        "observation": {"name": "obs", "size": len(task["observation"]),
                        "terms": [{"name": name, "low": None, "high": None} for name in task["observation"]]},
        "action": {"name": "actions", "size": len(task["action"]),
                   "terms": [{"name": name, "low": low, "high": high} for name in task["action"]]},
        "hyper_parameters": {key: task[key] for key in ("envs", "ppo", "network", "vec_normalize")},
        "versions": {package: version(package) for package in PACKAGES},
        "export": {"opset": OPSET, "largest_difference": difference},
        "evaluation": {"runtime": "onnxruntime", "episodes": EPISODES, "mean_return": mean, "std_return": deviation,
                       "returns": [{"seed": FIRST_SEED + i, "return": value} for i, value in enumerate(returns)]},
    }
    card_path.write_text(json.dumps(card, indent=1) + "\n")
    console.print(f"wrote {path} and {card_path}")


if __name__ == "__main__":
    main()
