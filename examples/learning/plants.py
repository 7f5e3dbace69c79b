"""MuJoCo plants that are no longer what their policy was trained on. Each change is made to a fresh environment, in
place or by a wrapper."""
from collections import deque

import gymnasium
import numpy as np


class Latency(gymnasium.Wrapper):
    """What is done arrives so many control steps late; before the first arrives nothing is done."""

    def __init__(self, env, steps):
        super().__init__(env)
        self.late = deque(maxlen=steps + 1)

    def reset(self, **kwargs):
        self.late.clear()
        self.late.extend(np.zeros(self.action_space.shape, self.action_space.dtype)
                         for _ in range(self.late.maxlen - 1))
        return self.env.reset(**kwargs)

    def step(self, action):
        self.late.append(action)
        return self.env.step(self.late[0])


def _model(env):
    return env.unwrapped.model


def gear(env, actuators, factor):
    """The force of some actuators, times `factor`."""
    _model(env).actuator_gear[actuators] *= factor
    return env


def mass(env, bodies, factor):
    """Mass and inertia of some bodies, times `factor`."""
    for name in bodies:
        body = _model(env).body(name).id
        _model(env).body_mass[body] *= factor
        _model(env).body_inertia[body] *= factor
    return env


def damping(env, factor):
    """The damping of all joints, times `factor`."""
    _model(env).dof_damping[:] *= factor
    return env


def friction(env, newtons):
    """Dry friction of the first joint."""
    _model(env).dof_frictionloss[0] += newtons
    return env


def grip(env, factor):
    """Friction of all contacts, times `factor`."""
    _model(env).geom_friction[:, 0] *= factor
    return env


def slope(env, degrees):
    """The ground is tilted: gravity has a part along x."""
    g = np.linalg.norm(_model(env).opt.gravity)
    _model(env).opt.gravity[:] = g * np.sin(np.radians(degrees)), 0.0, -g * np.cos(np.radians(degrees))
    return env


def dry(env, torque):
    """Dry friction in newton metres, in all joints that a motor moves."""
    m = _model(env)
    m.dof_frictionloss[m.jnt_dofadr[m.actuator_trnid[:, 0]]] = torque
    return env
