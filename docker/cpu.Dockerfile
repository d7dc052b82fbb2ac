# The node on a CPU, x86-64 or arm64:
#   docker build -f docker/cpu.Dockerfile -t dsn_ros:cpu .
#   docker run --rm --network host --ipc host dsn_ros:cpu image:=/camera/image_raw
# NOT BUILT by its makers: written to the documentation of the base image. See README.md.
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}-ros-base

RUN apt-get update && apt-get install -y --no-install-recommends \
        python3-venv \
        ros-${ROS_DISTRO}-cv-bridge \
        ros-${ROS_DISTRO}-rosbag2-storage-mcap \
        ros-${ROS_DISTRO}-tf2-ros-py \
        ros-${ROS_DISTRO}-vision-msgs \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /ws
COPY . src/dsn_ros
# The locked releases, each by its hash, beside ROS's own packages.
ENV LOCKED="-m pip install --no-cache-dir --no-deps --require-hashes --only-binary :all:"
RUN python3 -m venv --system-site-packages /venv \
    && /venv/bin/python ${LOCKED} -r src/dsn_ros/requirements/build.txt \
    && /venv/bin/python ${LOCKED} -r src/dsn_ros/requirements/demo.txt
# Started by the environment's Python, colcon gives the node's script that Python.
RUN . /opt/ros/${ROS_DISTRO}/setup.sh && . /venv/bin/activate \
    && python "$(command -v colcon)" build \
        --base-paths src/dsn_ros src/dsn_ros/msg --packages-select dsn_msgs dsn_ros

RUN printf '%s\n' '#!/bin/bash' 'set -e' '. "/opt/ros/$ROS_DISTRO/setup.bash"' \
        '. /venv/bin/activate' '. /ws/install/setup.bash' \
        'exec ros2 launch dsn_ros perception.launch.py "$@"' > /start && chmod +x /start
# Model caches and saved frames: mount a volume here to keep them.
VOLUME /root
ENTRYPOINT ["/start"]
