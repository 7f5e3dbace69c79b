"""Sign and symmetry probes: a robot is moved in its MuJoCo model, and the terms that react are compared with those that
should.

Each joint is moved and turned, the base is tilted, turned and pushed, each target is raised. What should react is
computed from the state of the model and the formulas of the card; what reacts comes through the signals that the loop
reads and the controller's observation. Needs the package mujoco.
"""
from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np


if TYPE_CHECKING:
    from .mujoco_loop import MujocoLoop

TILT, MOVE, SPEED = 0.2, 0.1, 0.5
# terms of which the probes know how they react; others may react or not
KNOWN = {"base_linear_velocity", "base_angular_velocity", "projected_gravity", "base_euler_xyz", "joint_position",
         "joint_velocity"}
STILL = {"constant", "last_action", "previous_target", "command"}
PAIRS = {"left": "right", "Left": "Right", "L": "R", "l": "r", "FL": "FR", "RL": "RR", "HL": "HR", "LF": "RF",
         "LH": "RH", "LR": "RR", "BL": "BR"}


class Probe(NamedTuple):
    """What was done, and {element: change} of what should have reacted and of what did. `wrong` says what is wrong with
    it, or ""."""

    name: str
    expected: dict
    found: dict
    wrong: str


def probe(loop: MujocoLoop) -> list[Probe]:
    """All probes of a MujocoLoop, as a list of Probe. The loop's own controller is not ticked; the simulation begins
    anew afterwards."""
    return _Prober(loop).run()


