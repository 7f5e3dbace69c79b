"""Learns to balance InvertedPendulum-v5 from scratch in about a minute: pip install "gymnasium[mujoco]"."""
import efferent
import gymnasium

env = gymnasium.wrappers.ClipAction(gymnasium.make("InvertedPendulum-v5"))
learner = efferent.Learner.for_env(env, time_limit=1000, seed=1)
observation, _ = env.reset(seed=1)
for step in range(30_000):
    observation, reward, terminated, truncated, _ = env.step(learner.act(observation))
    told = learner.update(observation, reward, terminated, truncated)
    if terminated or truncated:
        observation, _ = env.reset()
        print(f"step {step}: return {told.running_return:.0f}")
