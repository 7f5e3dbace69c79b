"""The programs in README.md and on the pages do what these say, as written."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

root = Path(__file__).resolve().parents[2]
policy = root / "examples/policies/half_cheetah.onnx"
prefix = root / ".build/prefix"


def block(language, index=0, page="README.md"):
    return re.findall(rf"^```{language}\n(.*?)^```", (root / page).read_text(), re.M | re.S)[index]


@pytest.mark.parametrize(
    "page, language, compiler, standard",
    [
        ("README.md", "c", "cc", "c11"),
        ("bindings/c/README.md", "c", "cc", "c11"),
        ("bindings/cpp/README.md", "cpp", "c++", "c++17"),
    ],
)
def test_the_compiled_program_prints_an_action_of_the_example_policy(tmp_path, page, language, compiler, standard):
    if not (prefix / "lib/libefferent.so").exists() or not shutil.which(compiler):
        pytest.skip("needs bindings/c/install.sh --prefix .build/prefix and a compiler")
    source = tmp_path / f"step.{language}"
    source.write_text(block(language, page=page))
    program = tmp_path / "step"
    flags = [
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        f"-std={standard}",
        f"-I{prefix}/include",
        f"-L{prefix}/lib",
        f"-Wl,-rpath,{prefix}/lib",
    ]
    subprocess.run([compiler, *flags, str(source), "-lefferent", "-o", str(program)], check=True)
    found = subprocess.run([program, policy], check=True, capture_output=True, text=True).stdout.split()
    import efferent
    import numpy as np

    expected = efferent.Policy(policy).session().step(np.zeros(17))
    assert [float(v) for v in found] == pytest.approx([expected[0], expected[5]], rel=1e-4)
    assert subprocess.run([program, "nothing.onnx"], capture_output=True).returncode == 1


def test_the_c_program_learns_to_stand(tmp_path):
    if not (prefix / "lib/libefferent.so").exists() or not shutil.which("cc"):
        pytest.skip("needs bindings/c/install.sh --prefix .build/prefix and a compiler")
    (tmp_path / "learn.c").write_text(block("c", 1, page="bindings/c/README.md"))
    subprocess.run(
        [
            "cc",
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            f"-I{prefix}/include",
            "learn.c",
            "-o",
            "learn",
            f"-L{prefix}/lib",
            f"-Wl,-rpath,{prefix}/lib",
            "-lefferent",
        ],
        cwd=tmp_path,
        check=True,
    )
    run = subprocess.run([tmp_path / "learn"], cwd=tmp_path, capture_output=True, text=True)
    rewards = [float(line) for line in run.stdout.split()]
    assert run.returncode == 0 and rewards[0] < -1 and rewards[-1] > -0.3, run.stdout
    assert (tmp_path / "cart.onnx").stat().st_size > 10_000
    refused = subprocess.run([tmp_path / "learn", "adam"], capture_output=True, text=True)
    assert refused.returncode == 1 and "expected one of 'stream-x', 'intentional'" in refused.stdout


def test_the_python_program_runs_as_written():
    code = (
        block("python")
        + "\nassert action.shape == (6,) and np.array_equal(action, outputs['actions'][0]), (action, outputs)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, env=os.environ)
    assert run.returncode == 0, run.stderr


def test_the_learner_balances_the_pendulum_as_written():
    pytest.importorskip("mujoco")
    run = subprocess.run(
        [sys.executable, "-c", block("python", page="bindings/python/README.md")],
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert run.returncode == 0, run.stderr
    returns = [float(r) for r in re.findall(r"return (\d+)", run.stdout)]
    assert returns[0] < 100 and max(returns) > 700, returns


def test_a_policy_goes_on_learning_as_written(tmp_path):
    (tmp_path / "examples").symlink_to(root / "examples")
    code = block("python", 1) + "\nassert np.abs(session.step(np.ones(17)) - learner.infer(np.ones(17))).max() < 1e-5\n"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}  # written from another folder
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=env)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "learned.onnx").stat().st_size > 100_000


def test_the_crates_page_has_a_program_that_runs(tmp_path):
    if not shutil.which("cargo") or not (prefix / "lib/libefferent.so").exists():
        pytest.skip("needs cargo and bindings/c/install.sh --prefix .build/prefix")
    page = "bindings/rust/README.md"
    manifest = block("toml", page=page).replace("PATH/bindings/rust", str(root / "bindings/rust"))
    (tmp_path / "Cargo.toml").write_text('[package]\nname = "user"\nversion = "0.1.0"\nedition = "2021"\n' + manifest)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/main.rs").write_text(block("rust", page=page))
    env = {
        **os.environ,
        "EFFERENT_PREFIX": str(prefix),
        "LD_LIBRARY_PATH": str(prefix / "lib"),
        "CARGO_TARGET_DIR": str(tmp_path / "target"),
        "CARGO_NET_OFFLINE": "true",
    }
    subprocess.run(["cargo", "build", "-q"], cwd=tmp_path, env=env, check=True)
    run = subprocess.run([tmp_path / "target/debug/user"], cwd=root, env=env, capture_output=True, text=True)
    assert run.returncode == 0 and run.stdout.count(",") == 5, run.stderr
