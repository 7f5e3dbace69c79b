"""The version of this package. It is written in one place, include/efferent/efferent.h."""

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HEADER = Path(__file__).resolve().parents[3] / "include/efferent/efferent.h"


def number():
    """The version, such as "0.1.0": of the header in a checkout, else of the installed package, else None."""
    if HEADER.is_file():
        text = HEADER.read_text()
        return ".".join(
            re.search(rf"^#define EFF_VERSION_{part} (\d+)$", text, re.M).group(1)
            for part in ("MAJOR", "MINOR", "PATCH")
        )
    try:
        return version("efferent")
    except PackageNotFoundError:
        return None


def series(text):
    """The part of a version within which the C interface stays: "0.1" below 1.0, then "1"."""
    major, minor = text.split(".")[:2]
    return f"{major}.{minor}" if major == "0" else major
