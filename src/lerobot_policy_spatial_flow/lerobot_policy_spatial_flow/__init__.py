"""spatial_flow: a small vision-language-action policy for LeRobot that trains on a CPU in minutes.

Importing this package registers the policy and its processor steps with LeRobot.
"""

from lerobot_policy_spatial_flow.configuration_spatial_flow import SpatialFlowConfig
from lerobot_policy_spatial_flow.modeling_spatial_flow import SpatialFlowPolicy
from lerobot_policy_spatial_flow.processor_spatial_flow import make_spatial_flow_pre_post_processors

__all__ = ["SpatialFlowConfig", "SpatialFlowPolicy", "make_spatial_flow_pre_post_processors"]
