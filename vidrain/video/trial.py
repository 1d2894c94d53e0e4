"""Whether a muxer takes a packet: tried out in a file of its stream alone, of which nothing is kept.

In the output packets wait for those of other streams: what is wrong with one is said when another is given.
"""

from __future__ import annotations  # Packet[...] exists for the type checker only

import os
from contextlib import suppress
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from vidrain.video.carried import add_like

REFUSED = (av.error.InvalidDataError, av.error.ArgumentError, av.error.PatchWelcomeError)


class Trial:
    """One stream of the source at `path` in a container of the kind of `container`, which leads nowhere."""

    def __init__(self, container: OutputContainer, stream: Stream, path: Path) -> None:
        self._container = av.open(_Nowhere(), "w", format=container.format.name, metadata_errors="surrogateescape")
        added = add_like(self._container, stream, path)
        assert added is not None, "it is no attachment in the output either"
        self._added = added
        self._container.start_encoding()

    def takes(self, packet: Packet[Stream]) -> bool:
        """Whether the muxer takes `packet` behind those that it was given before; the packet stays as it is."""
        copy: Packet[Stream] = Packet(bytes(packet))
        copy.stream, copy.time_base = self._added, packet.time_base
        copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
        copy.is_keyframe = packet.is_keyframe
        try:
            self._container.mux(copy)
        except REFUSED:
            return False
        return True

    def close(self) -> None:
        """Give back what it holds."""
        with suppress(av.error.FFmpegError):
            self._container.close()


class _Nowhere:
    """A file that keeps nothing but its length."""

    def __init__(self) -> None:
        self._place = self._size = 0

    def write(self, data: bytes) -> int:
        self._place += len(data)
        self._size = max(self._size, self._place)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place
