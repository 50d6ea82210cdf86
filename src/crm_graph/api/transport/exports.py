"""`GET /exports/{job}`: the file of an export job, streamed from its parts to whoever may see the job."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from crm_graph.api.engine import Engine
from crm_graph.db.pool import Database
from crm_graph.db.statements import Statement
from crm_graph.domains.platform.audit.events import SensitiveFieldsRead
from crm_graph.domains.platform.audit.operations import record_reading
from crm_graph.domains.platform.jobs.exports import PREFIX
from crm_graph.domains.platform.jobs.model import Job, JobStatus
from crm_graph.domains.platform.jobs.operations import EXPORT
from crm_graph.domains.platform.jobs.policy import JOB
from crm_graph.executor.fields import coordinate
from crm_graph.kernel.errors import Forbidden, RateLimited, Refused, Unauthenticated
from crm_graph.kernel.ids import decode_id
from crm_graph.permissions.sight import audited, sees_all
from crm_graph.work import READ

_PART = Statement(
    "SELECT content FROM job_part WHERE workspace_id = $1 AND job_id = $2 AND run = $3 AND number = $4",
    ("workspace_id", "job_id", "run", "number"),
    {},
)
_SIGHT = Statement(
    "SELECT sight FROM job_sight WHERE workspace_id = $1 AND job_id = $2 AND run = $3",
    ("workspace_id", "job_id", "run"),
    {},
)
MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}


async def export_response(request: Request, engine: Engine) -> Response:
    """Return the file, or to a browser that asks before it fetches (CORS), that it may: as `/graphql` does."""
    origin, host = request.headers.get("origin"), request.headers.get("host")
    if request.method != "OPTIONS":
        response = await _answer(request, engine)
        response.raw_headers.extend(engine.origins.headers(origin, host))
        return response
    if "access-control-request-method" not in request.headers:
        return Response(b"Method Not Allowed", 405, {"Allow": "GET, HEAD"}, "text/plain")
    response = Response(status_code=204)
    asked = request.headers.get("access-control-request-headers")
    response.raw_headers.extend(engine.origins.preflight(origin, host, asked))
    return response


async def _answer(request: Request, engine: Engine) -> Response:
    """Return the file, to a credential that sees now all that it was made from. A job that may not be seen is answered
    as one that does not exist."""
    try:
        peer = None if request.client is None else request.client.host
        origin = engine.proxies.origin(peer, request.headers.get("x-forwarded-for"), None)
        claims = await engine.admission.authenticate(request.headers.get("authorization"), origin.address)
        context = await engine.contexts.read(claims, origin)
    except Unauthenticated as error:
        return _refusal(401, error.code, error.message, {"WWW-Authenticate": "Bearer"})
    except RateLimited as error:
        return _refusal(429, error.code, error.message, {"Retry-After": str(error.retry_after_s)})
    key = decode_id(PREFIX, request.path_params["job"])
    try:
        async with context.begin() as work:
            job = await work.get(Job, JOB, key, READ)
    except (Refused, Forbidden):
        return _refusal(404, "NOT_FOUND", "There is no such export.")
    if job.kind != EXPORT:
        return _refusal(404, "NOT_FOUND", "There is no such export.")
    if job.status != JobStatus.DONE.value:
        return _refusal(409, "NOT_DONE", f"This export has no file: its job is {job.status}.")
    form = job.arguments["format"]
    binds = {"workspace_id": job.workspace_id, "job_id": job.id, "run": job.run}
    sight = await engine.database.primary_reader().fetch_row(_SIGHT, binds)
    if sight is None or not sees_all(context.access, context.viewer, sight["sight"]):
        return _refusal(
            403, "FORBIDDEN", "This file was made from more than this credential may see now: export it again."
        )
    fields = tuple(sorted(coordinate(*place) for place in audited(context.access, sight["sight"])))
    if fields and request.method != "HEAD":  # whoever takes the file reads it, as whoever had it made did
        async with context.begin() as work:
            event = SensitiveFieldsRead(fields, "download", None, (), 0)
            await record_reading(work.session, work.viewer, work.origin, job.id, work.now, event)
    headers = {
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'attachment; filename="{job.arguments["type"].lower()}.{form}"',
        "Content-Length": str((job.result or {})["bytes"]),
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(_parts(engine.database, binds), headers=headers, media_type=MEDIA_TYPES[form])


async def _parts(database: Database, binds: Mapping[str, Any]) -> AsyncIterator[bytes]:
    """Yield the parts, each read when the one before has left: no connection is held meanwhile."""
    number = 0
    while (row := await database.primary_reader().fetch_row(_PART, {**binds, "number": number})) is not None:
        yield row[0]
        number += 1


def _refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)
