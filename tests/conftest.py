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
