"""libzmq is opened when the first bridge is made: what a machine without it runs, what it says, which one is found."""

import ctypes.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from efferent._library import lib

POLICY = """
import sys; sys.path[:0] = {path!r}
import bridging, efferent, numpy
session = bridging.policy("mlp").session()
print(session.step(numpy.ones(7)).shape)
"""
BRIDGE = (
    POLICY
    + """
try:
    with efferent.Bridge(session, "tcp://127.0.0.1:*") as bridge:
        print(bridge.endpoint.split(":")[0])
except efferent.Error as e:
    print(type(e).__name__, e)
"""
)


def run(program, **environment):
    script = program.format(path=[p for p in sys.path if p])
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def library():
    lib.eff_version()
    return Path(lib.path).resolve()


def compiled(folder, source):
    (folder / "libzmq.c").write_text(source)
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-Wl,-soname,libzmq.so.5", "-o", folder / "libzmq.so.5", folder / "libzmq.c"],
        check=True,
    )


@pytest.fixture
def without(tmp_path):
    """An environment in which the loader finds a libzmq.so.5 that is none."""
    folder = tmp_path / "hidden"
    folder.mkdir()
    (folder / "libzmq.so.5").write_bytes(b"")
    return {"LD_LIBRARY_PATH": str(folder)}


def test_a_machine_without_libzmq_runs_all_but_bridges_and_says_what_to_install(without):
    shape, told = run(BRIDGE, **without)
    assert shape == "(3,)"
    assert (
        told.startswith("UnsupportedError ") and "the bridge needs libzmq" in told and "apt-get install libzmq5" in told
    ), told


@pytest.mark.parametrize("scheme", ["unix", "shm"])
def test_bridges_of_one_machine_need_no_libzmq(without, scheme):
    program = """
import sys; sys.path[:0] = {path!r}
import os
sys.modules["zmq"] = None  # nor has the plant one
import bridging, numpy
from efferent import Bridge, Client
with Bridge(bridging.policy("mlp").session(), f"SCHEME:@efferent-alone-{{os.getpid()}}") as bridge:
    bridge.start()
    with Client(bridge.endpoint) as client:
        print(client.step({{"obs": numpy.ones((1, 7))}})["action"].shape, "libzmq" in open("/proc/self/maps").read())
"""
    assert run(program.replace("SCHEME", scheme), **without) == ["(1, 1, 3) False"]


def test_serve_without_libzmq_says_what_to_install(without, tmp_path):
    import models

    path = tmp_path / "mlp.onnx"
    path.write_bytes(models.MODELS["mlp"]().SerializeToString())
    environment = {**os.environ, **without, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-m", "efferent", "serve", str(path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    text = " ".join((done.stdout + done.stderr).split())
    assert done.returncode not in (0, None) and "apt-get install libzmq5" in text and "Traceback" not in text, text


def test_a_libzmq_beside_the_library_is_found_before_the_systems(without, tmp_path):
    found = ctypes.util.find_library("zmq")
    if found is None:
        pytest.skip("no libzmq")
    place = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True).stdout
    real = next(line.split("=> ")[1] for line in place.splitlines() if line.strip().startswith(found))
    shutil.copy(library(), tmp_path / "libefferent.so")
    shutil.copy(os.path.realpath(real), tmp_path / "libzmq.so.5")
    assert run(BRIDGE, EFFERENT_LIBRARY=str(tmp_path / "libefferent.so"), **without) == ["(3,)", "tcp"]


def test_a_libzmq_of_another_generation_is_refused_with_its_version(tmp_path):
    names = (
        "ctx_new ctx_term socket close setsockopt getsockopt bind unbind connect send recv poll errno strerror".split()
    )
    source = "".join(f"void *zmq_{n}(void) {{ return 0; }}\n" for n in names)
    compiled(tmp_path, source + "void zmq_version(int *a, int *b, int *c) { *a = 4, *b = 1, *c = 6; }\n")
    told = run(BRIDGE, LD_LIBRARY_PATH=str(tmp_path))[1]
    assert told.startswith("UnsupportedError ") and "libzmq 4.1.6 found, 4.2 or a later 4 is needed" in told, told
    compiled(tmp_path, "void zmq_version(int *a, int *b, int *c) { *a = 4, *b = 3, *c = 5; }\n")
    told = run(BRIDGE, LD_LIBRARY_PATH=str(tmp_path))[1]
    assert told.startswith("UnsupportedError ") and "without zmq_ctx_new" in told, told
