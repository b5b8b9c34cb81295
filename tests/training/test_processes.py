"""Two processes under accelerate: the samples of a step shared out, one log, one state, exact resumption."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from emma.adamix import history
from emma.policy.bundle import load_bundle

pytestmark = pytest.mark.slow

# Notes which frames each process takes, then trains as the verb does.
WORKER = """
import json, os, sys
from pathlib import Path
from emma.adamix.config import AdaMixConfig
from emma.training import frames, loop, trainer
from emma.training.config import TrainConfig

out, stop, *data = sys.argv[1:]
rank = os.environ["RANK"]
loss = trainer.Trainer._loss
def noted(self, step):
    if self._adaptive is not None and step == 3:
        weights = self._adaptive.state.frame_weights().tolist()
        (Path(out).parent / f"weights-{rank}.json").write_text(json.dumps(weights))
    every = self._sampler.indices(step)
    mine = every[self._accelerator.process_index :: self._accelerator.num_processes].tolist()
    with (Path(out).parent / f"draws-{rank}.jsonl").open("a") as file:
        file.write(json.dumps([step, every.tolist(), mine]) + "\\n")
    return loss(self, step)
trainer.Trainer._loss = noted
config = TrainConfig(
    data=tuple(data), policy="spatial_flow", steps=6, batch_size=4, sampler="adamix", checkpoint_every=4, log_every=1,
    options={"conv_channels": [8, 8, 8], "condition_dim": 32, "hidden_dim": 32, "num_blocks": 1},
    adamix=AdaMixConfig(warm_up=2, period=2, frames=3),
)
if stop == "stop" and rank == "1":
    one = trainer.Trainer.one_step
    def stopping(self):
        value = one(self)
        if self._step == 3:
            os.kill(os.getpid(), 15)
        return value
    trainer.Trainer.one_step = stopping
try:
    loop.train(config, Path(out), resume=stop == "resume")
except KeyboardInterrupt:
    assert stop == "stop"
"""


def launch(folder, out, stop, data):
    (folder / "worker.py").write_text(WORKER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers = []
    for rank in range(2):
        environment = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
        environment |= {"MASTER_ADDR": "127.0.0.1", "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": 1}
        command = [sys.executable, str(folder / "worker.py"), str(out), stop, *data]
        workers.append(subprocess.Popen(command, env={**os.environ, **{k: str(v) for k, v in environment.items()}}))
    assert [worker.wait(timeout=1800) for worker in workers] == [0, 0]


def test_two_processes_train_as_one_and_resume_exactly(dataset, generated, tmp_path):
    data = [str(dataset), f"generated:{generated}"]
    whole, parts = tmp_path / "a" / "whole", tmp_path / "b" / "parts"
    for out in (whole, parts):
        out.parent.mkdir()
    launch(whole.parent, whole, "no", data)
    draws = [[json.loads(line) for line in (whole.parent / f"draws-{r}.jsonl").open()] for r in range(2)]
    for (step, every, first), (other_step, other_every, second) in zip(*draws, strict=True):
        assert step == other_step
        assert every == other_every
        assert sorted(first + second) == sorted(every)
        assert len(first) == len(second) == 4
    weights = [json.loads((whole.parent / f"weights-{r}.json").read_text()) for r in range(2)]
    assert weights[0] == weights[1]
    assert len(np.unique(weights[0])) > 1
    assert load_bundle(whole).info.training["samples"] == 48
    rows = [json.loads(line) for line in (whole / "training/log.jsonl").open()]
    assert [row["step"] for row in rows] == list(range(1, 7))
    assert [row["step"] for row in history.read(whole / "training/adamix")] == [2, 4]

    launch(parts.parent, parts, "stop", data)
    assert not (parts / "emma.json").exists()
    launch(parts.parent, parts, "resume", data)
    one, two = (load_file(out / "model.safetensors") for out in (whole, parts))
    assert all(torch.equal(one[key], two[key]) for key in one)
