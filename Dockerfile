# The environment and the code in one image, at the versions of requirements/lock.txt (docs/cluster.md says how to use it):
#   docker build --tag glimmer .                         # or podman, buildah; --build-arg JAX=cuda13 for NVIDIA cards
#   apptainer build glimmer.sif docker-daemon:glimmer:latest
FROM debian:bookworm-slim
# The interpreter that the lock is solved for.
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv git \
 && rm -rf /var/lib/apt/lists/*
ENV PATH=/opt/glimmer/bin:$PATH
WORKDIR /src
COPY requirements/lock.txt requirements/
RUN python3 -m venv /opt/glimmer \
 && pip install --no-cache-dir --require-hashes --requirement requirements/lock.txt
# Of jax's own plugin for an accelerator, which no lock holds: the version that fits the jax of the lock.
ARG JAX=
RUN if [ -n "$JAX" ]; then pip install --no-cache-dir "jax[$JAX]==$(python3 -c 'import jax; print(jax.__version__)')"; fi
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation .
