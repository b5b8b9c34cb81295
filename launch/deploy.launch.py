"""Run a policy on a robot, and a recorder beside it.

The robot's camera and arm drivers run already, or sim:=true starts the embedded arm in their place. The policy holds
still until it is enabled:

    ros2 service call /policy/enable std_srvs/srv/SetBool "{data: true}"

With teleop:=jog or teleop:=leader a person takes the robot over (/teleop/take) and gives it back
(/teleop/give); the keys for it need a terminal of their own: emma node keys --ros-args -p teleop:=true -p policy:=true
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable, Shutdown
from launch.conditions import IfCondition
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
    DeclareLaunchArgument(
        "policy",
        default_value=str(SHARE / "models" / "desk_arm_source"),
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
    DeclareLaunchArgument("device", default_value="auto", description="Where the policy runs: auto, cpu, cuda, cuda:1."),
    DeclareLaunchArgument(
        "record",
        default_value="true",
        choices=["true", "false"],
        description="Run the recorder. An episode begins with /recorder/start and ends with /recorder/save.",
    ),
    DeclareLaunchArgument(
        "teleop",
        default_value="none",
        choices=["none", "jog", "leader"],
        description="How a person may take over: jog (keys or gamepad, by `emma node keys`), leader (a second arm).",
    ),
    DeclareLaunchArgument(
        "leader_map", default_value="", description="Leader arm: YAML file of its joints; empty: named and built alike."
    ),
    DeclareLaunchArgument("out", default_value="bags", description="Folder that gets one folder per episode."),
    DeclareLaunchArgument(
        "sim",
        default_value="auto",
        choices=["auto", "true", "false"],
        description="Start the embedded arm in place of the robot's drivers; auto: when robot is desk_arm.",
    ),
    DeclareLaunchArgument("domain", default_value="source", description="Embedded arm: its visual appearance."),
    DeclareLaunchArgument("seed", default_value="0", description="Embedded arm: seed of the first start pose."),
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
TELEOPERATED = IfCondition(PythonExpression(["'", LaunchConfiguration("teleop"), "' != 'none'"]))
SIMULATED = IfCondition(PythonExpression(["'", SIM, "' == 'true' or '", SIM, " ", ROBOT, "' == 'auto desk_arm'"]))


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
        # As a driver: the policy holds the arm while it is away.
        respawn=True,
        respawn_delay=2.0,
        respawn_max_retries=3,
        sigterm_timeout=PATIENCE,
    )
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
                "enable": ParameterValue(LaunchConfiguration("enable"), value_type=bool),
            },
        ],
        output="screen",
        # A policy that failed must not begin to move again by itself.
        on_exit=Shutdown(reason="the policy has ended"),
        sigterm_timeout=PATIENCE,
    )
    teleop = Node(
        package="emma",
        executable="teleop",
        name="teleop",
        condition=TELEOPERATED,
        parameters=[
            params,
            {"robot": text("robot"), "device": text("teleop"), "leader_map": text("leader_map")},
        ],
        output="screen",
        # Whoever moved the robot by it decides whether to go on.
        sigterm_timeout=PATIENCE,
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
        respawn=True,
        respawn_delay=2.0,
        respawn_max_retries=3,
        sigterm_timeout=PATIENCE,
    )
    reach = SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", LaunchConfiguration("discovery"))
    return LaunchDescription([*ARGUMENTS, reach, sim, policy, teleop, recorder])
