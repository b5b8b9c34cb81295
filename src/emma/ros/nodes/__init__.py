"""The ROS 2 nodes: parameters, topics and timers around the packages below."""
