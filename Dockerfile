# Production image: the API, or a worker with `crm-graph worker`. Give it DATABASE_URL and CRM_SECRET.
# syntax=docker/dockerfile:1
# The base is named by its digest: a tag is whatever somebody pushed last. To move on, take the digest that
# `docker buildx imagetools inspect python:3.13-slim` prints.
ARG BASE=python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
FROM ${BASE} AS build
WORKDIR /build
COPY requirements.lock requirements-dev.lock pyproject.toml README.md LICENSE ./
COPY src src
COPY migrations migrations
# Everything from the locks, by hash: nothing is resolved here, so a build today and one next year agree. What builds
# our wheel stays in this stage; the image gets what runs it.
RUN python -m venv /opt/tools \
 && /opt/tools/bin/pip install --no-cache-dir --require-hashes -r requirements-dev.lock \
 && /opt/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && python -m venv /opt/crm-graph \
 && /opt/crm-graph/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && /opt/crm-graph/bin/pip install --no-cache-dir --no-deps --no-index /dist/*.whl \
 && /opt/crm-graph/bin/pip uninstall -y pip

FROM ${BASE}
RUN useradd --system --uid 10001 --home-dir /var/lib/crm-graph --create-home crm
COPY --from=build /opt/crm-graph /opt/crm-graph
# A worker answers its health check on the same port as the API.
ENV PATH=/opt/crm-graph/bin:$PATH PYTHONUNBUFFERED=1 CRM_WORKER_PORT=8000
USER crm
WORKDIR /var/lib/crm-graph
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD \
  ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["crm-graph", "serve", "--host", "0.0.0.0", "--port", "8000"]
