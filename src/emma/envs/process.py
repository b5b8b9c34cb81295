"""An environment of others in a process of its own interpreter, which need not have emma."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emma.environment import cleaned
from emma.envs.environments import HERE, Environment, interpreter
from emma.errors import EmmaError
from emma.gl import choose_gl
from emma.policy import wire
from emma.policy.wire import Channel, Message

# Importing the package and loading its model on a busy machine; one answer, which may be a whole scripted episode.
START_S, ANSWER_S = 120.0, 120.0


class DriverProcess:
    """The driver of `environment`, answering one request at a time. Not thread-safe.

    info: what the driver says of itself (`Driver.info`). python: an interpreter that has the package; "" for the one
    that `emma envs install` made.
    """

    def __init__(
        self, environment: Environment, *, rate_hz: float, sizes: Mapping[str, tuple[int, int]], python: str = ""
    ) -> None:
        """rate_hz: control ticks a second; sizes: camera -> (width, height). Raises EmmaError if it does not start."""
        self.environment = environment
        program = interpreter(environment, python)
        there_in, here_out = os.pipe()
        here_in, there_out = os.pipe()
        memory = os.memfd_create("emma-env")
        theirs = (there_in, there_out, memory)
        options = json.dumps({"rate_hz": rate_hz, "sizes": sizes})
        files = [str(Path(wire.__file__).resolve()), str(environment.driver.resolve())]
        try:
            self._process = subprocess.Popen(
                [str(program), "-I", str(HERE / "drivers" / "serve.py"), *files, environment.package, options]
                + [str(end) for end in theirs],
                pass_fds=theirs,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=cleaned(os.environ) | {"MUJOCO_GL": choose_gl()},
                # Ctrl+C is for the parent, which ends this process by closing the pipe.
                process_group=0,
            )
        except OSError as error:
            for end in (here_in, here_out, memory):
                os.close(end)
            raise EmmaError(f"{program} cannot be run", found=str(error), fix="name another --python") from None
        finally:
            os.close(there_in)
            os.close(there_out)
        self._channel = Channel(here_in, here_out, memory)
        self._open = True
        try:
            self._check_version(program)
            self.info: dict[str, Any] = self._ask(
                {"go": True}, timeout_s=START_S, problem=f"{environment.package} does not start"
            ).values
        except BaseException:
            self.close()
            raise

    def reset(self, seed: int, cameras: tuple[str, ...]) -> tuple[dict[str, Any], np.ndarray]:
        """What the driver says of the new episode, and the joints (J,). The cameras take a picture."""
        said = self._ask({"do": "reset", "seed": seed, "look": cameras})
        return said.values, said.arrays["state"].copy()

    def step(self, targets: np.ndarray, cameras: tuple[str, ...]) -> tuple[dict[str, Any], np.ndarray]:
        """One control tick towards `targets` (J,). The cameras take a picture after it."""
        said = self._ask({"do": "step", "look": cameras}, {"targets": targets})
        return said.values, said.arrays["state"].copy()

    def draw(self, camera: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB: the camera's latest picture."""
        return self._ask({"do": "draw", "camera": camera}).arrays["image"].copy()

    def script(self, seed: int) -> np.ndarray:
        """(T, J) joint targets of the scripted demonstration of a seed's episode, one a control tick."""
        return self._ask({"do": "script", "seed": seed}).arrays["targets"].copy()

    def tools(self, joints: np.ndarray) -> dict[str, np.ndarray]:
        """Tool -> (T, 4, 4) poses that the package's own model gives for joints (T, J)."""
        return {name: poses.copy() for name, poses in self._ask({"do": "tools"}, {"joints": joints}).arrays.items()}

    def close(self) -> None:
        """End the process."""
        if self._open:
            self._open = False
            self._channel.close()
            try:
                self._process.wait(5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _check_version(self, program: Path) -> None:
        wanted = self.environment
        found = self._receive(START_S, f"{program} does not start").values["version"]
        if found != wanted.version:
            raise EmmaError(
                f"{wanted.package} is {'of another version' if found else 'missing'}",
                found=f"{found or 'none'} in {program}",
                expected=f"{wanted.package} {wanted.version}",
                fix=f"emma envs install {wanted.name}",
            )

    def _ask(
        self,
        values: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray] | None = None,
        *,
        timeout_s: float = ANSWER_S,
        problem: str = "",
    ) -> Message:
        problem = problem or f"the simulator of {self.environment.name} failed"
        try:
            self._channel.send(values, arrays)
        except OSError:
            raise self._ended(problem) from None
        said = self._receive(timeout_s, problem)
        if "error" in said.values:
            raise EmmaError(problem, found=said.values["error"])
        return said

    def _receive(self, timeout_s: float, problem: str) -> Message:
        try:
            return self._channel.receive(timeout_s)
        except TimeoutError:
            raise EmmaError(problem, found=f"no answer within {timeout_s:g} s", expected="an answer") from None
        except (EOFError, OSError):
            raise self._ended(problem) from None

    def _ended(self, problem: str) -> EmmaError:
        try:
            code: object = self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            code = "none yet"
        return EmmaError(problem, found=f"its process ended, exit code {code}", fix="see the lines above")
