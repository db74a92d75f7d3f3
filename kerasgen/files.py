"""Files that are either whole or not there, and directories that one process writes to."""

import contextlib
import os
import pathlib
import shutil
import stat
import zipfile
import zlib

import filelock

LOCK = ".lock"
LARGEST_TEXT = 16 * 2**20  # bytes of a JSON member of a model file
LARGEST_RATIO = 100  # of a member to its place in the file; weights hardly shrink


class DirectoryInUse(RuntimeError):
    """A directory that another process is writing to."""


def hold(directory):
    """Keeps other processes out of a directory, which is made if need be.

    The operating system ends the hold with the process, however that ends; the file that stays
    behind means nothing.

    Args:
        directory: str or path.

    Returns:
        A lock, whose `release()` ends the hold.

    Raises:
        DirectoryInUse: another process holds it, or another training of this one.
        OSError: it can't be written to.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(directory / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise DirectoryInUse(
            f"Another training is writing to {str(directory)!r}: wait for its end, or give this "
            "one a directory of its own."
        ) from None
    return lock


def check_archive(path):
    """Refuses a `.keras` file that is damaged, or would write elsewhere, or fill memory or disk.

    Keras' safe mode, which runs no code that a file brings along, doesn't look at that.

    Args:
        path: str or path.

    Raises:
        ValueError: such a file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.infolist())
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"{str(path)!r} isn't a whole .keras file: {error}") from None
    if damaged is not None:
        raise ValueError(f"{str(path)!r} isn't a whole .keras file: {damaged!r} is damaged.")


def _check_members(path, members):
    for member in members:
        parts = pathlib.PurePosixPath(member.filename.replace("\\", "/")).parts
        outside = not parts or parts[0] == "/" or ".." in parts or ":" in parts[0]
        if outside or stat.S_ISLNK(member.external_attr >> 16):
            what = "lies outside of the archive"
        elif member.filename.endswith(".json") and member.file_size > LARGEST_TEXT:
            what = f"has {member.file_size} bytes, for a text of settings"
        elif member.file_size > LARGEST_RATIO * max(member.compress_size, 1024):
            what = f"unpacks from {member.compress_size} to {member.file_size} bytes"
        else:
            continue
        raise ValueError(
            f"{str(path)!r} is not a model that one should load: its member "
            f"{member.filename!r} {what}."
        )


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
