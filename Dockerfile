# emma in a container, by the same steps as on a machine: docs/how-to/set-up.md.
#   docker build -t emma .
#   docker build -t emma:gpu --build-arg GPU=1 .
# The CUDA libraries come with torch's wheels, so the base image is the same; the driver comes from the host.
FROM debian:13-slim

ARG GPU=0
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates git make python3 python3-venv sudo \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --shell /bin/bash --groups video,dialout emma \
    && echo "emma ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/emma

USER emma
WORKDIR /home/emma/emma
COPY --chown=emma:emma . .
# The cache of downloads would double the image.
RUN GPU=$GPU make setup && rm -rf "$HOME/.cache" && sudo rm -rf /var/lib/apt/lists/*

ENV GPU=$GPU \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics \
    ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST \
    PATH=/home/emma/emma/.venv/bin:$PATH
CMD ["emma", "--help"]
