# das-bot in a small image: no compiler, no root, nothing written outside /data.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY bot ./bot
RUN /venv/bin/pip install --no-cache-dir --no-deps .

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin das \
    && mkdir /data && chown das:das /data
COPY --from=build /venv /venv
USER 10001
# The embedded server keeps its data here; with REDIS_URL set the folder stays empty.
VOLUME /data
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 DATA_DIR=/data LOG_FORMAT=json PORT=3000
EXPOSE 3000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/readyz', timeout=4)"]
# SIGTERM drains: give the container longer to stop than DRAIN_SECONDS (60).
STOPSIGNAL SIGTERM
ENTRYPOINT ["das-bot"]
CMD ["run"]
