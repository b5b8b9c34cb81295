"""Record demonstrations: every topic of the robot as received, one bag per episode.

The robot's drivers and whatever moves it run already; of a simulated robot the simulator and a scripted operator are
started too. With teleop:=jog or teleop:=leader a person moves the robot instead; the keys for it need a terminal of
their own: emma node keys --ros-args -p teleop:=true. An episode:

    ros2 service call /recorder/start std_srvs/srv/Trigger
    ros2 service call /recorder/mark_success std_srvs/srv/SetBool "{data: true}"
    ros2 service call /recorder/save std_srvs/srv/Trigger        # or /recorder/discard
"""

import runpy
from pathlib import Path
from types import SimpleNamespace

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import Node

common = SimpleNamespace(**runpy.run_path(str(Path(__file__).resolve().with_name("common.py"))))
ARGUMENTS = (
    DeclareLaunchArgument("operator", default_value="", description="Who moves the robot; stored with each episode."),
    DeclareLaunchArgument("notes", default_value="", description="Free text, stored with each episode."),
    DeclareLaunchArgument(
        "compress",
        default_value="false",
        choices=["true", "false"],
        description="Compress bags with zstd: smaller, and more processor time.",
    ),
    *common.MOVING,
)
TELEOP = LaunchConfiguration("teleop")
# One commander at a time: the scripted operator only where no person moves the arm.
SCRIPTED = IfCondition(PythonExpression(["'", common.SIM, "' == 'true' and '", TELEOP, "' == 'none'"]))


def generate_launch_description() -> LaunchDescription:
    params, text = LaunchConfiguration("params"), common.text
    scripted_operator = Node(
        package="emma",
        executable="scripted_operator",
        name="scripted_operator",
        condition=SCRIPTED,
        parameters=[params, {"robot": text("robot")}],
        output="screen",
        **common.AGAIN,
        on_exit=common.watched("the scripted operator"),
        sigterm_timeout=common.PATIENCE,
    )
    recorder = Node(
        package="emma",
        executable="recorder",
        name="recorder",
        parameters=[
            params,
            {
                "robot": text("robot"),
                "root": text("out"),
                "kind": "teleop",
                "operator": text("operator"),
                "notes": text("notes"),
                "compress": common.flag("compress"),
            },
        ],
        output="screen",
        # Without it there is nothing to do here.
        on_exit=common.last("the recorder"),
        sigterm_timeout=common.PATIENCE,
    )
    # A list in a list: one text would be made of the items of a plain one.
    web_console = common.web_console_node(folders=[[LaunchConfiguration("out")]])
    reach = SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", LaunchConfiguration("discovery"))
    follows = LogInfo(
        msg="teleop:=leader: the arm comes slowly to the leader's pose, then follows it, as soon as both are there; "
        "keep clear of it",
        condition=IfCondition(PythonExpression(["'", TELEOP, "' == 'leader'"])),
    )
    jogs = LogInfo(
        msg="teleop:=jog: the arm is held where it is, and moves by the keys or the gamepad of `emma node keys`",
        condition=IfCondition(PythonExpression(["'", TELEOP, "' == 'jog'"])),
    )
    demonstrates = LogInfo(msg="the simulated arm moves when /scripted_operator/start is called", condition=SCRIPTED)
    nodes = [common.sim_node(), scripted_operator, common.teleop_node(take=True), recorder, web_console]
    return LaunchDescription([*ARGUMENTS, reach, common.decide_sim(), follows, jogs, demonstrates, *nodes])
