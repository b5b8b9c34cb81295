"""Policies on the robot: bundles, runtimes, chunk execution and safety. No ROS here."""
