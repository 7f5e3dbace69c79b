"""The vendor kit: test vectors that the codecs share, and the plants of examples/plants on bare ZeroMQ."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import bridging
import efferent
import numpy as np
import pytest
from bridging import served
from efferent import wire

ROOT = Path(__file__).resolve().parents[2]
PLANTS = ROOT / "examples" / "plants"
VECTORS = [line.split() for line in (ROOT / "Tests" / "Vectors" / "bridge.txt").read_text().splitlines()]


def vectors(kind):
    found = [words[1:] for words in VECTORS if words[0] == kind]
    assert found, kind
    return found


def data(text):
    return b"" if text == "-" else bytes.fromhex(text)


def test_the_vectors_are_those_of_their_script(tmp_path):
    for name in ("make_bridge.py", "bridge.txt"):
        shutil.copy(ROOT / "Tests" / "Vectors" / name, tmp_path)
    (tmp_path / "bridge.txt").write_text("")
    subprocess.run([sys.executable, tmp_path / "make_bridge.py"], check=True)
    assert (tmp_path / "bridge.txt").read_text() == (ROOT / "Tests" / "Vectors" / "bridge.txt").read_text()


def test_python_frames_are_the_vectors():
    for text, value in vectors("crc"):
        assert wire.crc32c(data(text)) == wire.slow_crc32c(data(text)) == int(value)
    for name, *fields, sealed, body, made in vectors("frame"):
        names = (
            "type",
            "flags",
            "step_time_us",
            "episode",
            "session",
            "seq",
            "ref_seq",
            "monotonic_ns",
            "simulation_ns",
            "ttl_us",
        )
        header = dict(zip(names, map(int, fields), strict=True))
        assert wire.frame(
            header["type"], data(body), sealed == "1", **{k: v for k, v in header.items() if k != "type"}
        ) == data(made), name
        read = wire.read_header(data(made), sealed == "1")
        assert {k: getattr(read, k) for k in header} == header, name
        broken = bytearray(data(made))
        broken[70 % len(broken)] ^= 1
        if sealed == "1":
            with pytest.raises(efferent.Error):
                wire.read_header(bytes(broken))
    for name, reason, _, wait, text, body in vectors("error"):
        found = wire.refusal(wire.frame(wire.ERR, data(body)))
        assert (found.reason, found.retry_after, str(found)) == (
            wire.REASONS[int(reason)],
            int(wait) / 1000,
            data(text).decode(),
        ), name


def test_python_bodies_are_the_vectors():
    for text, value in vectors("schema"):
        assert wire.fnv1a(data(text)) == int(value)
    for name, *fields, boot, body in vectors("hello"):
        assert wire.FixedHello(*map(int, fields), data(boot)).pack() == data(body), name
    for name, *fields, body in vectors("welcome"):
        found = wire.FixedWelcome.unpack(data(body))
        assert [float(f) if "." in f else int(f) for f in fields] == list(found), name
    with pytest.raises(efferent.FormatError):
        wire.FixedWelcome.unpack(bytes(63))


def compiled(source, tmp_path, *flags):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    out = tmp_path / "program"
    subprocess.run(
        [
            compiler,
            "-std=c11",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-D_POSIX_C_SOURCE=200809L",
            source,
            "-o",
            out,
            *flags,
        ],
        check=True,
    )
    return out


def test_c_frames_and_bodies_are_the_vectors(tmp_path):
    program = compiled(ROOT / "Tests" / "C" / "vectors_test.c", tmp_path)
    run = subprocess.run([program, ROOT / "Tests" / "Vectors" / "bridge.txt"], capture_output=True, text=True)
    assert (
        run.returncode == 0 and run.stdout.strip() == f"{len(VECTORS) - len(vectors('hello_refused'))} passed, 0 failed"
    ), (run.stdout + run.stderr)


def test_the_bare_plants_fit_one_screen():
    for name, limit in (("plant.c", 60), ("plant_local.c", 80), ("plant.py", 40)):
        lines = (PLANTS / name).read_text().splitlines()
        assert len(lines) <= limit and max(map(len, lines)) <= 100, name


WAYS = [
    (language, endpoint) for language in ("c", "python") for endpoint in ("tcp://127.0.0.1:*", "ipc://{tmp}/bridge")
]
WAYS += [("c", "unix:{tmp}/bridge"), ("c", "shm:{tmp}/bridge"), ("c", "shm:@efferent-kit-{pid}")]


@pytest.mark.parametrize(
    ("language", "endpoint"),
    WAYS,
    ids=[f"{language}-{endpoint.split(':')[0]}-{i}" for i, (language, endpoint) in enumerate(WAYS)],
)
def test_a_bare_plant_steps_the_policy(language, endpoint, tmp_path):
    if endpoint.startswith(("unix:", "shm:")):
        plant = [compiled(PLANTS / "plant_local.c", tmp_path)]
    else:
        plant = (
            [compiled(PLANTS / "plant.c", tmp_path, "-lzmq")]
            if language == "c"
            else [sys.executable, PLANTS / "plant.py"]
        )
    endpoint = endpoint.replace("{pid}", str(os.getpid()))
    with served("mlp", endpoint.format(tmp=tmp_path)) as bridge:
        twin = bridge.served.policy.session()
        expected = [twin.step(np.array([(i + k) % 5 / 4 for k in range(7)], np.float32)).ravel() for i in range(12)]
        for _ in range(2):  # the place is free again at once
            run = subprocess.run([*plant, bridge.endpoint, "12"], capture_output=True, text=True, timeout=30)
            assert run.returncode == 0, run.stderr
            found = np.array([[float(word) for word in line.split()] for line in run.stdout.splitlines()], np.float32)
            assert found.shape == (12, 3) and np.array_equal(found, expected)
        bridging.until(lambda: bridge.stats["byes"] == 2)
        assert bridge.stats["steps"] == 24 and bridge.stats["drops"] == 0


@pytest.mark.parametrize("language", ["c", "python"])
def test_a_bare_plant_waits_for_its_turn_and_says_why_it_is_refused(language, tmp_path):
    plant = (
        [compiled(PLANTS / "plant.c", tmp_path, "-lzmq")] if language == "c" else [sys.executable, PLANTS / "plant.py"]
    )
    with served("mlp", idle_timeout=None) as bridge:
        with efferent.client.Client(bridge.endpoint):
            waiting = subprocess.Popen(
                [*plant, bridge.endpoint], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            bridging.until(lambda: bridge.stats["dropped"].get("busy", 0) >= 2)
        out, _ = waiting.communicate(timeout=30)
        assert waiting.returncode == 0 and len(out.splitlines()) == 10
    with served("mlp", non_finite="refuse") as bridge, efferent.client.Client(bridge.endpoint) as client:
        client.close()
        bridge.close()
        gone = subprocess.run([*plant, "tcp://127.0.0.1:1"], capture_output=True, text=True, timeout=30)
        assert gone.returncode == 1 and "no answer" in gone.stderr
