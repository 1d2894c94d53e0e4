"""The ablation as a command: two variants, one seed, a few steps; what is recorded is not done again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tools import ablate
from vidrain.config import load_train
from vidrain.train.data import Windows
from vidrain.train.loop import TrainConfig, TrainReport, train

ROOT = Path(__file__).resolve().parents[2]
TINY = (
    *("batch=2", "patch=48", "contrast.windows=1", "contrast.queries=4", "contrast.other=4", "contrast.unlike=4"),
    *("data.crop=64", "data.readings=4", "data.crops_per_reading=2", "data.strides=1"),
    *("data.clean_share=0.25", "data.settled_share=0.25", "data.dry_share=0.25"),
)


@pytest.fixture(scope="module")
def data(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clips that the command looks for, all of them samples."""
    folder = tmp_path_factory.mktemp("data")
    real = {f"real/{name}": "street" for name in (*ablate.RAINY, *ablate.STILL)}
    clean = {f"clean/train/{name}": "street_clean" for name in (*ablate.LEFT_OUT, "bikes")}
    pairs = {"paired/road_rainy": "street", "paired/road_clean": "street_clean"}
    for name, source in (real | clean | pairs).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.mp4").symlink_to(samples / f"{source}.mp4")
    return folder


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Folders of the runs that were trained, one after the other; those of others train as ever."""
    found: list[str] = []

    def counted(config: TrainConfig, run_dir: Path, *, windows: Windows) -> TrainReport:
        found.append(run_dir.name.rpartition("-")[0])
        return train(config, run_dir, windows=windows)

    monkeypatch.setattr(ablate, "train", counted)
    return found


@pytest.mark.slow
def test_two_variants_resumed(
    data: Path, tmp_path: Path, trained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*given: str) -> list[str]:
        where = ("-o", str(tmp_path), "-c", str(ROOT / "configs" / "ablation.yaml"), "--data", str(data))
        short = ("--steps", "2", "--seeds", "0", "--frames", "3", "--every", "2")
        assert ablate.main([*where, *short, *given, *TINY]) == 0
        return capsys.readouterr().out.splitlines()

    first = command("--variants", "plain")
    assert trained == ["plain-0"]
    assert [line.split("|")[1].strip() for line in first] == ["variant", "---", "baseline", "plain"]
    both = command("--variants", "plain; full")
    assert trained == ["plain-0", "full-0"]
    assert [*both[:3], both[4]] == first
    runs = json.loads((tmp_path / "dev.json").read_text())
    assert runs.keys() == {"baseline / 0", "plain / 0", "full / 0"}
    scores = runs["full / 0"]["scores"]
    assert scores.keys() == {
        "gain",
        "harm",
        *(f"{kind} {name}" for kind in ("gain", "harm") for name in ablate.LEFT_OUT),
    }
    assert scores["gain"] == pytest.approx(sum(scores[f"gain {name}"] for name in ablate.LEFT_OUT) / 2)
    assert f"| {scores['gain']:.2f} |" in both[3]
    assert command("--variants", "plain; full") == both  # all recorded
    assert trained == ["plain-0", "full-0"]
    command("--variants", "plain", "rate=0.003")  # other settings: trained again, and the row is replaced
    assert trained == ["plain-0", "full-0", "plain-0"]
    test = command("--variants", "plain", "--on", "test", "rate=0.003")  # the weights are there already
    assert "yard: flicker" in test[0]
    assert "gain road" in test[0]
    assert len(list((tmp_path / "runs").iterdir())) == 3
    assert json.loads((tmp_path / "test.json").read_text())["plain / 0"]["steps"] == 2


def test_every_variant_is_a_recipe_of_its_own() -> None:
    clips = ("data.rainy=a.mp4", "data.clean=b.mp4")
    config = ROOT / "configs" / "ablation.yaml"
    found = {name: load_train(config, [*clips, *pairs]) for name, pairs in ablate.VARIANTS.items()}
    assert len(set(map(ablate.digest_of, found.values()))) == len(found)
    assert set(found["full"].weights.counted) - set(found["plain"].weights.counted) == {
        *("location", "layer", "adversarial", "decorrelation", "consistency")
    }


def test_variants_of_a_seed_share_what_they_read(data: Path, tmp_path: Path) -> None:
    """A run on windows that another one has read before is a run on windows of its own."""
    clips = (f"data.rainy={data / 'real' / 'field.mp4'}", f"data.clean={data / 'clean' / 'train' / 'bikes.mp4'}")
    config = load_train(ROOT / "configs" / "ablation.yaml", [*clips, "steps=2", *TINY, *ablate.VARIANTS["plain"]])
    readings = ablate.Readings(0)
    shared = readings.of(config)
    assert readings.of(replace(config, rate=0.1)) is shared
    assert readings.of(replace(config, data=replace(config.data, clean_share=0.0))) is not shared
    train(config, tmp_path / "first", windows=shared)
    assert shared._readings
    second, own = (train(config, tmp_path / name, windows=given) for name, given in (("second", shared), ("own", None)))
    assert second.weights.read_bytes() == own.weights.read_bytes()


def test_the_table_gives_mean_and_spread() -> None:
    runs = {f"plain / {seed}": {"scores": {"gain": gain}} for seed, gain in enumerate((1.0, 2.0, 3.0))}
    assert list(ablate.table(runs)) == [
        "| variant | seeds | gain |",
        "| --- | --- | --- |",
        "| plain | 3 | 2.00 ± 1.00 |",
    ]


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (("--variants", "fuller"), 2, "--variants fuller: allowed: full; plain;"),
        (("--seeds", "one"), 2, "--seeds one: allowed: whole numbers"),
        (("--data", "nowhere"), 3, "nowhere/real: no such folder"),
        (("steps=x",), 2, "steps"),
    ],
)
def test_what_is_refused(
    given: tuple[str, ...], code: int, said: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ablate.main(["-o", str(tmp_path), "--data", str(data), "--variants", "plain", *given]) == code
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_harm_is_that_of_frames_that_are_cleaned(data: Path, tmp_path: Path) -> None:
    """Dry frames that the meter leaves alone would hide it: they count as 100 dB."""
    given = ablate.parsed(["-o", str(tmp_path), "--data", str(data), "--frames", "16", "--every", "12"])
    record = ablate.Record(tmp_path / "dev.json")
    ablate.reference(given, record)
    assert record.runs["baseline / 0"]["scores"]["harm"] < 60


def test_a_record_holds_wherever_clips_lie() -> None:
    def digest(where: str, *settings: str) -> str:
        clips = (f"data.rainy={where}/a.mp4", f"data.clean={where}/b.mp4")
        return ablate.digest_of(load_train(ROOT / "configs" / "ablation.yaml", (*clips, *settings)), every=6)

    assert digest("here") == digest("there", "threads=2")
    found = {digest("here", setting) for setting in ("seed=1", "contrast.labels=shuffled", "data.rainy=c.mp4")}
    assert len(found | {digest("here")}) == 4
