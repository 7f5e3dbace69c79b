"""Types of signatures."""
from __future__ import annotations

import os
from typing import Union

StrPath = Union[str, os.PathLike[str]]
