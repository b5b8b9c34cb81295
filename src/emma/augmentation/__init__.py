"""Augmentation: a LeRobotDataset in, the same motions in other appearances out. Resumable, parallel, with a report."""
