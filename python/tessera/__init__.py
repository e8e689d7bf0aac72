"""Client of Tessera: tunes tensor programs at a server, reads its log, and calls what it builds.

    client = tessera.connect()
    job = client.tune({"op": "dense", "n": 64, "k": 128, "bias": True}, trials=32)
    job.wait()
    library = job.build("dist")

README.md has a complete example.
"""

from tessera._arrays import Tensor, from_bfloat16, to_bfloat16
from tessera._version import __version__
from tessera.client import Client, connect
from tessera.compare import OnnxComparison, OutputError, compare_with_onnxruntime
from tessera.errors import (
    FailedPrecondition,
    InvalidArgument,
    JobFailed,
    LibraryError,
    NotFound,
    ProgramError,
    ProgramNotFound,
    ServerError,
    ServerUnavailable,
    TesseraError,
    TesseraWarning,
)
from tessera.job import Job
from tessera.library import Library, load
from tessera.model import Model
from tessera.operator import Operator, Packed, Stored
from tessera.report import OperatorReport, Report
from tessera.values import (
    Device,
    JobInfo,
    JobOptions,
    JobState,
    ModelTime,
    Outcome,
    Progress,
    Record,
    RunnerTime,
    Task,
    TaskProgress,
)

__all__ = [
    "Client", "Device", "FailedPrecondition", "InvalidArgument", "Job", "JobFailed", "JobInfo",
    "JobOptions", "JobState", "Library", "LibraryError", "Model", "ModelTime", "NotFound",
    "OnnxComparison", "Operator", "OperatorReport", "Outcome", "OutputError", "Packed", "ProgramError",
    "ProgramNotFound", "Progress", "Record", "Report", "RunnerTime", "ServerError",
    "ServerUnavailable", "Stored", "Task", "TaskProgress", "Tensor", "TesseraError",
    "TesseraWarning", "__version__", "compare_with_onnxruntime", "connect", "from_bfloat16", "load",
    "to_bfloat16",
]  # fmt: skip
