# The whole service in one image: `serve` runs everything, `api` and `worker` run its parts. Built by `make image`,
# proved by `make image-test`. Nothing in it needs a writable root: give it a /tmp of a few MB, and /data for `serve`.
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm
ARG TARGETARCH

# The kernels are compiled when the image is built, and Numba keeps machine code under the name and the features of the
# processor: with those of the machine that built it, every other kind of machine would compile again, for 50 s of CPU
# in each process that starts. So both are fixed here. x86-64-v3 is Haswell (2013), Zen (2017) and later, and as fast as
# the machine's own features to a twentieth; `generic` would be half as fast (perf/README.md). On an older processor
# the encode processes die of an illegal instruction: build for it with the two build arguments.
FROM ${PYTHON_IMAGE} AS base-amd64
ARG NUMBA_CPU_NAME=x86-64-v3
# Told even where the name implies it: left unset, Numba adds what the machine at hand has.
ARG NUMBA_CPU_FEATURES=+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe
ENV NUMBA_CPU_NAME=${NUMBA_CPU_NAME} NUMBA_CPU_FEATURES=${NUMBA_CPU_FEATURES}

FROM ${PYTHON_IMAGE} AS base-arm64
ARG NUMBA_CPU_NAME=generic
ARG NUMBA_CPU_FEATURES=
ENV NUMBA_CPU_NAME=${NUMBA_CPU_NAME} NUMBA_CPU_FEATURES=${NUMBA_CPU_FEATURES}

# A stage above, not an image.
# hadolint ignore=DL3006
FROM base-${TARGETARCH} AS base

FROM base AS build
# What is shipped has no pip.
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/compressorize
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_PYTHON=/opt/compressorize/bin/python
WORKDIR /src
# The pins change less often than the code: this layer is kept. pyvips comes as source, and as plain Python where there is
# no compiler.
COPY requirements.txt ./
RUN /opt/pip/bin/pip install --no-deps --require-hashes --only-binary :all: --no-binary pyvips -r requirements.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY app app
COPY codecs codecs
# What builds the project is not needed to run it; `check` tells if something else needed it.
RUN /opt/pip/bin/pip install --no-deps --no-build-isolation . \
    && /opt/pip/bin/pip uninstall --yes editables hatchling trove-classifiers \
    && /opt/pip/bin/pip check
RUN /opt/compressorize/bin/compressorize warm

FROM base
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Compressorize" \
      org.opencontainers.image.description="Image compression: the smallest file that looks the same, over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm"
# By number, so that a cluster can see that it is not root. /data is for `serve`, which keeps Valkey and the store there.
RUN groupadd --gid 10001 compressorize \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin compressorize \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /opt/compressorize /opt/compressorize
# MALLOC_ARENA_MAX, VIPS_CONCURRENCY: as `serve` sets them for its parts, which here may run alone.
ENV PATH=/opt/compressorize/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    VIPS_CONCURRENCY=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    DATA_DIR=/data \
    LOG_FORMAT=json
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8000
# Asks whether the process lives, not whether Redis does: a restart would not mend that. A container that runs `worker`
# listens nowhere but at METRICS_PORT: turn the check off there, or ask that.
HEALTHCHECK --interval=30s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health/live', timeout=2)"]
# SIGTERM to this process drains: it is no shell.
STOPSIGNAL SIGTERM
ENTRYPOINT ["compressorize"]
CMD ["serve"]
