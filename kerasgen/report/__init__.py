"""The report of runs: one page that opens from disk, without a network and without TensorFlow."""

from kerasgen.report.page import write_report
from kerasgen.report.run import Run, read_run

__all__ = ["Run", "read_run", "write_report"]
