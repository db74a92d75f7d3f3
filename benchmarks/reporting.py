"""What the programs here share: the machine they ran on, a stopwatch, and tables."""

import importlib.metadata
import os
import pathlib
import platform
import resource
import time

PACKAGES = ("kerasgen", "keras", "tensorflow", "numpy", "pillow")


class Stopwatch:
    """Wall-clock and CPU seconds since it was made; CPU counts all threads of the process."""

    def __init__(self):
        self._wall = time.perf_counter()
        self._cpu = cpu_seconds()

    def read(self):
        """Tuple of 2 floats: wall seconds and CPU seconds."""
        return time.perf_counter() - self._wall, cpu_seconds() - self._cpu


def cpu_seconds():
    """User and system CPU seconds that this process has used so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def print_header(title, **settings):
    """Prints a program's name, the machine, the versions and the settings of the run."""
    cores = os.cpu_count()
    load = os.getloadavg()[0]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    print(f"{title}, {time.strftime('%Y-%m-%d %H:%M')}")
    print(f"Machine: {cores} cores, {_cpu_model()}, {platform.system()}; load {load:.2f} at start")
    print(f"Versions: Python {platform.python_version()}, {versions}")
    print("Settings: " + ", ".join(f"{name} {value}" for name, value in settings.items()))


def print_table(columns, rows):
    """Prints a table, the first column to the left and the others to the right.

    Args:
        columns: list of str.
        rows: list of lists of str, as long as `columns`.
    """
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    print()
    for row in [columns, ["-" * width for width in widths], *rows]:
        first, *others = (cell.ljust(widths[0]) if not i else cell for i, cell in enumerate(row))
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join([first, *cells]))
    print(flush=True)


def rotated(items, turn):
    """The items in an order that starts with another one each turn, so that none leads always."""
    turn %= len(items)
    return items[turn:] + items[:turn]


def _cpu_model():
    """Name of the processor, as the system tells it."""
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
