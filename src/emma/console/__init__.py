"""The web console: one page to record, supervise and review. No ROS here; `emma.ros.nodes.web_console` brings it."""
