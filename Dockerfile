# The images of Complyq. Without a target the workers' is built, which has all commands but `run`, `demo` and `simulator`.
#
#   docker build -t complyq .
#   docker build -t complyq --build-arg PARQUET=1 .    where results are to be stored as Parquet: 155 MB more
#   docker build -t complyq --build-arg TRACING=1 .    with OpenTelemetry
#   docker build -t complyq-simulator --target simulator .
#
# The targets `flower` and `s3` are for docker-compose.yml. Packages are those of uv.lock (`make sbom` lists them). The
# final images hold no compiler, no uv and no pip, and run as user 10001, also with a read-only root.
# Nothing here needs BuildKit.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ARG UV_VERSION=0.13.9
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
COPY pyproject.toml uv.lock ./

FROM build AS build-s3
RUN /opt/uv/bin/uv sync --quiet --frozen --only-group s3-server

FROM build AS build-worker
ARG PARQUET=
ARG TRACING=
# The packages first: they change less often than the code, and stay in the builder's cache.
RUN /opt/uv/bin/uv sync --quiet --frozen --no-dev --no-install-project --extra worker --extra dashboard \
    ${PARQUET:+--extra parquet} ${TRACING:+--extra tracing}
COPY LICENSE README.md ./
COPY config config
COPY producer producer
COPY simulator simulator
COPY workers workers
RUN /opt/uv/bin/uv sync --quiet --frozen --no-dev --no-editable --extra worker --extra dashboard \
    ${PARQUET:+--extra parquet} ${TRACING:+--extra tracing}
# What no run needs: how the AWS services are spoken to that are not ours, and the libraries' tests, headers and compilers.
RUN cd /opt/complyq/lib/python3*/site-packages \
    && find botocore/data -mindepth 1 -maxdepth 1 -type d \
        ! -name s3 ! -name sqs ! -name sts ! -name sso ! -name sso-oidc ! -name signin -exec rm -r {} + \
    && find . -type d \( -name tests -o -path ./numpy/f2py -o -path ./numpy/_core/include -o -path ./pyarrow/include \) \
        -prune -exec rm -r {} +

FROM build-worker AS build-simulator
RUN /opt/uv/bin/uv sync --quiet --frozen --no-dev --no-editable --inexact --extra simulator

FROM build-worker AS build-flower
RUN /opt/uv/bin/uv sync --quiet --frozen --no-dev --no-editable --inexact --group flower

FROM ${PYTHON_IMAGE} AS runtime
# pip could not install anything here, and is not run. Volumes mounted on these folders for the first time take over
# their owner.
RUN rm -rf "$(python3 -c 'import pip; print(pip.__path__[0])')" /usr/local/bin/pip* \
    && groupadd --gid 10001 complyq \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin complyq \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/complyq /var/lib/complyq/spool /var/lib/complyq/store
ENV PATH=/opt/complyq/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
WORKDIR /var/lib/complyq
USER 10001:10001
STOPSIGNAL SIGTERM

FROM runtime AS s3
ENV GATEWAY_PORT=9000 \
    BIND_HOST=0.0.0.0 \
    SERVICES=s3 \
    S3_BUCKET=complyq \
    S3_PERSIST=1 \
    S3_DATA_DIR=/var/lib/complyq/store \
    STATE_DIR=/tmp
COPY --from=build-s3 /opt/complyq /opt/complyq
COPY deploy/compose/make-bucket.py /docker-entrypoint-initaws.d/ready.d/
EXPOSE 9000
# Ready when the bucket is there.
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s \
    CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9000/_ministack/ready', timeout=3)"]
CMD ["python3", "-m", "ministack"]

FROM runtime AS complyq
ENV COMPLYQ_LOG_FORMAT=json \
    COMPLYQ_SPOOL_DIR=/var/lib/complyq/spool \
    COMPLYQ_STORE_URL=file:///var/lib/complyq/store
ENTRYPOINT ["complyq"]

FROM complyq AS simulator
COPY --from=build-simulator /opt/complyq /opt/complyq
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s \
    CMD ["python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 8080), 3).close()"]
CMD ["simulator", "--port", "8080"]

FROM complyq AS flower
COPY --from=build-flower /opt/complyq /opt/complyq
EXPOSE 5555
ENTRYPOINT ["celery", "--app", "complyq_workers.app", "flower"]

FROM complyq AS worker
COPY --from=build-worker /opt/complyq /opt/complyq
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s --retries=3 CMD ["complyq", "worker", "--healthcheck"]
CMD ["worker", "--role", "all"]
