"""Traces by OpenTelemetry, sent by OTLP over HTTP. Imported where `CRM_TRACES_URL` is set, and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind as Kind
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from crm_graph import __version__
from crm_graph.kernel import spans
from crm_graph.kernel.spans import SpanKind

MAX_STATEMENT_LENGTH = 2_000
_KINDS = {SpanKind.SERVER: Kind.SERVER, SpanKind.CLIENT: Kind.CLIENT, SpanKind.CONSUMER: Kind.CONSUMER}
_W3C = TraceContextTextMapPropagator()


class _Span:
    """A span of OpenTelemetry."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def tell(self, attributes: Mapping[str, str | int | float]) -> None:
        """See `kernel/spans.py`."""
        self._span.set_attributes(attributes)

    def fails(self, code: str) -> None:
        """See `kernel/spans.py`."""
        self._span.set_attribute("error.type", code)
        self._span.set_status(Status(StatusCode.ERROR))


class OpenTelemetry:
    """Makes spans. No text of an exception is in any: those quote values."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("crm-graph", __version__)

    @contextmanager
    def span(
        self, name: str, kind: SpanKind, attributes: Mapping[str, str | int | float], parent: str | None
    ) -> Iterator[_Span]:
        """See `kernel/spans.py`."""
        context = None if parent is None else _W3C.extract({"traceparent": parent})
        with self._tracer.start_as_current_span(
            name,
            context,
            _KINDS[kind],
            attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as started:
            span = _Span(started)
            try:
                yield span
            except BaseException as error:
                span.fails(type(error).__qualname__)
                raise

    def trace_id(self) -> str | None:
        """See `kernel/spans.py`."""
        context = trace.get_current_span().get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid else None

    def inject(self, headers: MutableMapping[str, str]) -> None:
        """See `kernel/spans.py`."""
        _W3C.inject(headers)

    def watch(self, connection: Any) -> None:
        """See `kernel/spans.py`. asyncpg says of a statement that it is over, in the context that sent it."""
        connection.add_query_logger(self._statement)

    def _statement(self, record: Any) -> None:
        """Make the span of a statement that has ended. Of those outside a request, a job or a delivery none is made:
        background work looks into its queues many times a second."""
        if not trace.get_current_span().get_span_context().is_valid:
            return
        end = time.time_ns()
        text = str(record.query)[:MAX_STATEMENT_LENGTH]
        span = self._tracer.start_span(
            f"SQL {text.split(None, 1)[0][:20]}" if text.strip() else "SQL",
            kind=Kind.CLIENT,
            attributes={"db.system.name": "postgresql", "db.query.text": text},
            start_time=end - int(record.elapsed * 1e9),
        )
        if record.exception is not None:
            state = getattr(record.exception, "sqlstate", None) or type(record.exception).__qualname__
            _Span(span).fails(str(state))
        span.end(end)


@contextmanager
def sending(url: str) -> Iterator[None]:
    """Trace what runs within and send it to an OTLP receiver; what was not sent yet is sent at the end."""
    resource = Resource.create({SERVICE_NAME: "crm-graph", SERVICE_VERSION: __version__})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    spans.tracer = OpenTelemetry(provider)
    try:
        yield
    finally:
        spans.tracer = None
        provider.shutdown()
