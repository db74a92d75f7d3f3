"""What all tests share."""

import os
import pathlib
import sys

import pytest
from threadpoolctl import threadpool_limits

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Data sets that someone prepared on this machine are not seen. TFDS reads it once, on its import.
os.environ["TFDS_DATA_DIR"] = str(pathlib.Path(__file__).parent / "no_tfds_data_sets")
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from forks import KERASGEN, TENSORFLOW, Forks  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def cache_away_from_home(tmp_path_factory):
    """Decoded pictures and features that are kept between runs go to a temporary directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def one_thread():
    """For linear algebra on matrices so small that threads mostly wait for each other."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="class")
def trained_once(request):
    """A training of a class of `ModelChecks`. Tests must not change its model."""
    return request.cls().train_once()


@pytest.fixture(scope="session")
def forks():
    """Starts processes that have imported kerasgen."""
    forks = Forks(KERASGEN)
    yield forks
    forks.close()


@pytest.fixture(scope="session")
def tensorflow_forks():
    """Starts processes that have imported TensorFlow, and can't import Keras and kerasgen."""
    forks = Forks(TENSORFLOW)
    yield forks
    forks.close()


@pytest.fixture(scope="module", autouse=True)
def forked_export_checks(tensorflow_forks):
    """The program that checks an export runs in a fork, not in a Python that starts anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kerasgen.export.check.subprocess", tensorflow_forks.as_subprocess())
        yield
