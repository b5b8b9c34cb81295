"""A policy in a process of its own: the same answers, and a death that is told, survived and made good."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from emma.errors import EmmaError
from emma.policy.bundle import Bundle, load_bundle
from emma.policy.isolated import IsolatedRuntime, _stepping_back
from emma.policy.runtime import open_runtime

# Only ends a test that would never end.
PATIENCE_S = 600.0


@pytest.fixture(scope="module")
def bundle(trained):
    return load_bundle(trained("spatial_flow"))


@pytest.fixture(scope="module")
def isolated(bundle):
    runtime = IsolatedRuntime(bundle)
    yield runtime
    runtime.close()


def until_it_answers(runtime, case):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(EmmaError):
            return runtime.infer(case.observation, case.instruction)
        time.sleep(0.05)
    raise AssertionError("never an answer")


def test_the_same_chunks_as_in_this_process(isolated, bundle, cases):
    here = open_runtime(bundle)
    for seed, case in enumerate(cases):
        for runtime in (isolated, here):
            runtime.reset(seed)
        chunks = [runtime.infer(case.observation, case.instruction) for runtime in (isolated, here) for _ in range(2)]
        np.testing.assert_array_equal(chunks[0], chunks[2])
        np.testing.assert_array_equal(chunks[1], chunks[3])
    assert isolated.name == f"{here.name}, own process"
    assert isolated.reason == here.reason


def test_what_the_policy_raises_comes_back_and_it_lives_on(isolated, cases):
    case, pid = cases[0], isolated.pid
    blind = type(case.observation)(stamp_ns=0, state=case.observation.state, images={})
    with pytest.raises(EmmaError, match="the policy failed") as caught:
        isolated.infer(blind, case.instruction)
    assert "KeyError" in str(caught.value)
    assert np.isfinite(isolated.infer(case.observation, case.instruction)).all()
    assert isolated.pid == pid


def test_a_killed_process_is_told_and_started_again(isolated, cases):
    case, pid, starts = cases[0], isolated.pid, isolated.restarts
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EmmaError, match="process ended") as caught:
        isolated.infer(case.observation, case.instruction)
    assert "SIGKILL (out of memory?)" in str(caught.value)
    chunk = until_it_answers(isolated, case)
    assert chunk.shape == (16, 7)
    assert isolated.pid != pid
    assert isolated.restarts == starts + 1


@pytest.mark.slow
def test_no_memory_left_is_told(isolated, cases):
    case, pid = cases[0], isolated.pid
    # No page more than it has now: every larger allocation fails from here on.
    resource.prlimit(pid, resource.RLIMIT_AS, (1, resource.RLIM_INFINITY))
    big = np.zeros((4000, 4000, 3), np.uint8)
    observation = type(case.observation)(
        stamp_ns=0, state=case.observation.state, images=dict.fromkeys(case.observation.images, big)
    )
    with pytest.raises(EmmaError, match=r"the policy failed|process ended") as caught:
        isolated.infer(observation, case.instruction)
    assert caught.value.found
    if isolated.pid == pid:
        resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert until_it_answers(isolated, case).shape == (16, 7)


@pytest.mark.slow
def test_a_hanging_process_is_killed_and_started_again(bundle, cases):
    runtime, case = IsolatedRuntime(bundle, hung_s=0.5), cases[0]
    try:
        os.kill(runtime.pid, signal.SIGSTOP)
        with pytest.raises(EmmaError, match="process ended") as caught:
            runtime.infer(case.observation, case.instruction)
        assert "no answer within 0.5 s" in str(caught.value)
        runtime._hung_s = PATIENCE_S
        assert until_it_answers(runtime, case).shape == (16, 7)
    finally:
        pid = runtime.pid
        runtime.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(EmmaError):
        runtime.infer(case.observation, case.instruction)


def test_the_process_of_a_real_time_thread_begins_as_an_ordinary_one():
    """Its interpreter starts beside a control loop, and for a tenth of a second."""

    def begin():
        # An encoder may have left this process in another class.
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        ordinary = _stepping_back()
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        except OSError:
            return None
        code = "import os; print(os.sched_getscheduler(0) == os.SCHED_OTHER)"
        return ordinary, subprocess.run([*_stepping_back(), sys.executable, "-c", code], capture_output=True, text=True)

    # A thread of its own, which is not used for anything else.
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(begin).result()
    if found is None or shutil.which("chrt") is None:
        pytest.skip("needs the right to a real-time class, and chrt (util-linux)")
    ordinary, done = found
    assert ordinary == []
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_broken_bundle_is_refused_with_its_own_message(bundle, tmp_path):
    for file in bundle.path.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(EmmaError, match="cannot load policy bundle"):
        IsolatedRuntime(Bundle(path=tmp_path, info=bundle.info), kind="torch")


def test_no_process_stays_behind_when_its_parent_is_gone(isolated, cases):
    """The end of the pipe is the end of the process: nothing depends on a goodbye."""
    process = isolated._child.process
    isolated.close()
    assert process.poll() is not None


def test_it_ends_with_its_parent_in_the_middle_of_a_native_call():
    """As loading a policy is; here a lock that is waited for twice."""
    program = """
        import ctypes, sys, threading
        from emma.policy.isolated_child import _end_with_parent
        threading.Thread(target=_end_with_parent, args=(int(sys.argv[1]),), daemon=True).start()
        library, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
        library.pthread_mutex_lock(mutex)
        library.pthread_mutex_lock(mutex)
    """
    theirs, ours = os.pipe()
    command = [sys.executable, "-c", textwrap.dedent(program), str(theirs)]
    with subprocess.Popen(command, pass_fds=[theirs]) as child:
        os.close(theirs)
        os.write(ours, b"a message is no end")
        os.close(ours)
        assert child.wait(PATIENCE_S) == 0
