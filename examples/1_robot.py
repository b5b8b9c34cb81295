"""What a robot is, and where its tool is: python examples/1_robot.py [ROBOT]"""

import sys

import numpy as np

import emma
from emma.robots.kinematics import Kinematics

robot = emma.load_robot(sys.argv[1] if len(sys.argv) > 1 else "desk_arm")
print(
    f"{robot.name}: {len(robot.joints)} joints, cameras {', '.join(robot.camera_names)}, {robot.control_rate_hz:g} Hz"
)
for joint in robot.joints:
    limits = f"{joint.lower:7.3f} to {joint.upper:6.3f} {joint.unit}"
    print(f"  {joint.name:10} {limits}, at most {joint.velocity} {joint.unit}/s")

arm, home = Kinematics.of(robot), np.array(robot.home)
tool, pose = next(iter(arm.forward(home).items()))
print(f"{tool} at home: {np.round(pose[:3, 3], 3)} m from the base")
pose[2, 3] += 0.05
found = arm.inverse({tool: pose}, home)
print(f"5 cm higher: joints {np.round(found.joints, 3)}, {'reached' if found.reached else 'out of reach'}")
