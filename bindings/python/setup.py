"""Builds libefferent with bindings/c/install.sh and bundles it. EFFERENT_BRIDGE=0 builds it without ZeroMQ."""
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

INSTALL = "bindings/c/install.sh"


def project():
    """The folder that holds Package.swift: EFFERENT_SOURCE, or where this file lies."""
    given = os.environ.get("EFFERENT_SOURCE")
    folders = Path(__file__).resolve().parents[2:3] if given is None else [Path(given)]
    for folder in folders:
        if (folder / INSTALL).is_file() and (folder / "Package.swift").is_file():
            return folder
    raise SystemExit(f"efferent: no Swift sources in {folders[0]}: build from a checkout (pip install "
                     "./bindings/python), or set EFFERENT_SOURCE to one")


class Build(build_py):
    def run(self):
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)  # what an older build left must not reach the wheel
        super().run()
        to = Path(self.build_lib) / "efferent" / "libefferent.so"
        if self.editable_mode:  # the checkout's own library is found at run time
            to = Path(__file__).resolve().parents[2] / ".build/prefix/lib/libefferent.so"
        with tempfile.TemporaryDirectory() as folder:
            prefix = to.parents[1] if self.editable_mode else Path(folder)
            bridge = ["--no-bridge"] if os.environ.get("EFFERENT_BRIDGE") == "0" else []
            subprocess.run(["bash", str(project() / INSTALL), "--prefix", str(prefix), *bridge], check=True,
                           stdin=subprocess.DEVNULL)
            if not self.editable_mode:
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(prefix / "lib/libefferent.so", to)
                to.chmod(0o755)


class Wheel(bdist_wheel):
    """One wheel per platform, for every Python 3: the library is called through ctypes."""

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


class WithLibrary(Distribution):
    def has_ext_modules(self):
        return True


def version():
    header = (project() / "include/efferent/efferent.h").read_text()
    return ".".join(re.search(rf"^#define EFF_VERSION_{part} (\d+)$", header, re.M).group(1)
                    for part in ("MAJOR", "MINOR", "PATCH"))


setup(version=version(), distclass=WithLibrary, cmdclass={"build_py": Build, "bdist_wheel": Wheel})
