"""The notebooks: each runs from top to bottom, and what is committed is such a run."""

import ast
import os
import pathlib
import re

import nbclient
import nbformat
import pytest

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FLAG = "KERASGEN_QUICK"
NOISE = ("oneDNN", "cuda", "absl::InitializeLog", "computation_placer", "cpu_feature_guard")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def parse(source):
    """The cell's syntax tree, without lines that are IPython's."""
    return ast.parse(re.sub(r"^%.*$", "", source, flags=re.M))


def outputs(notebook, kind):
    found = [output for cell in code_cells(notebook) for output in cell.outputs]
    return [output for output in found if output.output_type == kind]


def plots(notebook):
    shown = outputs(notebook, "display_data") + outputs(notebook, "execute_result")
    return [output for output in shown if "image/png" in output.data]


def noise(notebook):
    """What TensorFlow, or a warning, has left on the page."""
    return [output.text for output in outputs(notebook, "stream") if output.name == "stderr"]


def test_the_lessons_are_there():
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{number:02}" for number in range(1, 8)]


@each_notebook
def test_it_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    monkeypatch.setenv(FLAG, "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.getenv("PYTHONPATH", "")]))
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    notebook = read(path)
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()  # raises what a cell raises
    assert not outputs(notebook, "error")
    assert plots(notebook)
    assert not noise(notebook)
    assert [cell.execution_count for cell in code_cells(notebook)] == list(
        range(1, len(code_cells(notebook)) + 1)
    )


@each_notebook
def test_what_is_committed_is_a_whole_run(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert len(plots(notebook)) >= 4
    assert not outputs(notebook, "error") and not noise(notebook)
    assert path.stat().st_size < 2_500_000


@each_notebook
def test_nothing_tells_of_the_machine(path):
    text = re.sub(r'"image/png": "[^"]*"', "", path.read_text())
    for words in (*NOISE, "/home/", "/root/", "/work/", "/tmp/", "site-packages", "C:\\\\Users"):
        assert words not in text, words


@each_notebook
def test_the_quick_mode_changes_sizes_and_nothing_else(path):
    (cell,) = [cell for cell in code_cells(read(path)) if re.search(r"\bQUICK\b", cell.source)]
    assert cell.source.count(FLAG) == 1
    statements = [node for node in parse(cell.source).body if "QUICK" in ast.unparse(node)]
    flag, *sizes = statements
    assert ast.unparse(flag) == f"QUICK = os.environ.get('{FLAG}') == '1'"
    assert sizes
    for size in sizes:  # NAME = number if QUICK else number
        assert isinstance(size, ast.Assign) and isinstance(size.value, ast.IfExp), size
        assert ast.unparse(size.value.test) == "QUICK"
        quick, full = (ast.literal_eval(side) for side in (size.value.body, size.value.orelse))
        assert type(quick) is type(full) is int and 0 < quick < full


@each_notebook
def test_no_cell_hides_an_exception_or_installs_by_the_way(path):
    first, *others = code_cells(read(path))
    assert first.source == code_cells(read(NOTEBOOKS[0]))[0].source
    assert 'find_spec("kerasgen") is None' in first.source
    for cell in others:
        assert not re.search(r"^\s*[!]|^%%|%pip|pip install", cell.source, flags=re.M)
        for node in ast.walk(parse(cell.source)):
            assert not isinstance(node, ast.Try)
            assert "suppress" not in getattr(node, "attr", "") + getattr(node, "id", "")


@each_notebook
def test_it_teaches_in_words(path):
    notebook = read(path)
    words = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert words[0].startswith("# ") and "## Try it" in words[-1]
    assert len(" ".join(words).split()) > 400
    for link in re.findall(r"\]\(([^)#]+)\)", "\n".join(words)):
        assert (path.parent / link).exists(), link
