"""The offline cycle beside a robot whose policy and recorder run already (deploy.launch.py).

What it promotes, the policy node changes to while it moves. By hand:

    ros2 service call /learner/start std_srvs/srv/Trigger
    ros2 service call /learner/rollback std_srvs/srv/Trigger
    ros2 service call /learner/pause std_srvs/srv/SetBool "{data: true}"
"""

import runpy
from pathlib import Path
from types import SimpleNamespace

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

common = SimpleNamespace(**runpy.run_path(str(Path(__file__).resolve().with_name("common.py"))))
ARGUMENTS = (
    DeclareLaunchArgument(
        "config",
        default_value="improve.yaml",
        description="YAML file of the cycle; `emma improve --example` prints one with every key.",
    ),
    DeclareLaunchArgument(
        "auto",
        default_value="true",
        choices=["true", "false"],
        description="Begin a cycle whenever an episode was saved or judged. Otherwise call /learner/start.",
    ),
    DeclareLaunchArgument(
        "swap",
        default_value="true",
        choices=["true", "false"],
        description="Let the running policy node change to what is promoted, and back when it is rolled back.",
    ),
    common.ROBOT,
    *common.GENERAL,
)


def generate_launch_description() -> LaunchDescription:
    learner = Node(
        package="emma",
        executable="learner",
        name="learner",
        parameters=[
            LaunchConfiguration("params"),
            {"config": common.text("config"), "auto": common.flag("auto"), "swap": common.flag("swap")},
        ],
        output="screen",
        # The robot goes on without it, and a cycle goes on where it was.
        **common.AGAIN,
        on_exit=common.watched("the learner"),
        sigterm_timeout=common.PATIENCE,
    )
    reach = SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", LaunchConfiguration("discovery"))
    swaps = LogInfo(
        msg="swap:=true: what is promoted takes over from the running policy while the arm moves",
        condition=IfCondition(LaunchConfiguration("swap")),
    )
    # Where deploy.launch.py does not serve the page already.
    return LaunchDescription([*ARGUMENTS, swaps, reach, learner, common.web_console_node()])
