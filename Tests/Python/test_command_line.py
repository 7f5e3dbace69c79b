"""What every command does alike: help, interruption, packages that are missing, outputs that are there."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ["inspect", "check", "convert", "serve", "learn", "record", "quantize", "card", "preflight", "walk",
            "stall-test"]


def efferent(*arguments, without=(), environment=None, **more):
    """Runs the command line, where the packages `without` cannot be imported."""
    block = f"""
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {tuple(without)!r}:
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)
sys.meta_path.insert(0, Block())
sys.argv = ["efferent", *{[str(a) for a in arguments]!r}]
from efferent.command import main
main()
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "bindings/python"), "COLUMNS": "160", **(environment or {})}
    return subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, env=environment, timeout=120,
                          **more)


def one_line(done, *words):
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and all(w in lines[0] for w in words), done.stderr


def test_every_command_has_a_short_help():
    from typer.testing import CliRunner

    # noqa: F401  they add their commands
    from efferent import _command_card, _command_preflight, _command_quantize, _command_stall, _command_walk
    from efferent.lab._command import app

    for command in [[], *[[c] for c in COMMANDS]]:
        done = CliRunner().invoke(app, [*command, "-h"])
        assert done.exit_code == 0 and "Usage" in done.output and "--help" in done.output, command
    assert all(c in CliRunner().invoke(app, ["-h"]).output for c in COMMANDS)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_the_commands(shell):
    typed = {"COMP_WORDS": "efferent ins", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "efferent ins",
             "_TYPER_COMPLETE_FISH_ACTION": "get-args", "_EFFERENT_COMPLETE": f"complete_{shell}"}
    done = efferent(environment=typed)
    assert done.returncode == 0 and "inspect" in done.stdout and "convert" not in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("package, arguments, words", [
    ("typer", ["inspect", "MODEL"], "typer is not installed: pip install 'efferent[cli]'"),
    ("rich", ["inspect", "MODEL"], "rich is not installed: pip install 'efferent[cli]'"),
    ("gymnasium", ["learn", "CartPole-v1"], "gymnasium is not installed: pip install 'efferent[learn]'"),
    ("gymnasium", ["record", "MODEL", "-o", "OUT"], "gymnasium is not installed: pip install 'efferent[plant]'"),
    ("imageio", ["learn", "HalfCheetah-v5", "--steps", "10"], "imageio is not installed: pip install imageio"),
    ("onnxruntime", ["check", "MODEL"], "onnxruntime is not installed: pip install 'efferent[check]'"),
    ("mujoco", ["walk", "CARD", "--mjcf", "CARD"], "walk needs the package mujoco: pip install mujoco"),
    ("yaml", ["card", "SIDECAR"], "PyYAML: pip install 'efferent[card]'"),
])
def test_a_package_that_is_missing_is_one_line_with_its_pip_command(folder, tmp_path, package, arguments, words):
    (tmp_path / "card.json").write_text("{}")
    (tmp_path / "deploy.yaml").write_text("a: 1\n")
    names = {"MODEL": folder / "mlp.onnx", "OUT": tmp_path / "out.npz", "CARD": tmp_path / "card.json",
             "SIDECAR": tmp_path / "deploy.yaml"}
    one_line(efferent(*[names.get(a, a) for a in arguments], without=[package]), words)


def test_a_package_that_the_processes_of_a_run_miss_is_one_line_too(tmp_path):
    (tmp_path / "imageio.py").write_text("raise ModuleNotFoundError(\"No module named 'imageio'\", name='imageio')")
    path = os.pathsep.join([str(ROOT / "bindings/python"), str(tmp_path)])
    run = [sys.executable, "-m", "efferent", "learn", "HalfCheetah-v5", "--seeds", "2", "--jobs", "2", "--steps", "10"]
    one_line(subprocess.run(run, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}),
             "imageio is not installed: pip install imageio")


def test_without_matplotlib_what_was_learned_is_kept_and_the_picture_is_missed_in_a_line(tmp_path):
    done = efferent("learn", "CartPole-v1", "--steps", 2000, "--evaluate", 1, "--out", tmp_path,
                    without=["matplotlib"])
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        f"{tmp_path}/curve.png is not drawn: matplotlib is not installed: pip install matplotlib"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoints", "curve.csv", "results.json"]


@pytest.mark.parametrize("arguments, output", [
    (["record", "MODEL", "--env", "CartPole-v1", "-o"], "seen.npz"),
    (["quantize", "MODEL", "--observations", "MODEL", "-o"], "small.onnx"),
    (["convert", "MODEL", "-o"], "policy.safetensors"), (["serve", "MODEL", "--stats"], "stats.json"),
])
def test_an_output_that_is_there_is_not_replaced_in_silence(folder, tmp_path, arguments, output):
    path = tmp_path / output
    path.write_text("precious")
    given = [folder / "mlp.onnx" if a == "MODEL" else a for a in arguments]
    one_line(efferent(*given, path), f"{output} is there already; give --force to replace it")
    assert path.read_text() == "precious"
    one_line(efferent(*given, tmp_path / "nowhere" / output), "nowhere does not exist")


def test_a_folder_with_a_run_is_not_learned_into_in_silence(tmp_path):
    (tmp_path / "results.json").write_text("{}")
    one_line(efferent("learn", "CartPole-v1", "--algorithm", "stream-q", "--steps", 10, "--out", tmp_path),
             "holds a run already", "--resume", "--force")


@pytest.mark.parametrize("arguments", [["learn", "CartPole-v1", "--algorithm", "stream-q", "--steps", "100000000"]])
def test_an_interrupted_command_ends_with_130_and_no_traceback(arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "bindings/python")}
    made = subprocess.Popen([sys.executable, "-m", "efferent", *arguments, "--block", "1000"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True,
                            env=environment)
    assert "seed 0 step" in made.stdout.readline()
    made.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, errors = made.communicate(timeout=60)
    assert made.returncode == 130 and "Traceback" not in errors and "interrupted" in errors, (made.returncode, errors)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_the_commands(shell):
    run = [sys.executable, "-c", "import sys; sys.argv = ['efferent']; from efferent.command import main; main()"]

    def asked(**more):
        return subprocess.run(
            run, env={**os.environ, "PYTHONPATH": str(ROOT / "bindings/python"), **more}, capture_output=True, text=True
        ).stdout

    assert f"_EFFERENT_COMPLETE=complete_{shell}" in asked(_EFFERENT_COMPLETE=f"source_{shell}")
    given = {"COMP_WORDS": "efferent insp", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "efferent insp",
             "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert "inspect" in asked(_EFFERENT_COMPLETE=f"complete_{shell}", **given)
