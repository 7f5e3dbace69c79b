"""Files are read into memory first: nothing crashes while they change, nothing depends on them after load, links of
caches are followed."""
import os
import signal
import subprocess
import sys
from pathlib import Path

import efferent
import models
import numpy as np
import onnx
import pytest

PACKAGE = str(Path(efferent.__file__).resolve().parents[1])


def scaled(factor, width=200):
    """A model of about 4 * width^2 bytes; those of other factors have the same size."""
    weights = {"w": models.normal(3, width, width) * np.float32(factor)}
    return models.model([onnx.helper.make_node("MatMul", ["obs", "w"], ["action"])],
                        [("obs", 1, [1, width])], [("action", 1, [1, width])], weights)


WRITER = """
import os, sys, time
path, a, b = sys.argv[1:]
contents = [open(a, "rb").read(), open(b, "rb").read()]
turn = 0
while True:
    turn += 1
    new = contents[turn % 2]
    way = turn // 2 % 4
    if way == 0:    # truncated, then written piece by piece
        with open(path, "wb") as f:
            for i in range(0, len(new), 16384):
                f.write(new[i : i + 16384]); f.flush()
    elif way == 1:  # overwritten in place, as rsync --inplace does
        fd = os.open(path, os.O_WRONLY)
        for i in range(0, len(new), 16384):
            os.write(fd, new[i : i + 16384])
        os.close(fd)
    elif way == 2:  # deleted and written anew
        os.unlink(path)
        with open(path, "wb") as f:
            f.write(new)
    else:           # the right way
        with open(path + ".new", "wb") as f:
            f.write(new)
        os.rename(path + ".new", path)
    if turn % 3 == 0:
        time.sleep(0.03)
"""

LOADER = """
import sys; sys.path[:0] = [{package!r}]
import efferent, numpy as np
path, goods, count = sys.argv[1], {{int(h) for h in sys.argv[2].split(",")}}, int(sys.argv[3])
loaded = refused = 0
for _ in range(count):
    try:
        policy = efferent.Policy(path)
    except efferent.Error as e:
        refused += 1
        continue
    assert policy.hash in goods, f"neither of the two files: {{policy.hash:x}}"
    loaded += 1
print(loaded, refused)
"""


@pytest.mark.parametrize("external", [False, True])
def test_a_file_that_is_written_to_during_a_hundred_loads_is_an_error_or_a_whole_file(tmp_path, external):
    contents = []
    for name, factor in (("a", 1), ("b", 2)):
        path = tmp_path / f"{name}.onnx"
        if external:
            (tmp_path / "data.bin").unlink(missing_ok=True)  # onnx would append to it
            onnx.save(scaled(factor), path, save_as_external_data=True, location="data.bin", size_threshold=0)
            contents.append((tmp_path / "data.bin").read_bytes())
        else:
            path.write_bytes(scaled(factor).SerializeToString())
            contents.append(path.read_bytes())
    changing = tmp_path / ("data.bin" if external else "policy.onnx")
    model = tmp_path / ("a.onnx" if external else "policy.onnx")
    goods = []
    for i, content in enumerate(contents):
        (tmp_path / f"content{i}").write_bytes(content)
        changing.write_bytes(content)
        goods.append(efferent.Policy(model).hash)
    assert goods[0] != goods[1]
    writer = subprocess.Popen([sys.executable, "-c", WRITER, changing, tmp_path / "content0", tmp_path / "content1"])
    try:
        child = subprocess.run([sys.executable, "-c", LOADER.format(package=PACKAGE), model, ",".join(map(str, goods)),
                                "100"],
                               capture_output=True, text=True, timeout=120)
    finally:
        writer.kill()
        writer.wait()
    assert child.returncode == 0, (
        f"{signal.Signals(-child.returncode).name if child.returncode < 0 else ''} {child.stderr}"
    )
    loaded, refused = map(int, child.stdout.split())
    assert loaded + refused == 100 and loaded > 0


@pytest.mark.parametrize("external", [False, True])
def test_nothing_depends_on_the_files_after_load(tmp_path, external, monkeypatch):
    made = models.mlp()
    onnx.save(made, tmp_path / "mlp.onnx", save_as_external_data=external, location="mlp.data", size_threshold=0)
    monkeypatch.chdir(tmp_path)
    policy = efferent.Policy("mlp.onnx", learnable=True)
    session = policy.session()
    x = models.normal(8, 1, 7, scale=1)
    before = session.step(x)
    for name in os.listdir("."):
        with open(name, "r+b") as f:
            f.write(b"\xff" * 64)
            f.truncate(64)
        os.unlink(name)
    monkeypatch.chdir("/")
    assert np.array_equal(session.step(x), before) and np.array_equal(policy.session().step(x), before)
    # a learner reads the model a second time, and writes it with its data
    learner = efferent.Learner(policy=policy)
    learner.export(tmp_path / "learned.onnx")
    again = efferent.Policy(tmp_path / "learned.onnx")
    assert np.allclose(again.session().step(x), before, atol=1e-6)


