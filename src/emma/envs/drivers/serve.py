"""`python serve.py WIRE DRIVER PACKAGE OPTIONS IN OUT MEMORY`: the far end of `emma.envs.process.DriverProcess`.

Runs in an interpreter that need not have emma: WIRE and DRIVER are files, PACKAGE is the distribution that DRIVER
needs, OPTIONS is JSON for the driver.
"""

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import select
import sys
import threading
import time
from types import ModuleType
from typing import Any

# Without a GPU, Mesa's llvmpipe draws small images faster on the calling thread than with a hand-over to its own.
os.environ.setdefault("LP_NUM_THREADS", "0")

# For a driver that closes what it has open.
CLOSE_S = 2.0


def main(argv: list[str]) -> int:
    """Load the driver, then answer until the pipe is closed."""
    wire, file, package, options, *ends = argv
    threading.Thread(target=_end_with_parent, args=(int(ends[0]),), daemon=True).start()
    channel = _load("wire", wire).Channel(*map(int, ends))
    driver = None
    try:
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            version = ""
        channel.send({"version": version})
        if not channel.receive().values["go"]:
            return 2
        try:
            driver = _load("driver", file).Driver(**json.loads(options))
            channel.send(driver.info())
        except Exception as error:  # what a package of others raises when it is imported or made is theirs to name
            channel.send({"error": f"{type(error).__name__}: {error}"})
            return 2
        while True:
            values, arrays = channel.receive()
            try:
                channel.send(*_answer(driver, values, arrays))
            except (EOFError, BrokenPipeError):
                raise
            except Exception as error:  # the caller decides whether the run goes on
                channel.send({"error": f"{type(error).__name__}: {error}"})
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return 0
    finally:
        if driver is not None:
            with contextlib.suppress(Exception, KeyboardInterrupt):
                driver.close()


def _end_with_parent(pipe: int) -> None:
    """Exit when the other end of `pipe` is closed and the main thread, in code of others, does not notice."""
    poll = select.poll()
    poll.register(pipe, 0)  # hang-ups alone: what is written there is the main thread's
    poll.poll()
    time.sleep(CLOSE_S)
    os._exit(0)


def _answer(driver: Any, values: dict[str, Any], arrays: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the driver says to one request, and the arrays that go with it."""
    kind = values["do"]
    if kind == "draw":
        return {}, {"image": driver.draw(values["camera"])}
    if kind == "script":
        return {}, {"targets": driver.script(values["seed"])}
    if kind == "tools":
        return {}, driver.tools(arrays["joints"])
    said = driver.reset(values["seed"]) if kind == "reset" else driver.step(arrays["targets"].copy())
    for camera in values["look"]:
        driver.look(camera)
    return said, {"state": driver.state()}


def _load(name: str, file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