class _Prober:
    def __init__(self, loop):
        self.loop, self.mj, self.model, self.data = loop, loop.mujoco, loop.model, loop.data
        self.content = json.loads(loop.controller.card.to_json())
        self.twin = loop.controller.twin()
        self.joints = [j for j in loop.controller.joints if j in (self.content.get("joints") or {})]
        self.made, self.now = [], 0.0

    def run(self):
        own, self.loop.controller = self.loop.controller, self.twin
        try:
            self._joints()
            if self.loop._is_free:
                self._base()
            self._targets()
        finally:
            self.loop.controller = own
            self.loop.reset()
        return self.made

    # ---- observations ----

    def _seen(self, change=None):
        """{(vector, term, value): (term, newest value)} of the observation, in the reset state after `change`; and the
        facts of that state."""
        self.loop.reset()
        if change:
            change()
        self.mj.mj_forward(self.model, self.data)
        self.twin.reset()
        self.now += 1.0
        signals = {k: np.array(v) for k, v in self.loop.signals().items()}
        self.twin.tick({**signals, "stamp": self.now}, self.now)
        found = {}
        for name, vector in self.content["vectors"].items():
            values, newest = self.twin.vector(name), {}
            cells = _cells(vector)
            for at, (term, i, age) in enumerate(cells):
                if at < len(values) and age <= newest.get((term["name"], i), (1 << 30,))[0]:
                    newest[term["name"], i] = (age, at, term)
            for (term_name, i), (age, at, term) in newest.items():
                if age == 0 or term.get("fill") != "zero":
                    found[name, term_name, i] = (term, float(values[at]))
        return found, self._facts()

    def _facts(self):
        """What terms are made of, from the state of the model and not from signals."""
        d, loop = self.data, self.loop
        r = d.xmat[loop._base].reshape(3, 3)
        joints = {j: (d.qpos[p], d.qvel[v]) for j, p, v in zip(loop.controller.joints, loop._qpos, loop._qvel)}
        facts = {"joints": joints, "projected_gravity": r.T @ [0, 0, -1],
                 "base_euler_xyz": [np.arctan2(r[2, 1], r[2, 2]), -np.arcsin(np.clip(r[2, 0], -1, 1)),
                                    np.arctan2(r[1, 0], r[0, 0])]}
        if loop._is_free:
            dof = loop._dof
            frame = d.xmat[self.model.dof_bodyid[dof]].reshape(3, 3)
            facts["base_linear_velocity"] = r.T @ d.qvel[dof : dof + 3]
            facts["base_angular_velocity"] = r.T @ frame @ d.qvel[dof + 3 : dof + 6]
        else:
            facts["base_linear_velocity"] = facts["base_angular_velocity"] = np.zeros(3)
        return facts

    def _should(self, term, i, facts):
        """A term's value by its formula, before clip and scale."""
        op = term["op"]
        if op in ("joint_position", "joint_velocity"):
            joint = (term.get("joints") or self.content["joint_order"])[i]
            return 0.0 if joint in (term.get("zero") or []) else facts["joints"][joint][op == "joint_velocity"]
        return facts[op][i]

    def _do(self, name, change, may=()):
        before, was = self._seen()
        after, facts = self._seen(change)
        expected, found, wrong = {}, {}, []
        for key, (term, value) in after.items():
            label = f"{term['name']}{_label(self.content, term, key[2]) or f'[{key[2]}]'}"
            label = label if len(self.content["vectors"]) == 1 else f"{key[0]}.{label}"
            moved = value - before[key][1]
            if term["op"] in KNOWN and not term.get("zero_when"):
                change_of = self._factor(term,
                                         key[2]) * (self._should(term, key[2], facts) - self._should(term, key[2], was))
                is_bounded = bool(term.get("clip") or self.content["vectors"][key[0]].get("clip"))
            elif term["op"] in STILL:
                change_of, is_bounded = 0.0, False
            else:
                continue
            tolerance = 1e-5 + 0.03 * abs(change_of)
            if abs(change_of) > 1e-5:
                expected[label] = change_of
            if abs(moved) > 1e-5:
                found[label] = moved
            if (
                abs(moved - change_of) <= tolerance
                or is_bounded
                and moved * change_of > 0
                and abs(moved) <= abs(change_of)
                or term["op"] in may
            ):
                continue
            words = "does not react" if abs(moved) <= 1e-5 else f"reacts with {moved:+.3g}"
            should = f"should with {change_of:+.3g}" if abs(change_of) > 1e-5 else "should not"
            wrong.append(f"{label} {words}, {should}"
                         + (": the other sign" if change_of and abs(moved + change_of) <= tolerance else ""))
        self.made.append(Probe(name, expected, found, "; ".join(wrong)))

    @staticmethod
    def _factor(term, i):
        """How much of a change of the value is in the observation."""
        def of(x, default=1.0):
            return default if x is None else float(x[i] if isinstance(x, list) else x)

        n = term.get("normalize")
        share = 1.0
        if n and n.get("mode") == "mean_std":
            share = 1.0 / (of(n.get("std")) + of(n.get("eps"), 0.0))
        elif n and n.get("mode") not in (None, "identity"):
            low, high = {"min_max": ("min", "max"), "quantiles": ("q01", "q99")}[n["mode"]]
            share = 2.0 / (of(n[high]) - of(n[low])) if low in n else share
        return share * of(term.get("scale"))

    # ---- what is done ----

    def _joints(self):
        place = {j: (p, v) for j, p, v in zip(self.loop.controller.joints, self.loop._qpos, self.loop._qvel)}
        moved = {"base_linear_velocity", "base_angular_velocity", "projected_gravity",
                 "base_euler_xyz"} if self._is_base_moved() else set()
        for j in self.joints:
            def move(at=place[j][0]):
                self.data.qpos[at] += MOVE

            def turn(at=place[j][1]):
                self.data.qvel[at] += SPEED

            self._do(f"{j} moved by {MOVE:+g} rad", move, moved)
            self._do(f"{j} turning at {SPEED:+g} rad/s", turn, moved)

    def _is_base_moved(self):
        """Whether joints of the robot move the body that the loop takes for the base."""
        return self.loop._is_free and self.model.dof_bodyid[self.loop._dof] != self.loop._base

    def _base(self):
        dof, at = self.loop._dof, int(self.model.jnt_qposadr[self.model.dof_jntid[self.loop._dof]]) + 3
        safety = self.content.get("safety") or {}

        def turned(axis, angle):
            rotation = np.zeros(4)
            self.mj.mju_axisAngle2Quat(rotation, np.eye(3)[axis], angle)
            made = np.zeros(4)
            self.mj.mju_mulQuat(made, self.data.qpos[at : at + 4], rotation)
            self.data.qpos[at : at + 4] = made

        for axis, (word, key) in enumerate((("rolled about x", "roll_limit"), ("pitched about y", "pitch_limit"),
                                            ("turned about z", None))):
            angle = min(TILT, 0.5 * (safety.get(key) or 1.0))
            self._do(f"base {word} by {angle:+.3g} rad", lambda axis=axis, angle=angle: turned(axis, angle))
        for axis, word in enumerate("xyz"):
            def spin(axis=axis):
                self.data.qvel[dof + 3 + axis] += SPEED

            # a sensor away from the base's origin moves with the turn
            self._do(f"base turning about {word} at {SPEED:+g} rad/s", spin, {"base_linear_velocity"})

            def push(axis=axis):
                turned(2, 1.5)
                self.mj.mj_forward(self.model, self.data)
                self.data.qvel[dof : dof + 3] += SPEED * self.data.xmat[self.loop._base].reshape(3, 3)[:, axis]

            self._do(f"base turned about z by +1.5 rad, moving along its {word} at {SPEED:+g} m/s", push)

    # ---- targets ----

    def _targets(self):
        """A raised target must accelerate its joint forward."""
        kinds = [k for k in ("position", "velocity", "effort") if k in self.twin.targets]
        self.loop.reset()
        self.now += 1.0
        self.twin.tick({**{k: np.array(v) for k, v in self.loop.signals().items()}, "stamp": self.now}, self.now)
        for i, j in enumerate(self.loop.controller.joints):
            for kind in kinds:
                values = self.twin.targets[kind]
                if j not in self.joints or np.isnan(values[i]):
                    continue
                kept, speeds = values[i], []
                for more in (0.0, MOVE):
                    values[i] = kept + more
                    self.loop._drive()
                    self.mj.mj_forward(self.model, self.data)
                    speeds.append(float(self.data.qacc[self.loop._qvel[i]]))
                values[i] = kept
                moved, label = speeds[1] - speeds[0], f"acceleration of {j}"
                reaction = "does not react" if abs(moved) <= 1e-9 else f"reacts with {moved:+.3g}: the other sign"
                wrong = "" if moved > 1e-9 else f"{label} {reaction}"
                if self.loop._actuators[i] is None:
                    wrong = f"the model has no actuator for {j}"
                self.made.append(Probe(f"{kind} target of {j} raised by {MOVE:+g}", {label: 1.0}, {label: moved},
                                       wrong))


