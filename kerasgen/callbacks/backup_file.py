"""The file of a backup: JSON and arrays behind a checksum, written whole or not at all.

Eight bytes that say what it is, the SHA-256 of all that follows, the length of the JSON, the JSON,
and the arrays' bytes one after another. Nothing in it is ever executed.
"""

import hashlib
import json
import math
import os
import pathlib

import ml_dtypes
import numpy as np

from kerasgen.files import LOCK, write_beside

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
    path = directory / NAME
    bodies = [np.ascontiguousarray(v).reshape(-1).view(np.uint8).data for v in arrays.values()]
    with write_beside(path) as part:
        write_parts(part, head, bodies)
        if path.exists():
            os.replace(path, directory / PREVIOUS)


def write_parts(path, head, bodies):
    """Writes JSON and arrays, both as bytes, behind their checksum."""
    parts = [len(head).to_bytes(LENGTH, "little"), head, *bodies]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    with open(path, "wb") as file:
        file.write(MAGIC + digest.digest())
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


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
    try:
        return _parse(body)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise BackupError(f"{str(path)!r} isn't a backup of kerasgen: {error!r}") from None


def _parse(body):
    place = LENGTH + int.from_bytes(body[:LENGTH], "little")
    head = json.loads(bytes(body[LENGTH:place]))
    arrays = {}
    for name, kind, shape in head["arrays"]:
        dtype = np.dtype(getattr(ml_dtypes, kind, kind))
        size = math.prod(shape) * dtype.itemsize
        arrays[name] = np.frombuffer(body[place : place + size], dtype).reshape(shape)
        place += size
    return dict(head["facts"]), arrays


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
    for name in (NAME, PREVIOUS, LOCK):
        (directory / name).unlink(missing_ok=True)
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()
