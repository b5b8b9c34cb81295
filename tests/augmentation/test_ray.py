"""Ray's workers make the same dataset as this process, and Ray keeps to this machine."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from emma.augmentation.clips import Tools
from emma.augmentation.config import AugmentConfig
from emma.augmentation.executors import RayWorkers, crew
from emma.augmentation.job import augment
from emma.dreamtransfer.clip import Clip
from emma.errors import EmmaError
from emma.files import sha256_tree

pytestmark = pytest.mark.slow

# As `crew` sets it before it imports Ray; here the fixture below imports it first.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

TWO = AugmentConfig(variants=2, workers=2)


@pytest.fixture(autouse=True)
def _by_value() -> Iterator[None]:
    """Workers cannot import test modules, so what these define travels by value."""
    from ray import cloudpickle

    modules = [sys.modules[__name__], sys.modules[_conftest()]]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    yield
    for module in modules:
        cloudpickle.unregister_pickle_by_value(module)


def _conftest() -> str:
    [name] = [
        n
        for n, m in sys.modules.items()
        if getattr(m, "__file__", None) == str(Path(__file__).with_name("conftest.py"))
    ]
    return name


def test_the_same_dataset_as_in_one_process(tmp_path: Path, source: Path, tools: Tools, prompts: Callable) -> None:
    augment(source, tmp_path / "one", tools, prompts, replace(TWO, workers=1))
    report = augment(source, tmp_path / "two", tools, prompts, TWO)
    assert (report.made, report.accepted) == (6, 6)
    for part in ("meta", "data"):
        assert sha256_tree(tmp_path / "one" / part) == sha256_tree(tmp_path / "two" / part)
    assert not _rays()


def test_errors_of_workers_are_told_and_a_dead_one_too(
    tmp_path: Path, source: Path, prompts: Callable, hue_shift: type
) -> None:
    class Broken(hue_shift):  # type: ignore[valid-type,misc]
        def generate(self, clip: Clip, prompt: str, *, seed: int) -> dict[str, np.ndarray]:
            if len(clip) == 9:
                raise EmmaError("the latents are not finite", found="NaN")
            return super().generate(clip, prompt, seed=seed)

    class Dying(hue_shift):  # type: ignore[valid-type,misc]
        def generate(self, clip: Clip, prompt: str, *, seed: int) -> dict[str, np.ndarray]:
            if len(clip) == 9:
                os._exit(1)
            return super().generate(clip, prompt, seed=seed)

    def absent() -> None:
        raise EmmaError("there is no generator here")

    with pytest.raises(EmmaError, match="no generator here"):
        augment(source, tmp_path / "none", Tools(generator=absent), prompts, TWO)  # type: ignore[arg-type]
    with pytest.raises(EmmaError, match="the latents are not finite"):
        augment(source, tmp_path / "out", Tools(generator=Broken), prompts, TWO)
    with pytest.raises(EmmaError, match="a worker process died"):
        augment(source, tmp_path / "dying", Tools(generator=Dying), prompts, TWO)
    assert len(list((tmp_path / "out/.augment/clips").glob("*.json"))) == 4
    assert augment(source, tmp_path / "out", Tools(generator=hue_shift), prompts, replace(TWO, workers=1)).kept == 4
    assert not _rays()


def test_a_local_ray_listens_to_this_machine_only_and_has_no_dashboard(tools: Tools) -> None:
    with crew(tools, 2, None) as workers:
        assert isinstance(workers, RayWorkers)
        assert workers.card().name == "hue_shift"
        listening = [
            (connection.laddr.ip, process.name())
            for process in _rays()
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening
        assert {ip for ip, _ in listening} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, listening
        heads = [" ".join(_command(p)) for p in _rays() if "dashboard/dashboard.py" in " ".join(_command(p))]
        assert all("--disable-frontend" in head for head in heads)
        import ray

        assert not ray._common.usage.usage_lib.usage_stats_enabled()
    assert not _rays()


def test_a_cluster_that_is_not_there(tools: Tools) -> None:
    with pytest.raises(EmmaError, match="cannot reach Ray"), crew(tools, 1, "127.0.0.1:1"):
        pass


def _rays() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if p.is_running() and "ray" in " ".join(_command(p))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
