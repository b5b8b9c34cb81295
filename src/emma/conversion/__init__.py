"""Recorded bags to a LeRobotDataset."""
