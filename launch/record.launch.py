"""Record demonstrations: every topic of the robot as received, one bag per episode.

The robot's drivers and whatever moves it run already; for the desk arm the embedded simulator and a scripted operator
are started too. With teleop:=jog or teleop:=leader a person moves the robot instead; the keys for it need a terminal of
their own: emma node keys --ros-args -p teleop:=true. An episode:

    ros2 service call /recorder/start std_srvs/srv/Trigger
    ros2 service call /recorder/mark_success std_srvs/srv/SetBool "{data: true}"
    ros2 service call /recorder/save std_srvs/srv/Trigger        # or /recorder/discard
"""

from collections.abc import Callable
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, SetEnvironmentVariable, Shutdown
from launch.conditions import IfCondition
from launch.events.process import ProcessExited
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

# share/emma of the installed package, or the checkout.
SHARE = Path(__file__).resolve().parents[1]
ARGUMENTS = (
    DeclareLaunchArgument(
        "robot",
        default_value="desk_arm",
        description="Robot: a name that `emma robots` lists, or the path of a robot.yaml.",
    ),
    DeclareLaunchArgument("out", default_value="bags", description="Folder that gets one folder per episode."),
    DeclareLaunchArgument(
        "teleop",
        default_value="none",
        choices=["none", "jog", "leader"],
        description="How a person moves the robot: jog (keys or gamepad, by `emma node keys`), leader (a second arm).",
    ),
    DeclareLaunchArgument(
        "leader_map", default_value="", description="Leader arm: YAML file of its joints; empty: named and built alike."
    ),
    DeclareLaunchArgument("operator", default_value="", description="Who moves the robot; stored with each episode."),
    DeclareLaunchArgument("notes", default_value="", description="Free text, stored with each episode."),
    DeclareLaunchArgument(
        "compress",
        default_value="false",
        choices=["true", "false"],
        description="Compress bags with zstd: smaller, and more processor time.",
    ),
    DeclareLaunchArgument(
        "sim",
        default_value="auto",
        choices=["auto", "true", "false"],
        description="Start the embedded arm and its scripted operator; auto: when robot is desk_arm.",
    ),
    DeclareLaunchArgument("domain", default_value="source", description="Embedded arm: its visual appearance."),
    DeclareLaunchArgument("seed", default_value="0", description="Embedded arm: seed of the first start pose."),
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


def text(argument: str) -> ParameterValue:
    """The launch argument as text, whatever it looks like."""
    return ParameterValue(LaunchConfiguration(argument), value_type=str)


# Seconds from SIGINT to SIGTERM: a bag is finished, the arm brought to a hold, and a busy machine is slow at both.
PATIENCE = "15"
ROBOT, SIM = LaunchConfiguration("robot"), LaunchConfiguration("sim")
IS_SIMULATED = ["('", SIM, "' == 'true' or '", SIM, " ", ROBOT, "' == 'auto desk_arm')"]
SIMULATED = IfCondition(PythonExpression(IS_SIMULATED))
TELEOP = LaunchConfiguration("teleop")
TELEOPERATED = IfCondition(PythonExpression(["'", TELEOP, "' != 'none'"]))
# One commander at a time: the scripted operator only where no person moves the arm.
SCRIPTED = IfCondition(PythonExpression([*IS_SIMULATED, " and '", TELEOP, "' == 'none'"]))
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


def last(what: str) -> Callable[[ProcessExited, LaunchContext], Shutdown | None]:
    """An on_exit of the node without which there is nothing to do: the launch ends, after a failure with code 1."""

    def ended(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
        if context.is_shutdown:
            return None
        if event.returncode:
            raise RuntimeError(f"{what} ended with exit code {event.returncode}")
        return Shutdown(reason=f"{what} has ended")

    return ended


def generate_launch_description() -> LaunchDescription:
    params = LaunchConfiguration("params")
    sim = Node(
        package="emma",
        executable="sim",
        name="sim",
        condition=SIMULATED,
        parameters=[
            params,
            {
                "robot": text("robot"),
                "domain": text("domain"),
                "seed": ParameterValue(LaunchConfiguration("seed"), value_type=int),
            },
        ],
        output="screen",
        respawn=True,
        respawn_delay=2.0,
        respawn_max_retries=RETRIES,
        on_exit=watched("the simulated arm"),
        sigterm_timeout=PATIENCE,
    )
    scripted_operator = Node(
        package="emma",
        executable="scripted_operator",
        name="scripted_operator",
        condition=SCRIPTED,
        parameters=[params, {"robot": text("robot")}],
        output="screen",
        respawn=True,
        respawn_delay=2.0,
        respawn_max_retries=RETRIES,
        on_exit=watched("the scripted operator"),
        sigterm_timeout=PATIENCE,
    )
    teleop = Node(
        package="emma",
        executable="teleop",
        name="teleop",
        condition=TELEOPERATED,
        parameters=[
            params,
            {"robot": text("robot"), "device": text("teleop"), "leader_map": text("leader_map"), "take": True},
        ],
        output="screen",
        # Whoever moved the robot by it decides whether to go on.
        on_exit=watched("teleop"),
        sigterm_timeout=PATIENCE,
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
                "compress": ParameterValue(LaunchConfiguration("compress"), value_type=bool),
            },
        ],
        output="screen",
        # Without it there is nothing to do here.
        on_exit=last("the recorder"),
        sigterm_timeout=PATIENCE,
    )
    web_console = Node(
        package="emma",
        executable="web_console",
        name="web_console",
        condition=IfCondition(LaunchConfiguration("console")),
        # A list in a list: one text would be made of the items of a plain one.
        parameters=[params, {"robot": text("robot"), "folders": [[LaunchConfiguration("out")]]}],
        output="screen",
        respawn=True,
        respawn_delay=2.0,
        respawn_max_retries=3,
    )
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
    demonstrates = LogInfo(
        msg="the simulated arm moves when somebody calls /scripted_operator/start", condition=SCRIPTED
    )
    return LaunchDescription(
        [*ARGUMENTS, follows, jogs, demonstrates, reach, sim, scripted_operator, teleop, recorder, web_console]
    )
