"""How carefully motion is followed: quickly, fast, finely."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.unit.test_align import OPTIONS, landscape, panned, picture, view
from vidrain import flow
from vidrain.align import Aligner, AlignOptions, aligned_along
from vidrain.flow import FlowPreset


def test_without_a_word_on_it_the_flow_is_fast() -> None:
    frames = panned(2)
    due = Aligner(AlignOptions(preset="fast"))._motion(frames, turns=False).forth
    np.testing.assert_array_equal(Aligner(OPTIONS)._motion(frames, turns=False).forth, due)
    assert not np.array_equal(Aligner(AlignOptions(preset="fine"))._motion(frames, turns=False).forth, due)


def test_a_fine_flow_follows_what_is_narrow() -> None:
    """A post before a scene that stands still, moving by itself."""
    scene = landscape()
    shown = [view(scene), view(scene)]
    for x, pixels in zip((100, 104), shown, strict=True):
        pixels[:, :, x : x + 8] = view(landscape(5))[:, :, :8]
    missed = {}
    for preset in ("fast", "fine"):
        options = AlignOptions(preset=preset)  # type: ignore[arg-type]
        first, second = (picture(i, pixels, options) for i, pixels in enumerate(shown))
        aligned = Aligner(options).align(first, [second])
        missed[preset] = float((aligned.witnesses[0] - first.pixels)[:, :, 100:108].abs().mean())
    assert missed["fine"] < 0.8 * missed["fast"], missed


def test_quickly_what_lies_farther_away_is_followed_from_frame_to_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search for each step between frames, and one for the way back for who asks for its error; none for more."""
    searches: list[int] = []
    measured = flow._measured

    def counted(*given: Any) -> Any:
        searches.append(1)
        return measured(*given)

    monkeypatch.setattr(flow, "_measured", counted)
    frames, missed = panned(5, step=3), {}
    presets: tuple[FlowPreset, ...] = ("fast", "quick")
    for preset in presets:
        searches.clear()
        options = replace(OPTIONS, preset=preset)
        around = [frames[k] for k in (1, 0, 3, 4)]
        ways = Aligner(options).ways(frames[2], around, wants_error=False)
        assert len(searches) == (2 * (4 + 2) if preset == "fast" else 4)
        off = (aligned_along(ways, frames[2], around).witnesses - frames[2].pixels).abs()[..., 16:-16, 16:-16]
        missed[preset] = float(off.mean())
        searches.clear()
        Aligner(options).ways(frames[2], around)
        assert len(searches) == (2 * (4 + 2) if preset == "fast" else 2 * 4)
    assert missed["quick"] < 1.2 * missed["fast"] + 1e-3, missed


def test_what_is_asked_for_first_changes_nothing() -> None:
    """The error of a way is that of a search, whether a way without one was asked for before or not."""
    frames, options = panned(3), replace(OPTIONS, preset="quick")
    asked, due = Aligner(options), Aligner(options).ways(frames[1], [frames[0], frames[2]])
    asked.ways(frames[1], [frames[0], frames[2]], wants_error=False)
    for found, wanted in zip(asked.ways(frames[1], [frames[0], frames[2]]), due, strict=True):
        np.testing.assert_array_equal(np.stack(found.flow), np.stack(wanted.flow))
        assert found.error is not None and wanted.error is not None
        np.testing.assert_array_equal(found.error, wanted.error)
