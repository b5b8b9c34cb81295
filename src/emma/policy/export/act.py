"""The graph of ACT: one, without the variational encoder, which only training uses."""

from typing import Any

from torch import Tensor, nn

from emma.errors import EmmaError
from emma.policy.export.graphs import CHUNK, STATE, Graph, PolicyGraphs, Sensors
from emma.policy.loading import LoadedPolicy


class Policy(nn.Module):
    """Cameras and state -> chunk (B, K, A), normalised."""

    def __init__(self, sensors: Sensors, model: nn.Module) -> None:
        super().__init__()
        self.sensors, self.model = sensors, model

    def forward(self, *inputs: Tensor) -> Tensor:
        *images, state = inputs
        batch: dict[str, Any] = {STATE: self.sensors.state(state)}
        batch["observation.images"] = self.sensors.images(tuple(images))
        chunk: Tensor = self.model(batch)[0]
        return chunk


def graphs(loaded: LoadedPolicy) -> PolicyGraphs:
    """policy alone. Raises EmmaError for an ACT that reads an environment state, which no robot has."""
    config = loaded.config
    if config.env_state_feature is not None:
        raise EmmaError("this ACT cannot be exported", found="observation.environment_state", expected="cameras, state")
    sensors = Sensors(loaded)
    policy = Graph(Policy(sensors, loaded.policy.model), sensors.example(), (CHUNK,))
    width = int(config.action_feature.shape[0])
    return PolicyGraphs({"policy": policy}, chunk=config.chunk_size, width=width)
