# das-bot in a small image: no compiler, no root, nothing written outside /data; the root may be read-only.
# Pin what it stands on by digest: docker build --build-arg PYTHON=python:3.13-slim-bookworm@sha256:… .
ARG PYTHON=python:3.13-slim-bookworm

FROM ${PYTHON} AS build
# With traces: --build-arg LOCK=requirements-otel.lock
ARG LOCK=requirements.lock
WORKDIR /src
COPY requirements*.lock ./
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r ${LOCK}
COPY pyproject.toml README.md ./
COPY bot ./bot
# pip itself is of no use later on.
RUN /venv/bin/pip install --no-cache-dir --no-deps . && /venv/bin/pip uninstall --yes pip

FROM ${PYTHON}
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin das \
    && mkdir /data && chown das:das /data
COPY --from=build /venv /venv
USER 10001
# The embedded server keeps its data here; with REDIS_URL set the folder stays empty.
VOLUME /data
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/data LOG_FORMAT=json PORT=3000
EXPOSE 3000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/readyz', timeout=4)"]
# SIGTERM drains: give the container longer to stop than DRAIN_SECONDS (60).
STOPSIGNAL SIGTERM
ENTRYPOINT ["das-bot"]
CMD ["run"]
