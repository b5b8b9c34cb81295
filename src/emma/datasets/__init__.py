"""LeRobotDataset v3 on disk: features, writer, reader, validation."""
