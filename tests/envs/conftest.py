from dataclasses import replace

import pytest

from emma.envs.environments import ENVIRONMENTS
from emma.robots.spec import RobotSpec, load_robot


@pytest.fixture(params=sorted(ENVIRONMENTS))
def installed(request: pytest.FixtureRequest) -> RobotSpec:
    """The spec of each environment that is installed here, with small pictures."""
    environment = ENVIRONMENTS[request.param]
    if not (environment.folder / "bin" / "python").is_file():
        pytest.skip(f"{environment.package} is not here: emma envs install {environment.name}")
    spec = load_robot(environment.name)
    return replace(spec, cameras=tuple(replace(camera, width=48, height=32) for camera in spec.cameras))
