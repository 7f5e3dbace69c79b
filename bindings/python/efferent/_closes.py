"""The `with` statement of everything that can be closed."""
from contextlib import AbstractContextManager


class Closes(AbstractContextManager):
    """What has a `close()`, which the end of a `with` calls."""

    def __exit__(self, *_):
        self.close()
