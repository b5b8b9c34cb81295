"""The offline cycle beside a robot whose policy and recorder run already (deploy.launch.py).

What it promotes, the policy node changes to while it moves. By hand:

    ros2 service call /learner/start std_srvs/srv/Trigger
    ros2 service call /learner/rollback std_srvs/srv/Trigger
    ros2 service call /learner/pause std_srvs/srv/SetBool "{data: true}"
"""

from collections.abc import Callable
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.events.process import ProcessExited
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

# share/emma of the installed package, or the checkout.
SHARE = Path(__file__).resolve().parents[1]
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
    DeclareLaunchArgument(
        "console",
        default_value="false",
        choices=["true", "false"],
        description="Serve the web page, where deploy.launch.py does not serve it already.",
    ),
    DeclareLaunchArgument(
        "robot",
        default_value="desk_arm",
        description="Robot of the page: a name that `emma robots` lists, or the path of a robot.yaml.",
    ),
    DeclareLaunchArgument(
        "params",
        default_value=str(SHARE / "launch" / "params" / "default.yaml"),
        description="Parameter file of all nodes; arguments given here come on top.",
    ),
    DeclareLaunchArgument(
        "discovery",
        default_value=EnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", default_value="LOCALHOST"),
        description="Who hears and commands this node: LOCALHOST (this machine) or SUBNET (all of the network).",
    ),
)
# Seconds from SIGINT to SIGTERM: a training in progress saves a checkpoint.
PATIENCE = "15"


def flag(argument: str) -> ParameterValue:
    """The launch argument as true or false."""
    return ParameterValue(LaunchConfiguration(argument), value_type=bool)


# Exit code of a node that refuses its settings, and how often a node that crashed is started again.
REFUSED, RETRIES = 2, 3


def watched(what: str) -> Callable[[ProcessExited, LaunchContext], None]:
    """An on_exit that ends the launch, with exit code 1, where starting the node again cannot help."""
    ends: list[int] = []

    def ended(event: ProcessExited, context: LaunchContext) -> None:
        ends.append(event.returncode)
        if context.is_shutdown:
            return
        if event.returncode == REFUSED:
            raise RuntimeError(f"{what} refuses its settings: the line that begins with emma: tells which")
        if len(ends) > RETRIES:
            raise RuntimeError(f"{what} ended {len(ends)} times")

    return ended


def generate_launch_description() -> LaunchDescription:
    learner = Node(
        package="emma",
        executable="learner",
        name="learner",
        parameters=[
            LaunchConfiguration("params"),
            {
                "config": ParameterValue(LaunchConfiguration("config"), value_type=str),
                "auto": flag("auto"),
                "swap": flag("swap"),
            },
        ],
        output="screen",
        # The robot goes on without it, and a cycle goes on where it was.
        respawn=True,
        respawn_delay=2.0,
        respawn_max_retries=RETRIES,
        on_exit=watched("the learner"),
        sigterm_timeout=PATIENCE,
    )
    web_console = Node(
        package="emma",
        executable="web_console",
        name="web_console",
        condition=IfCondition(LaunchConfiguration("console")),
        parameters=[
            LaunchConfiguration("params"),
            {"robot": ParameterValue(LaunchConfiguration("robot"), value_type=str)},
        ],
        output="screen",
        respawn=True,
        respawn_delay=2.0,
        respawn_max_retries=3,
    )
    reach = SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", LaunchConfiguration("discovery"))
    swaps = LogInfo(
        msg="swap:=true: what is promoted takes over from the running policy while the arm moves",
        condition=IfCondition(LaunchConfiguration("swap")),
    )
    return LaunchDescription([*ARGUMENTS, swaps, reach, learner, web_console])
