"""The model, the losses and the offline trainer of DepthSegNet24. Knows nothing of ROS."""

__version__ = '0.1.0'
