"""A probed source as bytes: what is read back is what was probed, whatever the file says of itself."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from tests import hdr_films
from tests.round_trip import NAMES, SAMPLES, opened
from vidrain.types import FrameIndex, Gps, Structure
from vidrain.video.decode import open_video
from vidrain.video.index import Source
from vidrain.video.known import as_bytes, from_bytes


def refuse_different(found: Source, due: Source) -> None:
    """Field by field, with its type: 1 and Fraction(1) are equal."""
    for part in ("info", "structure"):
        for field in fields(getattr(due, part)):
            values = [getattr(getattr(each, part), field.name) for each in (found, due)]
            assert repr(values[0]) == repr(values[1]), field.name
    for field in fields(FrameIndex):
        mine, theirs = getattr(found.index, field.name), getattr(due.index, field.name)
        assert type(mine) is type(theirs)
        assert np.array_equal(mine, theirs)
        assert getattr(mine, "dtype", None) == getattr(theirs, "dtype", None)
    for name in ("end", "complete_to", "stated_end"):
        assert repr(getattr(found, name)) == repr(getattr(due, name))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_back_is_what_was_probed(name: str) -> None:
    source = opened(SAMPLES / name).source
    refuse_different(from_bytes(as_bytes(source), SAMPLES / name), source)


def test_facts_that_few_files_have(tmp_path: Path) -> None:
    """HDR with its metadata, a turned picture; GPS, notes and counts, of which only some containers tell."""
    film = hdr_films.film(tmp_path / "hdr.mp4", f"{hdr_films.PQ}:{hdr_films.STATIC}")
    hdr = open_video(film).source
    assert hdr.info.hdr.mastering and hdr.info.hdr.light
    turned = opened(SAMPLES / "rotated.mp4").source
    assert turned.info.display_matrix
    rare = Structure("mp4", gps=Gps("novatek", 3), notes=("a note",), units=((0, 6),), restarts=2)
    for source in (hdr, turned, Source(hdr.info, hdr.index, rare, hdr.end, hdr.complete_to, hdr.end)):
        refuse_different(from_bytes(as_bytes(source), source.info.path), source)
