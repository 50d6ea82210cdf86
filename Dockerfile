# Production image: the API, or a worker with `crm-graph worker`. Give it DATABASE_URL and CRM_SECRET.
# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY src src
COPY migrations migrations
# Everything from the lock, by hash, then our own wheel: nothing is resolved here, so a build today and one next year agree.
RUN python -m venv /opt/crm-graph \
 && /opt/crm-graph/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && /opt/crm-graph/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/crm-graph/bin/pip uninstall -y pip

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/crm-graph --create-home crm
COPY --from=build /opt/crm-graph /opt/crm-graph
ENV PATH=/opt/crm-graph/bin:$PATH PYTHONUNBUFFERED=1
USER crm
WORKDIR /var/lib/crm-graph
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD \
  ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["crm-graph", "serve", "--host", "0.0.0.0", "--port", "8000"]
