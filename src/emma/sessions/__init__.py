"""What a person runs over a ROS graph: record, evaluate, drive."""
