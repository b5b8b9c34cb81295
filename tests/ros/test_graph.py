"""Process graphs: domains of their own, ends that are seen, and no process that outlives its parent."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from emma.errors import EmmaError
from emma.ros.domain import own_domain
from emma.sessions import graph as graph_module
from emma.sessions.graph import Graph, NodeProcess


def test_domains_differ_and_the_environment_comes_back():
    before = os.environ.get("ROS_DOMAIN_ID")
    with own_domain() as first:
        assert os.environ["ROS_DOMAIN_ID"] == str(first)
        assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
        with own_domain() as second:
            assert first != second
    with own_domain(42) as wanted:
        assert wanted == 42
    assert os.environ.get("ROS_DOMAIN_ID") == before


def test_a_node_that_ended_is_told_with_its_last_words(tmp_path, eventually):
    with Graph([NodeProcess(module="sim", parameters={"robot": "nobody"})], tmp_path) as graph:
        eventually(lambda: _ended(graph), "the end of the node")
        with pytest.raises(EmmaError, match="node sim ended") as told:
            graph.check()
    assert "unknown robot 'nobody'" in str(told.value)
    assert str(graph.log("sim")) in str(told.value)


@pytest.mark.slow
def test_leaving_the_block_by_an_error_ends_the_nodes(tmp_path, alive):
    pids = []

    def fail():
        with Graph([NodeProcess(module="recorder", parameters={"root": str(tmp_path)})], tmp_path) as graph:
            pids.extend(graph.pids.values())
            raise RuntimeError("as planned")

    with pytest.raises(RuntimeError, match="as planned"):
        fail()
    assert pids
    assert not any(alive(pid) for pid in pids)


def test_a_node_that_does_not_react_is_killed(running_graph, tmp_path, monkeypatch):
    monkeypatch.setattr(graph_module, "INT_S", 0.2)
    monkeypatch.setattr(graph_module, "TERM_S", 0.2)
    recorder = NodeProcess(module="recorder", parameters={"root": str(tmp_path / "bags")})
    with running_graph(recorder, logs=tmp_path) as (graph, client):
        client.wait_for_service("/recorder/start", 60.0)
        os.kill(graph.pids["recorder"], signal.SIGSTOP)
        codes = graph.stop()
    assert codes == {"recorder": -signal.SIGKILL}


def test_nodes_end_when_their_parent_is_killed(tmp_path, alive, eventually):
    program = f"""
        import time
        from emma.ros.client import RosClient
        from emma.ros.domain import own_domain
        from emma.sessions.graph import Graph, NodeProcess
        nodes = [NodeProcess(module="sim"), NodeProcess(module="recorder", parameters={{"root": {str(tmp_path)!r}}})]
        with own_domain(), Graph(nodes, {str(tmp_path / "logs")!r}) as graph, RosClient("parent") as client:
            client.wait_for_service("/sim/reset", 60.0)
            client.wait_for_service("/recorder/start", 60.0)
            print(*graph.pids.values(), flush=True)
            time.sleep(1000)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
        parent.kill()
    eventually(lambda: not any(alive(pid) for pid in pids), "the end of both nodes")
    assert all("Traceback" not in (tmp_path / "logs" / f"{name}.log").read_text() for name in ("sim", "recorder"))


def _ended(graph: Graph) -> bool:
    try:
        graph.check()
    except EmmaError:
        return True
    return False