# ---- what a card and a model say of the same thing ----


def limits(loop: MujocoLoop) -> list[str]:
    """Where the card's pose, limits and sides contradict the model or each other, in words."""
    content, model = json.loads(loop.controller.card.to_json()), loop.model
    joints, made = content.get("joints") or {}, []
    for name, j in joints.items():
        index = loop.mujoco.mj_name2id(model, loop.mujoco.mjtObj.mjOBJ_JOINT, name)
        low, high = model.jnt_range[index] if index >= 0 and model.jnt_limited[index] else (-np.inf, np.inf)
        for key, other in (("lower", low), ("upper", high)):
            if j.get(key) is not None and np.isfinite(other) and abs(j[key] - other) > 1e-3:
                made.append(f"joint '{name}': {key} is {j[key]:.4g} rad in the card, {other:.4g} rad in the model")
        pose = j.get("default")
        for who, a, b in (("card", j.get("lower"), j.get("upper")), ("model", low, high)):
            if pose is not None and not (-np.inf if a is None
                                         else a) - 1e-6 <= pose <= (np.inf if b is None else b) + 1e-6:
                made.append(f"joint '{name}': its default pose {pose:.4g} rad is outside of the limits of the {who}")
    return made + _sides(loop, joints)


def _sides(loop, joints):
    """Left and right joints whose pose, gains or limits are not each other's mirror image."""
    model, mj, made = loop.model, loop.mujoco, []
    data = mj.MjData(model)
    mj.mj_forward(model, data)
    for left, right in _pairs(list(joints)):
        index = [mj.mj_name2id(model, mj.mjtObj.mjOBJ_JOINT, n) for n in (left, right)]
        if min(index) < 0:
            continue
        # a turn about an axis, seen in a mirror between left and right: x and z change sign
        axis = data.xaxis[index[0]] * [-1, 1, -1]
        side = float(axis @ data.xaxis[index[1]])
        if abs(abs(side) - 1) > 1e-2:
            continue
        side = round(side)
        a, b = joints[left], joints[right]
        image = {**a, "default": None if a.get("default") is None else side * a["default"]}
        if side < 0:
            image |= {"lower": None if a.get("upper") is None else -a["upper"],
                      "upper": None if a.get("lower") is None else -a["lower"]}
        for key in ("default", "kp", "kd", "lower", "upper", "velocity_limit", "effort_limit"):
            if (
                image.get(key) is not None
                and b.get(key) is not None
                and abs(image[key] - b[key]) > 1e-6 + 1e-3 * abs(b[key])
            ):
                made.append(f"not mirrored: {key} of '{right}' is {b[key]:.4g}, that of '{left}' asks for "
                            f"{image[key]:.4g}")
    return made


def _pairs(names):
    """(left, right) joints, by the words of their names."""
    for name in names:
        words = re.split(r"([_\-. ]|(?<=[a-z])(?=[A-Z]))", name)
        for i, word in enumerate(words):
            if word in PAIRS:
                other = "".join([*words[:i], PAIRS[word], *words[i + 1 :]])
                if other in names:
                    yield name, other
                    break


# ---- words ----


def _label(content, term, i):
    """ (joint 'knee'), (lin_vel_x), (y) of a value of a term, where it has one."""
    op = term["op"]
    joints = term.get("joints") or content.get("joint_order") or []
    if op.startswith("joint_") or op in ("previous_target", "last_action"):
        return f" (joint '{joints[i]}')" if i < len(joints) == term["size"] else ""
    if op == "command":
        fields = term.get("fields") or (content.get("commands") or {}).get(term.get("command"), {}).get("fields") or []
        return f" ({fields[i]})" if i < len(fields) else ""
    return f" ({'xyz'[i]})" if term["size"] == 3 and op.startswith(("base_", "projected")) else ""


def _cells(vector):
    """(term, value, age) of every element of a vector, in its order."""
    terms = vector["terms"]
    ages = [t.get("ages") or [0] for t in terms]
    order = [(t, a) for t, own in zip(terms, ages) for a in own]
    if vector.get("layout") == "time_major":
        order = [(t, own[p]) for p in range(len(ages[0])) for t, own in zip(terms, ages)]
    return [({**t, "name": t.get("name") or t["op"]}, i, age) for t, age in order for i in range(t["size"])]
