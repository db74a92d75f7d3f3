"""Files that are whole or not there, directories that one process has, and what is loaded."""

import os
import stat
import subprocess
import sys
import zipfile

import pytest

import kerasgen
from kerasgen import files
from kerasgen.files import write_beside


def test_file_appears_whole_and_alone(tmp_path):
    path = tmp_path / "new" / "notes.txt"
    with write_beside(path) as part:
        part.write_text("half")
        assert not path.exists()
        assert part.parent == path.parent and part.suffix == ".txt" and part.name.startswith(".")
    assert path.read_text() == "half"
    assert os.listdir(path.parent) == ["notes.txt"]


def test_error_leaves_the_older_file_and_nothing_else(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), write_beside(path) as part:
        part.write_text("half of the n")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_file_replaces_an_older_one(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("old")
    with write_beside(path) as part:
        part.write_text("new")
    assert path.read_text() == "new"


def test_directory(tmp_path):
    path = tmp_path / "model"
    with write_beside(path) as part:
        part.mkdir()
        (part / "weights").write_text("w")
    assert (path / "weights").read_text() == "w"
    assert os.listdir(tmp_path) == ["model"]
    with pytest.raises(RuntimeError), write_beside(tmp_path / "other") as part:
        (part / "deep").mkdir(parents=True)
        raise RuntimeError
    assert os.listdir(tmp_path) == ["model"]


def test_directory_with_content_is_never_replaced(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "weights").write_text("old")
    with pytest.raises(OSError), write_beside(path) as part:
        part.mkdir()
        (part / "weights").write_text("new")
    assert (path / "weights").read_text() == "old"
    assert os.listdir(tmp_path) == ["model"]


def test_what_a_killed_process_left_is_not_mixed_in(tmp_path):
    path = tmp_path / "model"
    with write_beside(path) as part:
        part.mkdir()
    left = tmp_path / part.name
    left.mkdir()
    (left / "stale").touch()
    with write_beside(path) as part:
        assert part == left
        part.mkdir()
        (part / "fresh").touch()
    assert os.listdir(path) == ["fresh"]


# === What is loaded ===


def archive(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_a_model_file_passes(tmp_path):
    model = kerasgen.DCGAN((8, 8, 1), generator_filters=4, discriminator_filters=4)
    model.save(tmp_path / "model.keras")
    files.check_archive(tmp_path / "model.keras")


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/etc/evil", "assets/../../evil", "C:/evil", "assets\\..\\..\\evil"]
)
def test_members_that_escape_are_refused(tmp_path, name):
    path = archive(tmp_path / "model.keras", {"config.json": "{}", name: "x"})
    with pytest.raises(ValueError, match="outside of the archive"):
        files.check_archive(path)


def test_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("assets/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = archive(tmp_path / "model.keras", {"config.json": "{}"})
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match="outside of the archive"):
        files.check_archive(path)


@pytest.mark.parametrize(
    "name, size, words",
    [("config.json", 17 * 2**20, "settings"), ("model.weights.h5", 2**26, "unpacks")],
)
def test_oversized_members_are_refused(tmp_path, name, size, words):
    members = {name: b"\0" * size}
    path = archive(tmp_path / "model.keras", members, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=words):
        files.check_archive(path)


# === One process a directory ===

HOLD = """
import sys
from kerasgen.files import hold
lock = hold(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def test_a_directory_is_one_process_s_until_that_is_killed(tmp_path):
    command = [sys.executable, "-c", HOLD, tmp_path]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(files.DirectoryInUse, match="Another training"):
            files.hold(tmp_path)
        child.kill()
    lock = files.hold(tmp_path)
    with pytest.raises(files.DirectoryInUse):
        files.hold(tmp_path)
    lock.release()
    files.hold(tmp_path).release()