def cannot(code, *arguments):
    child = subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = [{PACKAGE!r}]\n" + code,
                            *map(str, arguments)],
                           capture_output=True, text=True, timeout=120)
    assert child.returncode == 0, f"{child.returncode} {child.stderr}"
    return child.stdout.strip()


def test_a_bound_on_memory_is_named(tmp_path):
    (tmp_path / "large.onnx").write_bytes(scaled(1, 4096).SerializeToString())
    text = cannot("""
import resource, efferent, numpy
efferent.version()
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + (40 << 20), used + (40 << 20)))
try:
    efferent.Policy(sys.argv[1])
except efferent.Error as e:
    print(type(e).__name__, e)
""", tmp_path / "large.onnx")
    assert "cannot allocate" in text and "RLIMIT_AS" in text and "ulimit -v" in text, text
    assert "mapped" not in text


def test_a_file_beyond_the_memory_limit_is_not_read(tmp_path):
    (tmp_path / "p.onnx").write_bytes(scaled(1).SerializeToString())
    with open(tmp_path / "p.onnx", "r+b") as f:
        f.truncate(1 << 40)  # takes no room on the disk
    with pytest.raises(efferent.Error, match="exceeds the memory limit of 4294967296 bytes"):
        efferent.Policy(tmp_path / "p.onnx")


def test_ort_files_are_named(tmp_path):
    with pytest.raises(efferent.FormatError, match=r"ONNX Runtime file \(\.ort\).*\.onnx file"):
        efferent.Policy(b"\x18\x00\x00\x00ORTM" + bytes(200))


LAYOUTS = {
    # {link or file: what it leads to, or None for a file}
    "model cache": {"blobs/aa": "model", "blobs/bb": "data", "snapshots/r/model.onnx": "../../blobs/aa",
                    "snapshots/r/model.data": "../../blobs/bb"},
    "colcon --symlink-install": {"src/p/model.onnx": "model", "src/p/model.data": "data",
                                 "install/share/p/model.onnx": "../../../src/p/model.onnx",
                                 "install/share/p/model.data": "../../../src/p/model.data"},
    "the model alone is a link": {"store/model.onnx": "model", "store/model.data": "data",
                                  "here/model.onnx": "../store/model.onnx"},
    "a link of a link": {"a/model.onnx": "model", "a/model.data": "data", "b/model.onnx": "../a/model.onnx",
                         "c/model.onnx": "../b/model.onnx"},
    "real files": {"d/model.onnx": "model", "d/model.data": "data"},
}


def laid_out(tmp_path, layout):
    onnx.save(models.mlp(), tmp_path / "m.onnx", save_as_external_data=True, location="model.data", size_threshold=0)
    content = {"model": (tmp_path / "m.onnx").read_bytes(), "data": (tmp_path / "model.data").read_bytes()}
    os.unlink(tmp_path / "model.data")
    for name, what in layout.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content[what]) if what in content else os.symlink(what, path)
    return tmp_path / "tree" / [n for n in layout if n.endswith("model.onnx")][-1]


@pytest.mark.parametrize("name", LAYOUTS)
def test_links_of_caches_and_installations_are_followed(tmp_path, name):
    path = laid_out(tmp_path, LAYOUTS[name])
    x = models.normal(8, 1, 7, scale=1)
    want = efferent.Policy(models.mlp().SerializeToString()).session().step(x)
    assert np.array_equal(efferent.Policy(path).session().step(x), want)


@pytest.mark.parametrize("layout", [
    {"other/model.data": "data", "d/model.onnx": "model", "d/model.data": "../other/model.data"},
    {"other/model.data": "data", "src/model.onnx": "model", "d/model.data": "../other/model.data",
     "d/model.onnx": "../src/model.onnx"},
])
def test_data_outside_of_both_folders_is_refused(tmp_path, layout):
    path = laid_out(tmp_path, layout)
    with pytest.raises(efferent.FormatError, match="outside the model's folder.*it is a link to '.*other/model.data'"):
        efferent.Policy(path)
