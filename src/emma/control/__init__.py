"""From observation to command at a fixed rate: chunks, executor, watchdog, safety. No ROS here."""
