"""The learner beside a running policy: what becomes current is swapped in, also back, without a word in between."""

from pathlib import Path

import pytest
import yaml

from emma.control.policy_state import POLICY_STATE
from emma.cycle.learner_state import LEARNER_STATE
from emma.cycle.versions import Versions
from emma.sessions.graph import NodeProcess

pytestmark = pytest.mark.slow

PATIENCE_S = 240.0


@pytest.fixture
def config(tmp_path: Path, bundle: Path) -> Path:
    (tmp_path / "bags").mkdir()
    file = tmp_path / "improve.yaml"
    file.write_text(yaml.safe_dump({"bags": ["bags"], "policy": str(bundle), "out": "improve"}))
    return file


def test_promoted_and_rolled_back_versions_are_swapped(running_graph, bundle, config, tmp_path, eventually):
    versions = Versions(tmp_path / "improve" / "versions")
    versions.promote(versions.add(bundle, cycle=0, before=0, figures={}), "the first")
    nodes = (
        NodeProcess(module="sim", parameters={"cameras": ["top", "wrist"], "depth": False}),
        NodeProcess(module="policy", parameters={"policy": str(versions.path(1)), "robot": "desk_arm"}),
        NodeProcess(module="learner", parameters={"config": str(config), "calm_s": 0.0}),
    )
    with running_graph(*nodes, logs=tmp_path / "logs") as (graph, client):
        client.listen(LEARNER_STATE)
        client.listen(POLICY_STATE)
        assert client.wait_for(LEARNER_STATE, lambda s: s.running_version == 1, PATIENCE_S)
        versions.promote(versions.add(bundle, cycle=1, before=1, figures={}), "better")
        said = client.wait_for(LEARNER_STATE, lambda s: s.swap.phase == "done", PATIENCE_S)
        assert said is not None
        assert said.swap.policy == str(versions.path(2))
        assert client.heard(POLICY_STATE).policy == str(versions.path(2))
        assert "version 1 is current again" in client.trigger("/learner/rollback")
        assert client.wait_for(LEARNER_STATE, lambda s: s.running_version == 1, PATIENCE_S)
        # Pausing is a file that the cycle looks at.
        client.switch("/learner/pause", True)
        assert (tmp_path / "improve" / "PAUSE").is_file()
        client.switch("/learner/pause", False)
        assert not (tmp_path / "improve" / "PAUSE").exists()
        assert graph.stop()["learner"] == 0
    assert "Traceback" not in (tmp_path / "logs" / "learner.log").read_text()
