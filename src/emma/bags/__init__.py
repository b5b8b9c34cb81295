"""Episodes on disk: rosbag2 directories written, read and repaired without ROS."""
