"""Which ROS packages there are, for launch files."""

from ament_index_python.packages import PackageNotFoundError, get_package_prefix

__all__ = ['installed']


def installed(package: str) -> bool:
    """Whether the ROS package is installed."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True
