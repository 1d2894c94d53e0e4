"""Which device torch computes on: what is asked for against what is here; and how it shows that memory runs out.

Types tell where there are any. Of torch, memory of the CPU that is not there is a plain RuntimeError, and so are errors
of the libraries below CUDA.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from vidrain.errors import DeviceError, NoDeviceError

Device = Literal["auto", "cpu", "cuda"]

_NO_MEMORY = (MemoryError, torch.OutOfMemoryError)
_LOST: type[Exception] | tuple[()] = getattr(torch, "AcceleratorError", ())  # from torch 2.8 on
_ASSERTED = 710  # cudaErrorAssert: a kernel was given what it cannot take, and would be again
_ASSERTED_SAID = "device-side assert"
_NO_MEMORY_SAID = ("can't allocate memory", "out of memory", "ALLOC_FAILED", "can't start new thread")
_LOST_SAID = ("CUDA error", "cuDNN error", "CUBLAS_STATUS", "No CUDA GPUs are available")
_OPENCV_HAS_NO_MEMORY = -4  # cv2.Error.StsNoMem


def device_of(wanted: Device) -> str:
    """The torch device for `wanted`; NoDeviceError for a GPU that is not here."""
    here = torch.cuda.is_available()
    if wanted == "cuda" and not here:
        raise NoDeviceError("--device cuda: torch finds no CUDA device here; use --device auto or cpu")
    return "cuda" if here and wanted != "cpu" else "cpu"


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """So many threads of torch on the CPU, and as many as before behind that."""
    before = torch.get_num_threads()
    if threads == before:  # even to set the same fixes more than the number
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def shortage(error: BaseException) -> str | None:
    """What the machine lacked, in words, if that is what `error` says; None for an error of another kind."""
    said = str(error) if isinstance(error, RuntimeError) else ""
    if _ASSERTED_SAID in said or getattr(error, "error_code", None) == _ASSERTED:
        return None
    if isinstance(error, OSError) and not isinstance(error, MemoryError):
        return "no memory is left" if error.errno == errno.ENOMEM else None
    is_opencv = type(error).__module__ == "cv2" and getattr(error, "code", None) == _OPENCV_HAS_NO_MEMORY
    if isinstance(error, _NO_MEMORY) or is_opencv or any(words in said for words in _NO_MEMORY_SAID):
        return "no memory is left"
    if isinstance(error, _LOST) or any(words in said for words in _LOST_SAID):
        return "the device does not answer any more"
    return None


@contextmanager
def short_of(device: str, work: str) -> Iterator[None]:
    """Around work on a device: DeviceError of one line where memory runs out or the device is lost."""
    try:
        yield
    except Exception as error:
        if (what := shortage(error)) is None:
            raise
        advice = "close other programs and give the same command again"
        advice += "" if device == "cpu" else ", or compute on the CPU"
        first = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise DeviceError(f"{work} on {device}: {what} ({first}); {advice}", device) from error
