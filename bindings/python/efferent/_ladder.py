"""The fallback ladder of a controller on the robot's side of a link: what moves the robot while the link is dead."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

LIMP = ("damp", "zero")


class Ladder:
    """The targets of a robot: what its controller says, and where that is not heard what EFF_MODE_HOLD, RAMP, DAMP and
    ZERO write; then a blend back.

    robot    `robot` of WELCOME: moved, pose, kp, kd, fallback and blend, joints in the robot's order
    targets  {kind: array in the robot's order}, changed in place; NaN where a joint is not commanded
    """

    def __init__(self, robot: Mapping[str, Any], targets: dict[str, np.ndarray]) -> None:
        # times are nanoseconds, as the controller counts them
        self.steps = [(s["mode"], round(1e9 * s["seconds"]), np.array(s["kp"]), np.array(s["kd"]))
                      for s in robot["fallback"]]
        self.pose = np.array(robot["pose"])
        self.blend = round(1e9 * robot["blend"])
        self.targets = targets
        self._commanded = {kind: np.array(robot["moved"], bool) for kind in targets}
        self.step = -1             # of the ladder; -1: the controller moves the robot
        self._from = np.full(len(self.pose), np.nan)
        self._has_sent = self._is_limp = False
        self._since = self._began = 0
        self._blend_since: int | None = None

    def follow(self, fresh: Mapping[str, np.ndarray], mode: str, now: int, measured: np.ndarray | None) -> None:
        """Writes what the controller says; `mode` is that of its report. After a fallback it is blended in."""
        if self.step >= 0:
            self._keep(measured)
            self.step = -1
            self._blend_since = now if self.blend > 0 else None
        for kind, own in self.targets.items():
            own[...] = fresh[kind]
            self._commanded[kind] = np.isfinite(own)
        self._has_sent, self._is_limp = True, mode in LIMP
        if self._blend_since is None:
            return
        share = (now - self._blend_since) / self.blend
        if share >= 1:
            self._blend_since = None
            return
        for kind in ("position", "velocity", "effort"):
            if kind in self.targets:
                own = self.targets[kind]
                start = np.where(np.isfinite(self._from), self._from, own) if kind == "position" else 0.0
                own[...] = start + share * (own - start)

    def fall(self, now: int, measured: np.ndarray | None) -> str:
        """Writes what the ladder says at this time, which began at the first call; returns the mode. `measured`:
        positions of the joints, if they are known."""
        if self.step < 0:
            self._since, self._blend_since = now, None
        left, at = now - self._since, 0
        while at + 1 < len(self.steps) and left >= self.steps[at][1]:
            left -= self.steps[at][1]
            at += 1
        if at != self.step:
            self._keep(measured)
            self.step, self._began = at, now
        mode, length, kp, kd = self.steps[at]
        # nothing was ever sent and where the joints are is not known: nothing can be held
        if not self._has_sent and mode != "zero" and not np.isfinite(self._from).all():
            mode = "damp"
        if mode == "hold" and self._has_sent and not self._is_limp:
            return mode
        share = 1.0 if length <= 0 else min(1.0, (now - self._began) / length)
        position = self._from
        if mode == "ramp":
            position = np.where(np.isfinite(self.pose), self._from + share * (self.pose - self._from), self._from)
        still = np.zeros(len(self.pose))
        self._is_limp = mode in LIMP
        values = {"position": position, "velocity": still, "effort": still, "kp": still if self._is_limp else kp,
                  "kd": still if mode == "zero" else kd}
        for kind, own in self.targets.items():
            np.copyto(own, values[kind], where=self._commanded[kind] & np.isfinite(values[kind]))
        return mode

    def _keep(self, measured):
        """Where the joints are sent now; where they are, if nothing holds them."""
        sent = self.targets.get("position")
        if sent is not None and self._has_sent and not self._is_limp:
            self._from = sent.copy()
        elif measured is not None:
            self._from = np.array(measured, np.float64)
