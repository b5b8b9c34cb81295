"""The main job on the embedded arm: cameras, policy in closed loop, every run recorded. Ends by itself."""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, LogInfo, Shutdown
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

# share/emma of the installed package, or the checkout.
SHARE = Path(__file__).resolve().parents[1]
ARGUMENTS = (
    DeclareLaunchArgument("episodes", default_value="6", description="How many episodes to run."),
    DeclareLaunchArgument("seed", default_value="10000", description="Seed of the first episode; the next follow it."),
    DeclareLaunchArgument("domain", default_value="source", description="Visual appearance of the arm and its desk."),
    DeclareLaunchArgument(
        "policy",
        default_value=str(SHARE / "models" / "desk_arm_source"),
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


def over(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
    """The launch ends with the console, after a failure with exit code 1."""
    if context.is_shutdown:
        return None
    if event.returncode:
        raise RuntimeError(f"the console ended with exit code {event.returncode}")
    return Shutdown(reason="the demonstration is over")


def generate_launch_description() -> LaunchDescription:
    loop = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "deploy.launch.py")),
        launch_arguments={
            "robot": "desk_arm",
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
                **{name: ParameterValue(LaunchConfiguration(name), value_type=str) for name in TEXTS},
            }
        ],
        output="screen",
        on_exit=over,
    )
    moves = LogInfo(msg="the simulated arm moves by itself, episode after episode; Ctrl+C ends it")
    return LaunchDescription([*ARGUMENTS, moves, loop, console])
