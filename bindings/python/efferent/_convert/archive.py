"""Zip files, read member by member within bounds."""
import zipfile

from ..errors import FormatError

MOST_BYTES = 4 << 30  # of one member
LEAST_SUSPECT = 64 << 20


class Archive:
    """The members of a zip file, read one by one within bounds."""

    def __init__(self, file, what):
        self.what = what
        try:
            self.zip = zipfile.ZipFile(file)
            self.entries = {i.filename: i for i in self.zip.infolist()}
        except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError, UnicodeError) as e:
            raise FormatError(f"{what} is no zip archive, or is cut short: {e}") from None

    def __contains__(self, name):
        return name in self.entries

    def read(self, name):
        entry = self.entries.get(name)
        if entry is None:
            raise FormatError(f"{self.what} has no member '{name}'")
        if (
            entry.file_size > MOST_BYTES
            or entry.file_size > LEAST_SUSPECT
            and entry.file_size > 100 * entry.compress_size
        ):
            raise FormatError(f"{self.what}: member '{name}' unpacks from {entry.compress_size} to {entry.file_size} "
                              f"bytes, which is refused")
        try:
            with self.zip.open(entry) as stream:
                data = stream.read(entry.file_size + 1)
        except Exception as e:  # zipfile raises whatever its decompressors raise
            raise FormatError(f"{self.what}: member '{name}' cannot be read: {type(e).__name__}: {e}") from None
        if len(data) != entry.file_size:
            raise FormatError(f"{self.what}: member '{name}' has {len(data)} bytes, expected {entry.file_size}")
        return data
