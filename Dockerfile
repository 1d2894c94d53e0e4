# docker build -t vidrain .
# docker run --rm -v "$PWD:/videos" --user "$(id -u):$(id -g)" vidrain clean rainy.mp4
#
# The index of the PyTorch project holds the same release once for each device, and pip prefers the wheel
# with the device in its version. For an NVIDIA GPU name a CUDA index and run with `--gpus all`:
#   docker build -t vidrain:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
FROM python:3.11-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

ENV PYTHONUNBUFFERED=1
RUN useradd --create-home --uid 1000 vidrain

WORKDIR /src
# torch in a layer of its own: it is most of the image and changes least.
COPY constraints.txt ./
RUN pip install --no-cache-dir --root-user-action=ignore --extra-index-url "${TORCH_INDEX}" -c constraints.txt torch
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY vidrain vidrain
RUN pip install --no-cache-dir --root-user-action=ignore -c constraints.txt .

USER 1000:1000
WORKDIR /videos
ENTRYPOINT ["vidrain"]
CMD ["--help"]
