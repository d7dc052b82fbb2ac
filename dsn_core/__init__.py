"""The model, the losses and the offline trainer of DepthSegNet24. Knows nothing of ROS."""

__all__ = ['__version__']

__version__ = '1.0.0'
