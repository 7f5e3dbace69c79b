"""The command line: efferent inspect | check | card | preflight | walk | stall-test | serve | keys | learn | record
| quantize | convert."""
import signal
import sys

# what a module that is missing is installed with, where a command needs it
INSTALLED_BY = {
    "typer": "'efferent[cli]'", "rich": "'efferent[cli]'",
    "gymnasium": "'efferent[learn]'", "matplotlib": "matplotlib", "mujoco": "mujoco", "imageio": "imageio",
    "glfw": "glfw", "zmq": "'efferent[bridge]'",
    "msgpack": "'efferent[bridge]'", "onnx": "'efferent[check]'", "onnxruntime": "'efferent[check]'",
    "yaml": "'efferent[card]'",
}


def main():
    from .errors import Error

    is_interrupted = False

    def interrupt(number, frame):
        nonlocal is_interrupted
        is_interrupted = True
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    try:
        # noqa: F401  they add their commands
        from . import _command_card, _command_keys, _command_preflight, _command_quantize, _command_stall, _command_walk
        from .lab._command import app  # with the commands of _command

        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except SystemExit as e:
        # whatever was made of it on the way: the shell's word for an interrupted program
        sys.exit(130 if is_interrupted and e.code else e.code)
    except ModuleNotFoundError as e:
        package = (e.name or "").partition(".")[0]
        if package not in INSTALLED_BY:
            raise
        sys.exit(f"error: {package} is not installed: pip install {INSTALLED_BY[package]}")
    except (Error, OSError) as e:
        sys.exit(f"error: {e}")


if __name__ == "__main__":
    main()
