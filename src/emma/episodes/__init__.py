"""Episodes: bags written, read, mended, and turned into datasets. Nothing here imports ROS."""
