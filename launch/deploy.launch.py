"""Run a policy on a robot, and a recorder beside it.

The robot's camera and arm drivers run already; of a simulated robot the simulator is started in their place. The policy
holds still until it is enabled:

    ros2 service call /policy/enable std_srvs/srv/SetBool "{data: true}"

With teleop:=jog or teleop:=leader a person takes the robot over (/teleop/take) and gives it back
(/teleop/give); the keys for it need a terminal of their own: emma node keys --ros-args -p teleop:=true -p policy:=true
"""

import runpy
from pathlib import Path
from types import SimpleNamespace

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, SetEnvironmentVariable
from launch.conditions import IfCondition, UnlessCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

common = SimpleNamespace(**runpy.run_path(str(Path(__file__).resolve().with_name("common.py"))))
ARGUMENTS = (
    DeclareLaunchArgument(
        "policy",
        default_value=str(common.SHARE / "models" / "desk_arm_source"),
        description="Policy bundle: the path of a folder that `emma train` wrote.",
    ),
    DeclareLaunchArgument(
        "instruction",
        default_value="",
        description="What to do, in words. It can be changed at any time on the topic /instruction.",
    ),
    DeclareLaunchArgument(
        "enable",
        default_value="false",
        choices=["true", "false"],
        description="Begin to move as soon as all streams are there. Otherwise call /policy/enable.",
    ),
    DeclareLaunchArgument(
        "device", default_value="auto", description="Where the policy runs: auto, cpu, cuda, cuda:1."
    ),
    DeclareLaunchArgument(
        "record",
        default_value="true",
        choices=["true", "false"],
        description="Run the recorder. An episode begins with /recorder/start and ends with /recorder/save.",
    ),
    *common.MOVING,
)


def generate_launch_description() -> LaunchDescription:
    params, text = LaunchConfiguration("params"), common.text
    policy = Node(
        package="emma",
        executable="policy",
        name="policy",
        parameters=[
            params,
            {
                "robot": text("robot"),
                "policy": text("policy"),
                "instruction": text("instruction"),
                "device": text("device"),
                "enable": common.flag("enable"),
            },
        ],
        output="screen",
        # A policy that failed must not begin to move again by itself.
        on_exit=common.last("the policy"),
        sigterm_timeout=common.PATIENCE,
    )
    recorder = Node(
        package="emma",
        executable="recorder",
        name="recorder",
        condition=IfCondition(LaunchConfiguration("record")),
        parameters=[
            params,
            {"robot": text("robot"), "root": text("out"), "kind": "policy", "policy": text("policy")},
        ],
        output="screen",
        **common.AGAIN,
        on_exit=common.watched("the recorder"),
        sigterm_timeout=common.PATIENCE,
    )
    # A list in a list: one text would be made of the items of a plain one.
    web_console = common.web_console_node(folders=[[LaunchConfiguration("out")]])
    reach = SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", LaunchConfiguration("discovery"))
    moves = LogInfo(
        msg="enable:=true: the arm begins to move as soon as all streams are there; keep clear of it",
        condition=IfCondition(LaunchConfiguration("enable")),
    )
    holds = LogInfo(
        msg="the arm is not commanded until /policy/enable is called",
        condition=UnlessCondition(LaunchConfiguration("enable")),
    )
    nodes = [common.sim_node(), policy, common.teleop_node(take=False), recorder, web_console]
    return LaunchDescription([*ARGUMENTS, moves, holds, reach, common.decide_sim(), *nodes])
