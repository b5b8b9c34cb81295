"""What can be set on the policy node."""

from dataclasses import dataclass

from emma.ros.parameters import parameter


@dataclass(frozen=True, kw_only=True)
class PolicyParameters:
    """Parameters of the policy node."""

    policy: str = parameter(
        "", "policy bundle: a folder that `emma train` wrote; ~/swap changes to it while the arm moves", runtime=True
    )
    robot: str = parameter("", "robot: a name, or a path to a robot.yaml; empty: the one the policy was trained on")
    map: tuple[str, ...] = parameter(
        (), "the robot's name for a camera or joint of the policy, as top=observation.images.front"
    )
    units: str = parameter("declared", "what the policy's numbers are: declared (as robot.yaml), degrees or percent")
    runtime: str = parameter("auto", "what runs the policy: auto, tensorrt, onnxruntime, torch or torch-compile")
    device: str = parameter("auto", "where it runs: auto (a GPU if there is one), cpu, cuda, cuda:1, ...")
    compile: bool = parameter(True, "build TensorRT engines in the background where a GPU could use them")
    isolate: bool = parameter(True, "run the policy in a process of its own; in lockstep it always shares the node's")
    threads: int = parameter(1, "torch's processor threads", minimum=1)
    instruction: str = parameter("", "what to do until a message on /instruction says something else")
    seed: int = parameter(
        -1, "restart the policy's noise with this seed at each enabling; below 0: do not", runtime=True
    )
    replan_s: float = parameter(
        0.0, "age of an action chunk at which the next is asked for; 0: as the bundle says", minimum=0.0
    )
    join: str = parameter(
        "auto", "how chunks follow each other: auto (rtc if trained for it), blend, rtc, ensemble, drain"
    )
    blend_s: float = parameter(0.2, "fade from one chunk to the next", minimum=0.0)
    ramp_s: float = parameter(0.5, "time in which speed grows to its limit after enabling", minimum=0.0)
    warn_age_s: float = parameter(0.15, "report streams older than this", minimum=0.0)
    hold_age_s: float = parameter(0.4, "hold the arm when a stream is older than this", minimum=0.0)
    workspace: tuple[float, ...] = parameter(
        (),
        "box that the tool stays in, m in the base frame: x, y, z of the lower and the upper corner; none: no box",
    )
    autostart: bool = parameter(True, "configure and activate at start, without a lifecycle manager")
    lockstep: bool = parameter(False, "run on the time of the sim's lockstep mode: repeatable, for evaluation")
    latency_s: float = parameter(0.06, "lockstep: from observation to usable chunk, simulated", minimum=0.0)
    enable: bool = parameter(False, "with autostart: begin to command as soon as all streams are there")
