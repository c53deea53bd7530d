# The image of Complyq's workers (the default target, `worker`) and of the simulator (target `simulator`).
#
#   docker build -t complyq .
#   docker build -t complyq --build-arg PARQUET=1 .    where results are to be stored as Parquet: 165 MB more
#   docker build -t complyq-simulator --target simulator .
#
# Packages are those of uv.lock. The final images hold no compiler, no uv and no sources, and run as user 10001.
# Nothing here needs BuildKit.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build-worker
ARG UV_VERSION=0.13.9
ARG PARQUET=
# Certificates of the system, where a company may have put its own authority; no Python but the image's, whose
# path is the same in the final image; compiled once here, since the final root is read-only.
ENV UV_SYSTEM_CERTS=1 \
    UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/complyq \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet --no-cache-dir "uv==${UV_VERSION}"
WORKDIR /build
# The packages first: they change less often than the code, and stay in the builder's cache.
COPY pyproject.toml uv.lock ./
RUN /opt/uv/bin/uv sync --quiet --frozen --no-dev --no-install-project --extra worker ${PARQUET:+--extra parquet}
COPY LICENSE README.md ./
COPY config config
COPY producer producer
COPY simulator simulator
COPY workers workers
RUN /opt/uv/bin/uv sync --quiet --frozen --no-dev --no-editable --extra worker ${PARQUET:+--extra parquet}

FROM build-worker AS build-simulator
RUN /opt/uv/bin/uv sync --quiet --frozen --no-dev --no-editable --extra simulator

FROM ${PYTHON_IMAGE} AS runtime
# Volumes mounted on these folders for the first time take over their owner.
RUN groupadd --gid 10001 complyq \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin complyq \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/complyq /var/lib/complyq/spool /var/lib/complyq/store
ENV PATH=/opt/complyq/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    COMPLYQ_LOG_FORMAT=json \
    COMPLYQ_SPOOL_DIR=/var/lib/complyq/spool \
    COMPLYQ_STORE_URL=file:///var/lib/complyq/store
WORKDIR /var/lib/complyq
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["complyq"]

FROM runtime AS simulator
COPY --from=build-simulator /opt/complyq /opt/complyq
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s \
    CMD ["python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 8080), 3).close()"]
CMD ["simulator", "--port", "8080"]

FROM runtime AS worker
COPY --from=build-worker /opt/complyq /opt/complyq
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s --retries=3 CMD ["complyq", "worker", "--healthcheck"]
CMD ["worker", "--role", "all"]
