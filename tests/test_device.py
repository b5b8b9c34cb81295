"""Which device is chosen, and what is refused."""

from types import SimpleNamespace

import pytest
import torch

from emma import device
from emma.device import choose_device
from emma.errors import EmmaError


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "driver_loads", lambda: True)
    names = ["first", "second"]
    cuda = SimpleNamespace(
        is_available=lambda: True, device_count=lambda: len(names), get_device_name=lambda i: names[i]
    )
    monkeypatch.setattr(torch, "cuda", cuda)


def test_auto_takes_a_gpu_where_there_is_one(two_gpus: None) -> None:
    assert str(choose_device()) == "cuda (auto: first)"
    assert str(choose_device("cuda:1")) == "cuda:1 (asked for: second)"
    assert str(choose_device("cpu")) == "cpu (asked for)"
    with pytest.raises(EmmaError, match="cuda:2") as error:
        choose_device("cuda:2")
    assert error.value.found == "2 CUDA devices"


def test_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "DRIVER_LIBRARY", "libnone.so")
    assert str(choose_device()) == "cpu (auto: no NVIDIA driver)"
    with pytest.raises(EmmaError, match="'cuda' is not here"):
        choose_device("cuda")


def test_a_driver_that_torch_cannot_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "driver_loads", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    chosen = choose_device()
    assert chosen.name == "cpu"
    assert "sees no GPU" in chosen.reason


@pytest.mark.parametrize("wanted", ["gpu", "cuda:", "cuda:x", "cuda0", ""])
def test_unknown(wanted: str) -> None:
    with pytest.raises(EmmaError, match="unknown device"):
        choose_device(wanted)
