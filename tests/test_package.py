"""What importing costs, and which backend it wants."""

import os
import subprocess
import sys

import keras
import pytest

import kerasgen


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def heavy_after(code):
    """Which heavy packages a fresh process has imported after running `code`."""
    heavy = ("tensorflow", "keras", "numpy", "matplotlib", "sklearn")
    result = run_python(f"import sys\n{code}\nprint([m for m in {heavy} if m in sys.modules])")
    assert result.returncode == 0, result.stderr
    return result.stdout.strip().splitlines()[-1]


def test_import_and_help_need_no_heavy_package():
    assert heavy_after("import kerasgen") == "[]"
    help_code = (
        "from kerasgen.cli import main\ntry: main(['train', '--help'])\nexcept SystemExit: pass"
    )
    assert heavy_after(help_code) == "[]"


def test_public_names_resolve():
    for name in kerasgen.__all__:
        assert getattr(kerasgen, name) is not None
    assert set(kerasgen.__all__) <= set(dir(kerasgen))
    with pytest.raises(AttributeError, match="no attribute 'DCGAM'"):
        _ = kerasgen.DCGAM


@pytest.mark.parametrize("imports", ["import keras, kerasgen", "import kerasgen, keras"])
def test_models_load_whichever_is_imported_first(tmp_path, imports):
    model = kerasgen.DCGAN((8, 8, 1), generator_filters=4, discriminator_filters=4)
    model.save(tmp_path / "model.keras")
    code = f"{imports}\nm = keras.saving.load_model({str(tmp_path / 'model.keras')!r})\n"
    result = run_python(code + "print(type(m).__name__, m.generate(1, seed=0).sum())")
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["DCGAN", str(model.generate(1, seed=0).sum())]


@pytest.mark.parametrize("module", ["layers", "losses", "samplers", "generative_model"])
def test_modules_can_be_what_imports_keras_first(module):
    code = f"import kerasgen.{module}\nimport keras\n"
    code += "print(keras.saving.get_registered_object('kerasgen>DCGAN').__name__)"
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["DCGAN"]


def test_another_backend_is_refused_with_the_remedy():
    """JAX is configured and missing, so that Keras itself fails to import."""
    result = run_python("import kerasgen\nkerasgen.DCGAN", KERAS_BACKEND="jax")
    assert result.returncode != 0
    assert "KERAS_BACKEND=tensorflow" in result.stderr and "'jax'" in result.stderr
    code = "from kerasgen.cli import main\nexit(main(['train', 'dcgan', '--data', 'digits']))"
    result = run_python(code, KERAS_BACKEND="jax")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "KERAS_BACKEND=tensorflow" in result.stderr


def test_a_running_other_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ImportError, match="KERAS_BACKEND=tensorflow.*Received: backend='torch'"):
        _ = kerasgen.DCGAN


def test_the_command_line_starts_without_tensorflow_s_notices():
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    result = subprocess.run(
        [sys.executable, "-m", "kerasgen.cli", "train", "dcgan", "--data", "no/where"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("kerasgen: error: ") and result.stderr.count("\n") == 1
