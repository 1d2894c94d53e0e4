"""What can go wrong, and the exit code that tells a script about it.

    VidrainError                     exit_code
    ├── UsageError                       2      the call contradicts itself or names something unknown
    │   └── NoDeviceError                2      the device that is asked for is not here; may be back another time
    ├── InputError                       3      the source cannot be read, or holds no video we can clean
    │   ├── OtherPicture                 3      its pictures change in size or format
    │   ├── StallError                   3      it gave nothing for too long; may do better another time
    │   └── SourceLost                   3      it went away while it was read; may be back another time
    ├── OutputError                      5      the target cannot be written, or did not verify
    │   └── OtherJob                     5      what another job left unfinished lies there
    ├── BusyError                        6      another run is writing the same output
    └── ModelError                       7      weights or model cannot be used
        └── DeviceError                  7      the device has no memory left, or was lost; may do better another time

Not errors: 0 (done), 1 (some files of a batch failed), 4 (done, but parts of the source were lost), 70 (a fault of
vidrain: any other exception, which Python alone would end with 1), 130 and 143 (stopped by SIGINT or SIGTERM).

Every message is one line: what was found, what is allowed, what to try next.
"""

from collections.abc import Collection

OK = 0
SOME_FAILED = 1
PARTIAL = 4
FAULT = 70
INTERRUPTED = 130
TERMINATED = 143


class VidrainError(Exception):
    """Base of every error a user can cause or meet; `exit_code` is what the command returns."""

    exit_code = 3


class UsageError(VidrainError):
    """The command contradicts itself or names an unknown option, codec, model or key."""

    exit_code = 2


class NoDeviceError(UsageError):
    """The device that is asked for is not here."""


class InputError(VidrainError):
    """The source cannot be opened, holds no usable video, or changed while it was read."""

    exit_code = 3


class OtherPicture(InputError):
    """From frame `index` on pictures have another size or format than the first."""

    def __init__(self, message: str, index: int = 0) -> None:
        super().__init__(message)
        self.index = index


class StallError(InputError):
    """The source gave nothing for longer than it was allowed."""


class SourceLost(InputError):
    """The source went away while it was read: its disk, its share or its name."""


class OutputError(VidrainError):
    """The target cannot be written (space, permission, container) or did not verify."""

    exit_code = 5


class OtherJob(OutputError):
    """What lies there is of another job. found: in words, without what to do; other: names of the facts that differ."""

    def __init__(self, found: str, advice: str, other: Collection[str]) -> None:
        super().__init__(f"{found}; {advice}")
        self.found, self.other = found, frozenset(other)


class BusyError(VidrainError):
    """Another running process is writing the same output. free_in_s: seconds until it counts as dead if it is."""

    exit_code = 6

    def __init__(self, message: str, free_in_s: float = 0.0) -> None:
        super().__init__(message)
        self.free_in_s = free_in_s


class ModelError(VidrainError):
    """The model or its weights cannot be used."""

    exit_code = 7


class DeviceError(ModelError):
    """What a model computes on, `device`, has no memory left, or does not answer any more."""

    def __init__(self, message: str, device: str = "cpu") -> None:
        super().__init__(message)
        self.device = device
