"""Motions in csv files: as they are, and as rl_sar plays them."""
import math

import efferent
import numpy as np
import pytest
from efferent import motion


def table(path, frames=5):
    """Rows whose joints count up, and which turn about z by 0.3 rad a frame; every other quaternion has the other
    sign."""
    rows = []
    for k in range(frames):
        sign = -1 if k % 2 else 1
        rows.append([0.1 * k, 0, 0.5, 0, 0, sign * math.sin(0.15 * k), sign * math.cos(0.15 * k), 1.0 * k,
                     -2.0 * k * k])
    np.savetxt(path, rows, delimiter=",")
    return np.array(rows)


def test_a_csv_is_played_as_it_is_by_a_card(tmp_path):
    rows = table(tmp_path / "dance.csv")
    made = motion.of_card({"kind": "file", "file": "dance.csv", "fps": 50.0}, [tmp_path / "policy.onnx"])
    np.testing.assert_array_equal(made["joint_position"], rows[:, 7:])
    np.testing.assert_allclose(made["joint_velocity"][:, 0], [50, 50, 50, 50, 0])


def test_rl_sar_plays_a_little_slowly_and_interpolates(tmp_path):
    rows = table(tmp_path / "dance.csv")
    made = motion.rl_sar(tmp_path / "dance.csv", 0.02)
    # tick k is at frame k * (frames - 1) / frames, and the last tick at the last frame
    places = [0.0, 0.8, 1.6, 2.4, 3.2, 4.0]
    np.testing.assert_allclose(made["joint_position"][:, 0], places)
    second = [-2 * 0.8, -2 * (0.4 * 1 + 0.6 * 4), -2 * (0.6 * 4 + 0.4 * 9)]
    np.testing.assert_allclose(made["joint_position"][1:4, 1], second)
    np.testing.assert_allclose(made["anchor_position"][:, 0], 0.1 * np.array(places))
    # on the shorter arc, whatever the signs: a turn of 0.3 rad a frame about z
    turns = [2 * math.atan2(q[2] * np.sign(q[3]), abs(q[3])) for q in made["anchor_orientation"]]
    np.testing.assert_allclose(turns, 0.3 * np.array(places), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(made["anchor_orientation"], axis=1), 1)
    assert len(rows) == 5 and len(made["joint_velocity"]) == 6


def test_one_frame_and_frames_that_stand_still_are_played(tmp_path):
    for frames in (1, 2):
        np.savetxt(tmp_path / "still.csv", [[0, 0, 1, 0, 0, 0, 1, 0.5]] * frames, delimiter=",")
        made = motion.rl_sar(tmp_path / "still.csv", 0.02)
        np.testing.assert_allclose(made["joint_position"], 0.5)
        np.testing.assert_allclose(made["anchor_orientation"], np.tile([0, 0, 0, 1], (frames + 1, 1)))


@pytest.mark.parametrize("text, words", [("1,2,3\n", "3 numbers"), ("a,b\n", "not a table")])
def test_what_is_no_such_table_is_refused_by_name(tmp_path, text, words):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(efferent.FormatError, match=f"bad.csv.*{words}"):
        motion.rl_sar(tmp_path / "bad.csv", 0.02)
