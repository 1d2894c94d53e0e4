"""How the libraries show that memory runs out or a device is lost: by errors they really raise, where a CPU can."""

from __future__ import annotations

import errno
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from vidrain.batch.task import is_transient
from vidrain.device import device_of, short_of, shortage
from vidrain.errors import DeviceError, InputError, ModelError, NoDeviceError

TOO_MUCH = 1 << 46  # bytes: more than a process can address
NO_MEMORY, LOST = "no memory is left", "the device does not answer any more"
# What PyTorch writes below most errors of CUDA, whatever they are.
ADVICE = """
Search for `cudaErrorX' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html for more information.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1
Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.
"""

RAISED: dict[str, Callable[[], object]] = {
    "python": lambda: bytes(TOO_MUCH),
    "numpy": lambda: np.empty(TOO_MUCH, np.uint8),
    "torch": lambda: torch.empty(TOO_MUCH, dtype=torch.uint8),
    "opencv": lambda: cv2.resize(np.zeros((8, 8), np.uint8), (1 << 23, 1 << 23)),
}


@pytest.mark.fault(29)
@pytest.mark.parametrize("library", RAISED)
def test_memory_that_is_not_there_is_told_whoever_asked_for_it(library: str) -> None:
    with pytest.raises(DeviceError, match=f"^a picture on cpu: {NO_MEMORY} ") as found, short_of("cpu", "a picture"):
        RAISED[library]()
    assert str(found.value).count("\n") == 0
    assert shortage(found.value.__cause__ or found.value) == NO_MEMORY


def coded(code: int, text: str) -> Exception:
    """As torch raises it from a stream: the number of CUDA's error goes along."""
    error: Exception = torch.AcceleratorError(text)
    error.error_code = code  # type: ignore[attr-defined]
    return error


@pytest.mark.fault(29)
@pytest.mark.parametrize(
    "error",
    [
        coded(209, "CUDA error: no kernel image is available for execution on the device"),
        RuntimeError("CUDA error: no kernel image is available for execution on the device"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmEx`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ARCH_MISMATCH when calling `cublasSgemm`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"),
        RuntimeError("CUDA error: the provided PTX was compiled with an unsupported toolchain."),
    ],
    ids=repr,
)
def test_a_device_that_cannot_do_it_cannot_do_it_later(error: Exception) -> None:
    """No batch tries that again, and the line does not advise it."""
    with pytest.raises(ModelError) as found, short_of("cuda", "a picture"):
        raise error
    assert not isinstance(found.value, DeviceError)
    assert not is_transient(found.value)
    assert str(found.value) == f"a picture on cuda: the device cannot do it ({error}); compute on the CPU"


def test_only_of_a_gpu_it_is_said_that_the_cpu_may_do() -> None:
    """In words that hold for every command: not all have the same options."""
    said = []
    for device in ("cpu", "cuda"):
        with pytest.raises(DeviceError) as found, short_of(device, "a picture"):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        assert found.value.device == device
        said.append(str(found.value))
    assert said[0].endswith("close other programs and give the same command again")
    assert said[1].endswith("give the same command again, or compute on the CPU")


@pytest.mark.fault(29)
@pytest.mark.parametrize(
    ("error", "what"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), NO_MEMORY),
        (torch.cuda.OutOfMemoryError("CUDA out of memory."), NO_MEMORY),
        (coded(719, "CUDA error: unspecified launch failure"), LOST),
        (coded(719, f"CUDA error: unspecified launch failure{ADVICE}"), LOST),
        (coded(2, f"CUDA error: out of memory{ADVICE}"), NO_MEMORY),
        (RuntimeError(f"CUDA error: an illegal memory access was encountered{ADVICE}"), LOST),
        (coded(710, f"CUDA error: device-side assert triggered{ADVICE}"), None),
        (coded(46, "CUDA-capable device(s) is/are busy or unavailable"), LOST),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), NO_MEMORY),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), LOST),
        (RuntimeError("can't start new thread"), NO_MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), NO_MEMORY),
        (OSError(errno.EACCES, "CUDA error"), None),
        (coded(710, "CUDA error: device-side assert triggered"), None),
        (RuntimeError("CUDA error: device-side assert triggered"), None),
        (coded(1, "CUDA error: invalid argument"), None),
        (RuntimeError("CUDA error: invalid configuration argument"), None),
        (RuntimeError("CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasSgemm`"), None),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
        (InputError("CUDA error.mp4: no such file"), None),
        (ValueError("CUDA error"), None),
    ],
    ids=repr,
)
def test_bad_luck_has_a_type_or_else_words(error: Exception, what: str | None) -> None:
    assert shortage(error) == what
    with pytest.raises(type(error) if what is None else DeviceError), short_of("cuda", "x"):
        raise error


def test_what_is_not_here_may_be_back_another_time() -> None:
    if torch.cuda.is_available():
        pytest.skip("GPU here")
    assert device_of("auto") == "cpu"
    with pytest.raises(NoDeviceError, match="finds no CUDA device here"):
        device_of("cuda")
