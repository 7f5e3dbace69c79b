"""MujocoLoop: a controller closes its loop in a MuJoCo simulation. Needs the package mujoco."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ArgumentError, MismatchError

if TYPE_CHECKING:
    from .controller import Controller, Report
    from .remote import RemoteController


class MujocoLoop:
    """Signals from mjData, targets back to actuators.

        loop = efferent.MujocoLoop(model, controller, keyframe="home")
        loop.commands["command.velocity"] = [0.5, 0.0, 0.0]
        for _ in range(500):
            loop.step()

    One `step` is one control period: a tick, then as many simulation steps as the period holds. Joints are found by
    name. `base.*` is the body that the free joint moves (or `base`), in its own frame; `body.NAME.*` and `imu.NAME.*`
    are bodies or sites of that name.

    An actuator that holds a position gets the position target, with the gains of the model; where the targets' gains
    are not the card's (a ladder that damps has kp 0), those of the actuator are changed by the same factor for this
    period. A motor gets kp (target - q) + kd (velocity target - qd) + effort, computed at every simulation step.

    keyframe  where the simulation starts; None: as the model's qpos0
    sensors   {signal: name of a sensor of the model} for signals that the model measures itself
    preflight a recording that the controller must meet first, as in Controller
    """

    def __init__(self, model: Any, controller: Controller | RemoteController, *, keyframe: str | None = None,
                 sensors: Mapping[str, str] | None = None, base: str | None = None, preflight: Any = None) -> None:
        import mujoco

        if preflight is not None:
            controller.preflight(preflight)

        self.mujoco, self.model, self.controller = mujoco, model, controller
        self.data = mujoco.MjData(model)
        self.commands = {s.name: np.zeros(s.count) for s in controller.signals if s.name.startswith("command.")}
        ratio = controller.control_period / model.opt.timestep
        self.substeps = round(ratio)
        if self.substeps < 1 or abs(ratio - self.substeps) > 1e-6 * ratio:
            raise MismatchError(f"control_period is {controller.control_period} s, which is no multiple of the "
                                f"simulation's step, {model.opt.timestep} s")
        self._base = self._free_body(base)
        joints = []
        for name in controller.joints:
            j = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, name)
            if j < 0:
                raise MismatchError(f"joint '{name}': the MuJoCo model has no joint of that name")
            joints.append(j)
        self._qpos, self._qvel = model.jnt_qposadr[joints], model.jnt_dofadr[joints]
        self._actuators = [self._actuator(j) for j in joints]
        self._kp, self._kd = controller.gains["kp"], controller.gains["kd"]
        self._readers = {s.name: self._reader(s.name, (sensors or {}).get(s.name)) for s in controller.signals}
        self._key = None
        if keyframe is not None:
            self._key = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_KEY, keyframe)
            if self._key < 0:
                raise ArgumentError(f"keyframe '{keyframe}' does not exist in the MuJoCo model")
        self.reset()

    def reset(self) -> None:
        """The simulation and the policy begin anew."""
        if self._key is None:
            self.mujoco.mj_resetData(self.model, self.data)
        else:
            self.mujoco.mj_resetDataKeyframe(self.model, self.data, self._key)
        self.mujoco.mj_forward(self.model, self.data)
        self.controller.reset()

    def signals(self) -> dict[str, np.ndarray]:
        """The raw signals of this moment."""
        return {name: read() for name, read in self._readers.items()}

    def step(self, tick: Callable[[dict[str, np.ndarray]], Report] | None = None) -> Report:
        """One control period. Returns the report of the tick; a refused tick moves the robot by its fallback, and
        raises afterwards. `tick` stands for the controller's own where it is given: a function of the signals."""
        from .errors import Error

        failed = None
        try:
            report = (tick or self.controller.tick)(self.signals())
        except Error as e:
            failed, report = e, self.controller.report
        changed = self._scale_gains()
        try:
            for _ in range(self.substeps):
                self._drive()
                self.mujoco.mj_step(self.model, self.data)
        finally:
            for index, gain, bias in changed:
                self.model.actuator_gainprm[index], self.model.actuator_biasprm[index] = gain, bias
        if failed is not None:
            raise failed
        return report

    @property
    def velocity(self) -> np.ndarray:
        """Linear velocity of the base in its own frame, m/s; 0 where the base is fixed."""
        return self._rotation().T @ self.data.qvel[self._dof : self._dof + 3] if self._is_free else np.zeros(3)

    @property
    def turn(self) -> float:
        """Angular velocity of the base about its own z axis, rad/s."""
        return float(self.data.qvel[self._dof + 5]) if self._is_free else 0.0

    @property
    def joint_positions(self) -> np.ndarray:
        """Positions of the controller's joints, rad."""
        return self.data.qpos[self._qpos]

    @property
    def height(self) -> float:
        """Height of the base, m."""
        return float(self.data.xpos[self._base][2])

    @property
    def tilt(self) -> float:
        """Angle between the base's z axis and the vertical, rad."""
        return float(np.arccos(np.clip(self._rotation()[2, 2], -1, 1)))

    # ---- inside ----

    def _free_body(self, base):
        m = self.model
        free = [j for j in range(m.njnt) if int(m.jnt_type[j]) == int(self.mujoco.mjtJoint.mjJNT_FREE)]
        self._is_free = bool(free)
        self._dof = int(m.jnt_dofadr[free[0]]) if free else 0
        if base is not None:
            b = self.mujoco.mj_name2id(m, self.mujoco.mjtObj.mjOBJ_BODY, base)
            if b < 0:
                raise ArgumentError(f"base '{base}': the MuJoCo model has no body of that name")
            return b
        return int(m.jnt_bodyid[free[0]]) if free else 0

    def _actuator(self, joint):
        """(index, holds a position) of the actuator of a joint, or None."""
        m = self.model
        for a in range(m.nu):
            if int(m.actuator_trntype[a]) == int(self.mujoco.mjtTrn.mjTRN_JOINT) and m.actuator_trnid[a, 0] == joint:
                return a, bool(int(m.actuator_biastype[a]) == int(self.mujoco.mjtBias.mjBIAS_AFFINE)
                               and m.actuator_biasprm[a, 1] != 0)
        return None

    def _rotation(self):
        return self.data.xmat[self._base].reshape(3, 3)

    def _reader(self, name, sensor):
        d, m, mj = self.data, self.model, self.mujoco
        if sensor is not None:
            s = mj.mj_name2id(m, mj.mjtObj.mjOBJ_SENSOR, sensor)
            if s < 0:
                raise ArgumentError(f"sensor '{sensor}' does not exist in the MuJoCo model")
            first, last = m.sensor_adr[s], m.sensor_adr[s] + m.sensor_dim[s]
            return lambda: d.sensordata[first:last]
        if name in self.commands:
            return lambda: self.commands[name]
        fixed = {
            "joint.position": lambda: d.qpos[self._qpos], "joint.velocity": lambda: d.qvel[self._qvel],
            "joint.effort": lambda: d.qfrc_actuator[self._qvel], "time": lambda: d.time,
        }
        if name in fixed:
            return fixed[name]
        where, _, part = name.rpartition(".")
        if where == "base" and part.endswith("velocity") and not self._is_free:
            return lambda: np.zeros(3)
        if where == "base":
            parts = {
                "orientation": lambda: d.xquat[self._base], "position": lambda: d.xpos[self._base],
                "linear_velocity": lambda: self._rotation().T @ d.qvel[self._dof : self._dof + 3],
                "angular_velocity": lambda: d.qvel[self._dof + 3 : self._dof + 6],
            }
        else:
            kind, index = self._frame(name, where.partition(".")[2])
            velocity = np.zeros(6)

            def moving(first):
                mj.mj_objectVelocity(m, d, kind, index, velocity, 1)
                return velocity[first : first + 3].copy()

            def turn():
                q = np.zeros(4)
                mj.mju_mat2Quat(q, (d.xmat if kind == mj.mjtObj.mjOBJ_BODY else d.site_xmat)[index])
                return q

            parts = {
                "orientation": turn,
                "position": lambda: (d.xpos if kind == mj.mjtObj.mjOBJ_BODY else d.site_xpos)[index],
                "linear_velocity": lambda: moving(3), "angular_velocity": lambda: moving(0),
            }
        if part not in parts:
            raise MismatchError(f"signal '{name}': nothing in the MuJoCo model gives it; name a sensor for it in "
                                f"`sensors`")
        return parts[part]

    def _frame(self, signal, name):
        mj = self.mujoco
        for kind in (mj.mjtObj.mjOBJ_BODY, mj.mjtObj.mjOBJ_SITE):
            index = mj.mj_name2id(self.model, kind, name)
            if index >= 0:
                return kind, index
        raise MismatchError(f"signal '{signal}': the MuJoCo model has no body and no site '{name}'; name a sensor for "
                            f"it in `sensors`")

    def _scale_gains(self):
        """Position actuators with the gains of the targets over those of the card. Returns [(actuator, gains, biases)]
        to restore."""
        m, t, changed = self.model, self.controller.targets, []
        for i, actuator in enumerate(self._actuators):
            if actuator is None or not actuator[1]:
                continue
            shares = [t[k][i] / own[i] if k in t and own[i] > 0 and not np.isnan(t[k][i]) else 1.0
                      for k, own in (("kp", self._kp), ("kd", self._kd))]
            if shares != [1.0, 1.0]:
                a = actuator[0]
                changed.append((a, m.actuator_gainprm[a].copy(), m.actuator_biasprm[a].copy()))
                m.actuator_gainprm[a, 0] *= shares[0]
                m.actuator_biasprm[a, 1] *= shares[0]
                m.actuator_biasprm[a, 2] *= shares[1]
        return changed

    def _drive(self):
        d, t = self.data, self.controller.targets
        none = np.full(len(self.controller.joints), np.nan)
        position, velocity, effort = (t.get(k, none) for k in ("position", "velocity", "effort"))
        kp, kd = t.get("kp", none), t.get("kd", none)
        q, qd = d.qpos[self._qpos], d.qvel[self._qvel]
        torque = np.nan_to_num(effort) + np.nan_to_num(kp
                                                       * (position
                                                          - q)) + np.nan_to_num(kd) * (np.nan_to_num(velocity) - qd)
        commanded = ~(np.isnan(position) & np.isnan(velocity) & np.isnan(effort))
        for i, actuator in enumerate(self._actuators):
            if actuator is None or not commanded[i]:
                continue
            index, holds = actuator
            if not holds:
                d.ctrl[index] = torque[i]
            elif not np.isnan(position[i]):
                d.ctrl[index] = position[i]
