"""The file of a backup: JSON and arrays behind a checksum, written whole or not at all.

Eight bytes that say what it is, the SHA-256 of all that follows, the length of the JSON, the JSON,
and the arrays' bytes one after another. Nothing in it is ever executed.
"""

import hashlib
import json
import os
import pathlib

import ml_dtypes
import numpy as np

from kerasgen.files import write_beside

MAGIC = b"KGBACKUP"
DIGEST, LENGTH = 32, 8
NAME, PREVIOUS = "state.kgb", "state-previous.kgb"


class BackupError(ValueError):
    """A file that isn't a whole backup."""


def write(directory, facts, arrays):
    """Writes a backup; the one before stays beside it.

    Args:
        directory: `pathlib.Path`.
        facts: dict for JSON.
        arrays: dict of name -> array.

    Raises:
        OSError: it can't be written; what was there stays.
    """
    table = [[name, values.dtype.name, values.shape] for name, values in arrays.items()]
    head = json.dumps({"facts": facts, "arrays": table}).encode()
    parts = [len(head).to_bytes(LENGTH, "little"), head]
    parts += [np.ascontiguousarray(v).reshape(-1).view(np.uint8).data for v in arrays.values()]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    path = directory / NAME
    with write_beside(path) as part:
        with open(part, "wb") as file:
            file.write(MAGIC + digest.digest())
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.replace(path, directory / PREVIOUS)


def read(path):
    """Reads a backup.

    Args:
        path: `pathlib.Path`.

    Returns:
        Tuple of the facts, a dict, and the arrays, a dict of name -> array.

    Raises:
        BackupError: a file that is torn, changed, or something else.
    """
    content = pathlib.Path(path).read_bytes()
    if not content.startswith(MAGIC):
        raise BackupError(f"{str(path)!r} isn't a backup of kerasgen.")
    body = memoryview(content)[len(MAGIC) + DIGEST :]
    if hashlib.sha256(body).digest() != content[len(MAGIC) : len(MAGIC) + DIGEST]:
        raise BackupError(f"{str(path)!r} is torn or was changed: its checksum is wrong.")
    place = LENGTH + int.from_bytes(body[:LENGTH], "little")
    head = json.loads(bytes(body[LENGTH:place]))
    arrays = {}
    for name, kind, shape in head["arrays"]:
        dtype = np.dtype(getattr(ml_dtypes, kind, kind))
        size = int(np.prod(shape, dtype=int)) * dtype.itemsize
        arrays[name] = np.frombuffer(body[place : place + size], dtype).reshape(shape)
        place += size
    return head["facts"], arrays


def read_latest(directory):
    """Reads the latest backup that is whole.

    Args:
        directory: `pathlib.Path`.

    Returns:
        Tuple of the facts, the arrays, and a list of str, what is wrong with later ones; the
        first two are None where there is no whole one.
    """
    problems = []
    for name in (NAME, PREVIOUS):
        try:
            return *read(directory / name), problems
        except FileNotFoundError:
            continue
        except (BackupError, OSError) as error:
            problems.append(str(error))
    return None, None, problems


def remove(directory):
    """Removes the backups of a directory, and the directory if nothing else is in it."""
    for name in (NAME, PREVIOUS):
        (directory / name).unlink(missing_ok=True)
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()
