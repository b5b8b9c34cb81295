"""A person moves the robot: leader arm, keyboard, gamepad. No ROS here; every command passes the safety filter."""
