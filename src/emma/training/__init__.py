"""Training: any LeRobot policy class from LeRobotDatasets, resumable, without a home-made trainer per policy."""
