# The node on a Jetson with JetPack 6, by the TensorRT that JetPack brings:
#   docker build -f docker/jetson.Dockerfile -t dsn_ros:jetson .
#   docker run --rm --runtime nvidia --network host --ipc host dsn_ros:jetson image:=/camera/image_raw
# JetPack 6 is Ubuntu 22.04, and so ROS 2 Humble and Python 3.10. Build it on the Jetson itself.
# NOT BUILT by its makers: written to the vendor's documentation. See README.md.
FROM nvcr.io/nvidia/l4t-tensorrt:r10.3.0-devel

ENV DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8 ROS_DISTRO=humble
# ROS's own apt source, as docs.ros.org describes it for Humble.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl gnupg \
    && curl -fsSL https://raw.githubusercontent.com/ros/rosdistro/master/ros.key \
        -o /usr/share/keyrings/ros-archive-keyring.gpg \
    && echo "deb [arch=arm64 signed-by=/usr/share/keyrings/ros-archive-keyring.gpg]" \
        "http://packages.ros.org/ros2/ubuntu jammy main" > /etc/apt/sources.list.d/ros2.list \
    && apt-get update && apt-get install -y --no-install-recommends \
        python3-colcon-common-extensions python3-venv \
        ros-humble-cv-bridge ros-humble-ros-base ros-humble-rosbag2-storage-mcap \
        ros-humble-tf2-ros-py ros-humble-vision-msgs \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /ws
COPY . src/dsn_ros
ENV LOCKED="-m pip install --no-cache-dir --no-deps --require-hashes --only-binary :all:"
# The system's packages are seen, and with them JetPack's TensorRT.
RUN python3 -m venv --system-site-packages /venv \
    && /venv/bin/python ${LOCKED} -r src/dsn_ros/requirements/build.txt \
    && /venv/bin/python ${LOCKED} -r src/dsn_ros/requirements/demo.txt
RUN . /opt/ros/humble/setup.sh && . /venv/bin/activate \
    && python "$(command -v colcon)" build \
        --base-paths src/dsn_ros src/dsn_ros/msg --packages-select dsn_msgs dsn_ros

RUN printf '%s\n' '#!/bin/bash' 'set -e' '. /opt/ros/humble/setup.bash' '. /venv/bin/activate' \
        '. /ws/install/setup.bash' 'exec ros2 launch dsn_ros perception.launch.py "$@"' > /start \
    && chmod +x /start
VOLUME /root
ENTRYPOINT ["/start"]
