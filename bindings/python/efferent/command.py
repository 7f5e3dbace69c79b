"""The command line: efferent inspect | check | card | preflight | walk | stall-test | serve | learn | record | quantize."""
import importlib.util
import sys


def main():
    missing = [name for name in ("typer", "rich") if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"the command line needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    from . import _command_card, _command_preflight, _command_quantize, _command_stall, _command_walk  # noqa: F401  they add their commands
    from ._learn import app  # with the commands of _command

    app()


if __name__ == "__main__":
    main()
