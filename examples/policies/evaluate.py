"""Run an exported policy in its environment with plain onnxruntime and print the return of each episode.

    python examples/policies/evaluate.py half_cheetah.onnx --episodes 20 --seed 1000
"""

import argparse
from pathlib import Path

import gymnasium
import numpy as np
import onnxruntime


def open_policy(path):
    """The onnxruntime session of `path`, single threaded, and the metadata that train.py wrote into the file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session, session.get_modelmeta().custom_metadata_map


def evaluate(path, env_id=None, episodes=20, seed=1000):
    """Returns of `episodes` episodes; episode i starts from `env.reset(seed=seed + i)`.

    `env_id` defaults to the one in the file's metadata.
    """
    session, metadata = open_policy(path)
    env_id = env_id or metadata.get("env")
    if not env_id:
        raise SystemExit(f"{path}: metadata has no 'env'; name the environment with --env")
    env = gymnasium.make(env_id)
    found, expected = session.get_inputs()[0].shape[-1], env.observation_space.shape[0]
    if found != expected:
        raise SystemExit(f"{path}: input 'obs' has size {found}, expected {expected} for {env_id}")

    returns = []
    for episode in range(episodes):
        observation, _ = env.reset(seed=seed + episode)
        total, terminated, truncated = 0.0, False, False
        while not (terminated or truncated):
            row = observation.astype(np.float32)[None]
            (actions,) = session.run(["actions"], {"obs": row})
            observation, reward, terminated, truncated, _ = env.step(actions[0])
            total += float(reward)
        returns.append(total)
    env.close()
    return returns


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--env", help="environment id (default: the one in the file's metadata)")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1000, help="seed of the first episode")
    args = parser.parse_args()
    if not args.file.is_file():
        parser.error(f"no such file: {args.file}")
    if args.episodes < 1:
        parser.error(f"--episodes is {args.episodes}, expected at least 1")
    returns = evaluate(args.file, args.env, args.episodes, args.seed)
    for episode, value in enumerate(returns):
        print(f"seed {args.seed + episode}: {value:.1f}")
    print(f"mean {np.mean(returns):.1f}, std {np.std(returns):.1f} over {len(returns)} episodes")


if __name__ == "__main__":
    main()
