"""Files that are either whole or not there."""

import os

import pytest

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
