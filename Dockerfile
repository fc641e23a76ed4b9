# das-bot in a small image: no compiler, no root, nothing written outside /data; the root may be read-only.
# By digest as well, for a build that is the same next year: --build-arg PYTHON=python:3.13.15-slim-trixie@sha256:…
# `make image-check` builds and runs it.
ARG PYTHON=python:3.13.15-slim-trixie

FROM ${PYTHON} AS build
# With traces: --build-arg LOCK=requirements-otel.lock
ARG LOCK=requirements.lock
WORKDIR /src
COPY requirements*.lock ./
# What comes as source is built by the setuptools of our lock: pip would fetch the newest one, and check no hash of it.
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock \
    && /venv/bin/pip install --no-cache-dir --require-hashes --no-build-isolation -r ${LOCK}
COPY pyproject.toml README.md ./
COPY bot ./bot
# What builds and installs is of no use later on.
RUN /venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /venv/bin/pip uninstall --yes setuptools pip

FROM ${PYTHON}
# The embedded server keeps its data in /data: give it a volume. It is none by itself, so that replicas with a
# read-only root that were given no REDIS_URL end with a message instead of working each on a store of its own.
RUN groupadd --gid 10001 das && useradd --uid 10001 --gid das --no-create-home --shell /usr/sbin/nologin das \
    && install --directory --owner das --group das --mode 700 /data
COPY --from=build /venv /venv
USER 10001:10001
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/data LOG_FORMAT=json PORT=3000
EXPOSE 3000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/readyz', timeout=4)"]
# SIGTERM drains: give the container longer to stop than DRAIN_SECONDS (60).
STOPSIGNAL SIGTERM
ENTRYPOINT ["das-bot"]
CMD ["run"]
