"""What a robot is: RobotSpec and how it is read."""
