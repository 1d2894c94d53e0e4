"""Mutations are seeded, never do nothing, and find the parts of every container."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests import ffmpeg_says
from tools.mutations import anatomy, mutated


@pytest.fixture(scope="module", params=["mp4", "mkv", "ts", "avi"])
def data(request: pytest.FixtureRequest, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    target = tmp_path_factory.mktemp("mutations") / f"whole.{request.param}"
    arguments = ("-map", "0:v", "-t", "0.3")
    return ffmpeg_says.remux(samples / "full_range.mp4", target, *arguments).read_bytes()


def test_edges_are_in_order_and_inside(data: bytes) -> None:
    found = anatomy(data)
    assert list(found.edges) == sorted(set(found.edges))
    assert (found.edges[0], found.edges[-1]) == (0, len(data))
    assert len(found.edges) > 20
    assert all(0 <= start < end <= len(data) + 188 for start, end in found.small)


def test_the_same_seed_gives_the_same_damage(data: bytes) -> None:
    found = anatomy(data)
    for seed in range(60):
        hurt, said = mutated(data, found, random.Random(seed))
        assert (hurt, said) == mutated(data, found, random.Random(seed))
        assert hurt != data
        assert said
    assert len({mutated(data, found, random.Random(seed))[1].split()[0] for seed in range(200)}) > 4
