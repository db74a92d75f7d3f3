"""What tests of the command line share."""

import pytest

from kerasgen.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command in an empty working directory; gives exit code, output and error text."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as error:  # argparse's way out
            code = error.code
        return code, *capsys.readouterr()

    return call
