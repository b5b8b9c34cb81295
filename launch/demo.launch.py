"""The main job on the embedded arm: cameras, policy in closed loop, every run recorded. Ends by itself."""

import runpy
from pathlib import Path
from types import SimpleNamespace

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, LogInfo
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

common = SimpleNamespace(**runpy.run_path(str(Path(__file__).resolve().with_name("common.py"))))
ARGUMENTS = (
    DeclareLaunchArgument("episodes", default_value="6", description="How many episodes to run."),
    DeclareLaunchArgument("seed", default_value="10000", description="Seed of the first episode; the next follow it."),
    DeclareLaunchArgument("domain", default_value="source", description="Visual appearance of the arm and its desk."),
    DeclareLaunchArgument(
        "policy",
        default_value=str(common.SHARE / "models" / "desk_arm_source"),
        description="Policy bundle: the path of a folder that `emma train` wrote.",
    ),
    DeclareLaunchArgument("out", default_value="bags", description="Folder that gets one folder per episode."),
    DeclareLaunchArgument(
        "sheet",
        default_value=[LaunchConfiguration("out"), "/contact_sheet.png"],
        description="Contact sheet of what the cameras saw (PNG); empty: none.",
    ),
    DeclareLaunchArgument(
        "console",
        default_value="false",
        choices=["true", "false"],
        description="Serve the web page to record, supervise and review; it prints its address.",
    ),
    DeclareLaunchArgument("result", default_value="", description="File for the result as JSON; empty: none."),
)
TEXTS = ("domain", "sheet", "result")
# A demonstration stays on this machine, whatever the shell says.
REACH = "LOCALHOST"


def generate_launch_description() -> LaunchDescription:
    loop = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(common.SHARE / "launch" / "deploy.launch.py")),
        launch_arguments={
            "robot": common.DEFAULT_ROBOT,
            "sim": "true",
            "discovery": REACH,
            **{name: LaunchConfiguration(name) for name in ("policy", "domain", "seed", "out", "console")},
        }.items(),
    )
    console = Node(
        package="emma",
        executable="console",
        name="console",
        parameters=[
            {
                "episodes": ParameterValue(LaunchConfiguration("episodes"), value_type=int),
                "seed": ParameterValue(LaunchConfiguration("seed"), value_type=int),
                **{name: common.text(name) for name in TEXTS},
            }
        ],
        output="screen",
        on_exit=common.last("the demonstration"),
    )
    moves = LogInfo(msg="the simulated arm moves by itself, episode after episode; Ctrl+C ends it")
    return LaunchDescription([*ARGUMENTS, moves, loop, console])
