"""Depth and semantic labels from one colour camera, as a ROS 2 node and as a plain library."""

__all__: list[str] = []
