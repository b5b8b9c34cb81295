"""Which episodes a cycle learns from, and which are kept from training."""

from pathlib import Path

import pytest

from emma.bags.episode import EpisodeMeta
from emma.cycle.config import ConvertSettings
from emma.cycle.inventory import Inventory, held_out, take_stock
from emma.errors import EmmaError


def episode(root: Path, name: str, **values: object) -> None:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "data.mcap").write_bytes(name.encode())
    given = {"state": "saved", "success": True, "instruction": "put the cube in the bin", "robot": "desk_arm", **values}
    EpisodeMeta(id=name, **given).save(folder)  # type: ignore[arg-type]


def stock(root: Path, known: tuple[str, ...] = (), **settings: object) -> Inventory:
    return take_stock([root], ConvertSettings(**settings), "desk_arm", known)  # type: ignore[arg-type]


def test_what_is_finished_wanted_and_new(tmp_path: Path) -> None:
    episode(tmp_path, "taught")
    episode(tmp_path, "known")
    episode(tmp_path, "unjudged", success=None)
    episode(tmp_path, "at_work", state="recording")
    episode(tmp_path, "thrown_away", state="discarded")
    episode(tmp_path, "cut_short", state="recovered")
    episode(tmp_path, "failed", success=False)
    episode(tmp_path, "own", kind="policy")
    episode(tmp_path, "own_unjudged", kind="policy", success=None)
    episode(tmp_path, "elsewhere", robot="other_arm")
    episode(tmp_path, "wordless", instruction=" ")
    found = stock(tmp_path, ("known",))
    assert [e.id for e in found.episodes] == ["own", "taught", "unjudged"]
    assert dict(found.passed or {}) == {
        "cut_short": "cut short by a crash",
        "elsewhere": "of robot other_arm",
        "failed": "failed",
        "own_unjudged": "a policy's own, not marked as a success",
        "thrown_away": "discarded",
        "wordless": "no instruction",
    }
    assert "failed" in [e.id for e in stock(tmp_path, keep_failed=True).episodes]
    assert "own" not in [e.id for e in stock(tmp_path, kinds=("teleop",)).episodes]


def test_a_hash_is_of_what_is_learned(tmp_path: Path) -> None:
    episode(tmp_path, "one")
    before = stock(tmp_path).episodes[0].sha256
    meta = EpisodeMeta.load(tmp_path / "one")
    meta.with_(notes="a cat walked by").save(tmp_path / "one")
    assert stock(tmp_path).episodes[0].sha256 == before
    meta.with_(instruction="put the cube on the plate").save(tmp_path / "one")
    assert stock(tmp_path).episodes[0].sha256 != before


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EmmaError, match="no folder"):
        stock(tmp_path / "nowhere")


def test_held_out_episodes_stay_held_out() -> None:
    names = [f"episode_{i}" for i in range(1000)]
    aside = held_out(names, 0.1)
    assert 70 <= len(aside) <= 130
    assert held_out(names[:500], 0.1) == aside & set(names[:500])
    assert held_out(names, 0.0) == frozenset()
