"""From a LeRobot checkpoint to ONNX graphs that give the same actions, or a refusal that says where they differ."""
