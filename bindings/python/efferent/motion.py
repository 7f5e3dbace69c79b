"""Reference motions that a card keeps in a file: npz of trackers, csv of rl_sar."""
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._types import StrPath
from .errors import FormatError, MismatchError

# what trackers call the parts of a motion in an npz
MOTION_KEYS = {
    "joint_position": ("joint_pos", "dof_pos"), "joint_velocity": ("joint_vel", "dof_vel"),
    "body_position": ("body_pos_w",),
    "body_orientation": ("body_quat_w",), "anchor_position": (), "anchor_orientation": (),
}


def of_card(motion: Mapping[str, Any] | None, models: Sequence[StrPath] = ()) -> dict[str, np.ndarray]:
    """{part: array [frames, ...]} of the file that a card's motion names; {} where there is none."""
    if not motion or motion.get("kind") != "file":
        return {}
    name = motion["file"]
    folders = [os.curdir] + [os.path.join(os.path.dirname(os.fspath(m)), *[os.pardir] * up) for m in models
                             for up in range(4)]
    found = next((p for p in (os.path.join(f, name) for f in folders) if os.path.isfile(p)), None)
    if found is None:
        raise MismatchError(f"motion: the file '{name}' was not found; looked in {', '.join(dict.fromkeys(folders))}. "
                            f"Give its frames as `motion`")
    if found.endswith(".csv"):
        return _rows(found, motion.get("fps") or 1)
    keys = motion.get("keys") or {}
    with np.load(found) as z:
        parts = {part: next((k for k in ([keys[part]] if part in keys else [part, *usual]) if k in z.files), None)
                 for part, usual in MOTION_KEYS.items()}
        for part, key in keys.items():
            if parts.get(part) is None:
                raise MismatchError(f"motion: '{found}' has no '{key}' for {part}; it has {', '.join(z.files)}")
        return {part: z[key] for part, key in parts.items() if key is not None}


def _rows(path, fps):
    """Rows x, y, z, quaternion x, y, z, w, joints, as rl_sar writes them. Velocities are forward differences; the last
    frame stands still."""
    try:
        table = np.loadtxt(path, delimiter=",", ndmin=2)
    except ValueError as e:
        raise FormatError(f"{path}: not a table of numbers with commas: {e}") from None
    if table.shape[1] < 8:
        raise FormatError(f"{path}: rows have {table.shape[1]} numbers, expected x, y, z, a quaternion x, y, z, w and "
                          f"joints")
    joints = table[:, 7:]
    speed = np.diff(joints, axis=0, append=joints[-1:]) * fps
    return {"joint_position": joints, "joint_velocity": speed, "anchor_position": table[:, :3],
            "anchor_orientation": table[:, 3:7]}


def rl_sar(path: StrPath, policy_period: float) -> dict[str, np.ndarray]:
    """The frames of a csv as rl_sar plays them, one per policy tick: `Controller(...,
    motion=efferent.motion.rl_sar("dance.csv", 0.02))`.

    A card plays the frames of a file as they are. rl_sar takes the place time / duration * (frames - 1), so it plays a
    little slowly, and interpolates: linearly for positions and velocities, on the sphere for the orientation (x, y, z,
    w). Its rate is one frame per policy tick.
    """
    parts = _rows(os.fspath(path), 1 / policy_period)
    frames = len(parts["joint_position"])
    place = np.minimum(np.arange(frames + 1) * ((frames - 1) / frames), frames - 1)
    low = np.minimum(place.astype(int), max(0, frames - 2))
    high = np.minimum(low + 1, frames - 1)
    share = (place - low)[:, None]
    made = {k: (1 - share) * v[low] + share * v[high] for k, v in parts.items() if k != "anchor_orientation"}
    made["anchor_orientation"] = _slerp(parts["anchor_orientation"][low], parts["anchor_orientation"][high], share)
    return made


def _slerp(a, b, share):
    """On the shorter arc between unit quaternions; rows that nearly agree are interpolated linearly."""
    a, b = (q / np.linalg.norm(q, axis=1, keepdims=True) for q in (a, b))
    cosine = (a * b).sum(1, keepdims=True)
    b, cosine = np.where(cosine < 0, -b, b), np.abs(cosine)
    angle = np.arccos(np.clip(cosine, 0.0, 1.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        turned = (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)
    made = np.where(angle < 1e-6, (1 - share) * a + share * b, turned)
    return made / np.linalg.norm(made, axis=1, keepdims=True)
