"""Files that are either whole or not there."""

import contextlib
import os
import pathlib
import shutil


@contextlib.contextmanager
def write_beside(path):
    """Yields a path next to `path` to write to, and renames it to `path` when all went well.

    Where the block raises, what was written is removed and an older `path` stays as it was. The
    temporary name keeps the suffixes (savers go by them) and starts with a dot. An older directory
    that isn't empty is never replaced.

    Args:
        path: str or path. The file or directory to appear.

    Yields:
        `pathlib.Path` to write a file or directory at.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    stem, dot, suffixes = path.name.partition(".")
    part = path.with_name(f".{stem}-{os.getpid()}.part{dot}{suffixes}")
    _remove(part)  # of a process of the same number that was killed
    try:
        yield part
        os.replace(part, path)
    finally:
        _remove(part)


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
