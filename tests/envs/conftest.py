from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import pytest

from emma.envs import environments, robot
from emma.envs.environments import ENVIRONMENTS, Environment
from emma.robots.spec import Camera, Command, Joint, RobotSpec, load_robot


@dataclass(frozen=True, kw_only=True)
class ToyEnvironment(Environment):
    """Runs `toy_driver.py`; its package is one that every environment has."""

    @property
    def driver(self) -> Path:
        return Path(__file__).with_name("toy_driver.py")


@pytest.fixture
def toy() -> Environment:
    return ToyEnvironment(name="toy", package="numpy", version=version("numpy"), task="lift", timeout_s=3.0)


@pytest.fixture
def toy_spec(toy: Environment, monkeypatch: pytest.MonkeyPatch) -> RobotSpec:
    """Its robot.yaml; the joints are in another order than the driver's."""
    monkeypatch.setitem(environments.ENVIRONMENTS, "toy", toy)
    monkeypatch.setattr(robot, "environment_of", environments.ENVIRONMENTS.__getitem__)
    limits = {"unit": "rad", "lower": -1.0, "upper": 1.0, "velocity": 2.0, "acceleration": 20.0}
    return RobotSpec(
        name="toy",
        joints=(Joint(name="turn", **limits), Joint(name="lift", **limits)),
        cameras=(Camera(name="top", image_topic="/top", width=8, height=6, rate_hz=25),),
        state_topic="/joint_states",
        command=Command(topic="/command", kind="joint_trajectory"),
        control_rate_hz=50.0,
        fps=10,
    )


@pytest.fixture(params=sorted(ENVIRONMENTS))
def installed(request: pytest.FixtureRequest) -> RobotSpec:
    """The spec of each environment that is installed here, with small pictures."""
    environment = ENVIRONMENTS[request.param]
    if not (environment.folder / "bin" / "python").is_file():
        pytest.skip(f"{environment.package} is not here: emma envs install {environment.name}")
    spec = load_robot(environment.name)
    return replace(spec, cameras=tuple(replace(camera, width=48, height=32) for camera in spec.cameras))
