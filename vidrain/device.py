"""Which device torch computes on, and how many threads: what is asked for against what is here; and lack of memory.

Types tell where there are any. Of torch, memory of the CPU that is not there is a plain RuntimeError, and so are errors
of the libraries below CUDA.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import cv2
import torch

from vidrain.errors import DeviceError, ModelError, NoDeviceError

Device = Literal["auto", "cpu", "cuda"]

_NO_MEMORY = (MemoryError, torch.OutOfMemoryError)
_LOST: type[Exception] | tuple[()] = getattr(torch, "AcceleratorError", ())  # from torch 2.8 on
_UNFIT = (209, 222, 801)  # of CUDA's errors: no code for this GPU, a driver too old for it, not supported
_UNFIT_SAID = ("no kernel image", "unsupported toolchain", "not supported", "_NOT_SUPPORTED", "_ARCH_MISMATCH")
_WRONG = (1, 9, 710)  # a kernel was given what it cannot take, and would be again
_WRONG_SAID = ("invalid argument", "invalid configuration", "device-side assert", "_INVALID_VALUE", "_BAD_PARAM")
_NO_MEMORY_SAID = ("can't allocate memory", "out of memory", "ALLOC_FAILED", "can't start new thread")
_LOST_SAID = ("CUDA error", "cuDNN error", "CUBLAS_STATUS", "No CUDA GPUs are available")


def device_of(wanted: Device) -> str:
    """The torch device for `wanted`; NoDeviceError for a GPU that is not here."""
    here = torch.cuda.is_available()
    if wanted == "cuda" and not here:
        raise NoDeviceError("--device cuda: torch finds no CUDA device here; use --device auto or cpu")
    return "cuda" if here and wanted != "cpu" else "cpu"


def threads_beside_codecs() -> int:
    """Threads that each stage of a job computes with, of those that it would take alone: stages run side by side.

    On two cores one of them is a tenth quicker than both: what is computed is small, and waits for the other core.
    """
    return max(1, torch.get_num_threads() // 2)


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """So many threads of torch and of OpenCV on the CPU, in all of the process, and as many as before behind that."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    _compute_with(threads, threads)
    try:
        yield
    finally:
        _compute_with(*before)


def _compute_with(of_torch: int, of_opencv: int) -> None:
    if of_torch != torch.get_num_threads():  # even to set the same fixes more than the number
        torch.set_num_threads(of_torch)
    cv2.setNumThreads(of_opencv)


def shortage(error: BaseException) -> str | None:
    """What the machine lacked, in words, if that is what `error` says; None for an error of another kind."""
    if _is(error, _WRONG, _WRONG_SAID) or _is_unfit(error):
        return None
    said = str(error) if isinstance(error, RuntimeError) else ""
    if isinstance(error, OSError) and not isinstance(error, MemoryError):
        return "no memory is left" if error.errno == errno.ENOMEM else None
    is_opencv = isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem
    if isinstance(error, _NO_MEMORY) or is_opencv or any(words in said for words in _NO_MEMORY_SAID):
        return "no memory is left"
    if isinstance(error, _LOST) or any(words in said for words in _LOST_SAID):
        return "the device does not answer any more"
    return None


@contextmanager
def short_of(device: str, work: str) -> Iterator[None]:
    """Around work on a device: DeviceError of one line where memory runs out or the device is lost.

    ModelError where the device cannot do that at all: then it cannot another time either.
    """
    try:
        yield
    except Exception as error:
        first = (str(error).splitlines() or [""])[0] or type(error).__name__
        if _is_unfit(error):
            raise ModelError(f"{work} on {device}: the device cannot do it ({first}); compute on the CPU") from error
        if (what := shortage(error)) is None:
            raise
        advice = "close other programs and give the same command again"
        advice += "" if device == "cpu" else ", or compute on the CPU"
        raise DeviceError(f"{work} on {device}: {what} ({first}); {advice}", device) from error


def _is_unfit(error: BaseException) -> bool:
    """Whether it says that this device is not made for what was asked of it."""
    return _is(error, _UNFIT, _UNFIT_SAID)


def _is(error: BaseException, codes: tuple[int, ...], words: tuple[str, ...]) -> bool:
    """Whether it is one of these errors of CUDA and the libraries above it."""
    if not isinstance(error, RuntimeError):
        return False
    said = (str(error).splitlines() or [""])[0]  # PyTorch advises on assertions below whatever error it was
    is_theirs = isinstance(error, _LOST) or any(name in said for name in _LOST_SAID)
    return is_theirs and (getattr(error, "error_code", None) in codes or any(word in said for word in words))
