"""What the launch files share: arguments, the nodes that several start, and how a launch ends.

They read this file by its path (`runpy`): the launch system's Python has no emma to import.
"""

from collections.abc import Callable
from pathlib import Path

from launch import LaunchContext
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetLaunchConfiguration, Shutdown
from launch.conditions import IfCondition
from launch.events.process import ProcessExited
from launch.substitutions import Command, EnvironmentVariable, LaunchConfiguration, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import ExecutableInPackage

# share/emma of the installed package, or the checkout.
SHARE = Path(__file__).resolve().parents[1]
DEFAULT_ROBOT = "desk_arm"
# Of every launch file with nodes of its own.
GENERAL = (
    DeclareLaunchArgument(
        "console",
        default_value="false",
        choices=["true", "false"],
        description="Serve the web page to record, supervise and review; it prints its address.",
    ),
    DeclareLaunchArgument(
        "params",
        default_value=str(SHARE / "launch" / "params" / "default.yaml"),
        description="Parameter file of all nodes; arguments given here come on top.",
    ),
    DeclareLaunchArgument(
        "discovery",
        default_value=EnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", default_value="LOCALHOST"),
        description="Who hears and commands these nodes: LOCALHOST (this machine) or SUBNET (all of the network).",
    ),
)
ROBOT = DeclareLaunchArgument(
    "robot",
    default_value=DEFAULT_ROBOT,
    description="Robot: a name that `emma robots` lists, or the path of a robot.yaml.",
)
# Of those in which a robot moves.
MOVING = (
    ROBOT,
    DeclareLaunchArgument(
        "teleop",
        default_value="none",
        choices=["none", "jog", "leader"],
        description="A person moves the robot by: jog (keys or gamepad, by `emma node keys`), leader (a second arm).",
    ),
    DeclareLaunchArgument(
        "leader_map", default_value="", description="Leader arm: YAML file of its joints; empty: named and built alike."
    ),
    DeclareLaunchArgument("out", default_value="bags", description="Folder that gets one folder per episode."),
    DeclareLaunchArgument(
        "sim",
        default_value="auto",
        choices=["auto", "true", "false"],
        description="Start the robot's simulator in place of its drivers; auto: when its robot.yaml names one.",
    ),
    DeclareLaunchArgument("domain", default_value="source", description="Simulator: its visual appearance."),
    DeclareLaunchArgument("seed", default_value="0", description="Simulator: seed of the first start pose."),
    *GENERAL,
)
# Seconds from SIGINT to SIGTERM: a bag is finished, the arm brought to a hold, a checkpoint saved, and a busy machine
# is slow at all of them.
PATIENCE = "15"
# Exit code of a node that refuses its settings, and how often a node that crashed is started again.
REFUSED, RETRIES = 2, 3
AGAIN = {"respawn": True, "respawn_delay": 2.0, "respawn_max_retries": RETRIES}
SIM = LaunchConfiguration("sim")


def text(argument: str) -> ParameterValue:
    """The launch argument as text, whatever it looks like."""
    return ParameterValue(LaunchConfiguration(argument), value_type=str)


def flag(argument: str) -> ParameterValue:
    """The launch argument as true or false."""
    return ParameterValue(LaunchConfiguration(argument), value_type=bool)


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


def last(what: str) -> Callable[[ProcessExited, LaunchContext], Shutdown | None]:
    """An on_exit of the node without which there is nothing to do: the launch ends, after a failure with code 1."""

    def ended(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
        if context.is_shutdown:
            return None
        if event.returncode:
            raise RuntimeError(f"{what} ended with exit code {event.returncode}")
        return Shutdown(reason=f"{what} has ended")

    return ended


def _ask(context: LaunchContext) -> list[SetLaunchConfiguration]:
    if SIM.perform(context) != "auto":
        return []
    emma = ExecutableInPackage(package="emma", executable="emma")
    # What emma says on stderr while it starts on a busy machine is no failure; its exit code tells one.
    asked = Command([emma, " robots --simulator '", LaunchConfiguration("robot"), "'"], on_stderr="ignore")
    return [SetLaunchConfiguration("sim", "true" if asked.perform(context).strip() else "false")]


def decide_sim() -> OpaqueFunction:
    """Before all that asks whether `sim` is true: auto becomes true or false, as emma reads it in robot.yaml."""
    return OpaqueFunction(function=_ask)


def sim_node() -> Node:
    """The robot's simulator, where `sim` is true."""
    return Node(
        package="emma",
        executable="sim",
        name="sim",
        condition=IfCondition(SIM),
        parameters=[
            LaunchConfiguration("params"),
            {
                "robot": text("robot"),
                "domain": text("domain"),
                "seed": ParameterValue(LaunchConfiguration("seed"), value_type=int),
            },
        ],
        output="screen",
        # As a driver: the policy holds the arm while it is away.
        **AGAIN,
        on_exit=watched("the simulator"),
        sigterm_timeout=PATIENCE,
    )


def web_console_node(**parameters: object) -> Node:
    """The web page, where `console` is true. parameters: beside the robot."""
    return Node(
        package="emma",
        executable="web_console",
        name="web_console",
        condition=IfCondition(LaunchConfiguration("console")),
        parameters=[LaunchConfiguration("params"), {"robot": text("robot"), **parameters}],
        output="screen",
        **AGAIN,
    )


def teleop_node(*, take: bool) -> Node:
    """A person's device, where `teleop` names one. take: whether it moves the robot from the beginning."""
    return Node(
        package="emma",
        executable="teleop",
        name="teleop",
        condition=IfCondition(PythonExpression(["'", LaunchConfiguration("teleop"), "' != 'none'"])),
        parameters=[
            LaunchConfiguration("params"),
            {"robot": text("robot"), "device": text("teleop"), "leader_map": text("leader_map"), "take": take},
        ],
        output="screen",
        # Whoever moved the robot by it decides whether to go on.
        on_exit=watched("teleop"),
        sigterm_timeout=PATIENCE,
    )
