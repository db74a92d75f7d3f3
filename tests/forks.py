"""Python processes as forks of one that has imported what they need, which takes most of a start.

`forks.py PREPARATION` runs the code PREPARATION, which must not start TensorFlow, and then for each
line of standard input a program in a fork of its own, that begins and ends as if it were alone.
"""

import json
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile
import time
import types

# What to prepare: all of kerasgen, or TensorFlow alone.
KERASGEN = """
import kerasgen.cli
for name in kerasgen.__all__:
    getattr(kerasgen, name)
"""
TENSORFLOW = """
import sys
sys.modules["keras"] = sys.modules["kerasgen"] = None  # importing them fails
import tensorflow
from tensorflow.core.protobuf import saved_model_pb2
"""


class Forks:
    """Starts programs; the process that is forked begins with the first, or `begin`."""

    def __init__(self, preparation):
        self.preparation = preparation
        self.process = self.folder = None
        self.count = 0

    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        # -P: beside this program lie modules that none of those should find.
        command = [sys.executable, "-P", __file__, self.preparation]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)

    def start(self, *arguments, env=None, merge=False):
        """Starts what `python *arguments` would: a program, or "-m" and a module.

        Args:
            *arguments: str, paths or numbers.
            env: dict of the environment, or None. Defaults to None: that of this process.
            merge: bool. Whether what it says of errors is part of its output. Defaults to False.

        Returns:
            `Fork`.
        """
        if self.process is None:
            self.begin()
        self.count += 1
        place = pathlib.Path(self.folder.name, f"{os.getpid()}-{self.count}")
        place.mkdir()
        request = {
            "arguments": [str(argument) for argument in arguments],
            "environment": dict(os.environ if env is None else env),
            "directory": os.getcwd(),
            "place": str(place),
            "merge": merge,
        }
        (place / "request").write_text(json.dumps(request))
        self.process.stdin.write(f"{place}\n")
        self.process.stdin.flush()
        return Fork(place)

    def as_subprocess(self):
        """What `kerasgen.export.check` uses of the module `subprocess`, with forks."""

        def run(command, timeout, env, capture_output, text):
            python, _, *arguments = command
            assert python == sys.executable and capture_output and text
            fork = self.start(*arguments, env=env)
            out, errors = fork.communicate(timeout)
            return subprocess.CompletedProcess(command, fork.returncode, out, errors)

        return types.SimpleNamespace(run=run, TimeoutExpired=subprocess.TimeoutExpired)

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(60)
            self.folder.cleanup()


class Fork:
    """A program that was started, with what the tests use of `subprocess.Popen`."""

    def __init__(self, place):
        self.place = place
        self.pid = int(self._wait_for("pid", 120))

    def _wait_for(self, name, seconds):
        end = time.monotonic() + seconds
        while not (self.place / name).exists():
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(str(self.place), seconds)
            time.sleep(0.005)
        return (self.place / name).read_text()

    def poll(self):
        file = self.place / "code"
        return int(file.read_text()) if file.exists() else None

    @property
    def returncode(self):
        return self.poll()

    def communicate(self, timeout):
        """What it wrote to standard output and as errors, when it has ended."""
        self._wait_for("code", timeout)
        return tuple((self.place / name).read_text() for name in ("out", "errors"))

    def send_signal(self, number):
        os.kill(self.pid, number)


def serve(lines):
    """Forks for each line; returns in the forks, with what they are to run."""
    keepers = []  # a process for each fork, which waits for its end
    for line in lines:
        keepers = [keeper for keeper in keepers if not os.waitpid(keeper, os.WNOHANG)[0]]
        keeper = os.fork()
        if keeper:
            keepers.append(keeper)
            continue
        place = pathlib.Path(line.strip())
        child = os.fork()
        if not child:
            return json.loads((place / "request").read_text())
        write(place / "pid", child)
        _, status = os.waitpid(child, 0)
        write(place / "code", os.waitstatus_to_exitcode(status))
        os._exit(0)
    for keeper in keepers:
        os.waitpid(keeper, 0)
    sys.exit()


def write(path, number):
    part = path.with_suffix(".part")
    part.write_text(str(number))
    part.rename(path)


def become(request):
    """Makes this process the one that was asked for, but for running it."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["directory"])
    place = pathlib.Path(request["place"])
    errors = "out" if request["merge"] else "errors"
    (place / "errors").touch()
    for number, name in enumerate((os.devnull, "out", errors)):
        opened = os.open(place / name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)


if __name__ == "__main__":
    exec(sys.argv[1], {})
    request = serve(sys.stdin)
    become(request)
    program, *rest = request["arguments"]
    if program == "-m":
        program, *rest = rest
        sys.argv = [program, *rest]
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [program, *rest]
        runpy.run_path(program, run_name="__main__")
