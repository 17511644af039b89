"""The API of projects and their classes."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.common.api import after_of, parsed
from annotator.common.errors import NotFound
from annotator.common.pagination import keyset_page
from annotator.projects import access, ports, selectors, serializers, services
from annotator.projects.models import LabelSchema, Project, Role
from annotator.projects.ports import Progress

PAGE = 100
AFTER = OpenApiParameter("after", int, description="`next` of the page before.")
VERSION = OpenApiParameter("version", int, description="An older version; the newest when left out.")


@extend_schema(
    methods=["GET"],
    operation_id="projects_list",
    parameters=[AFTER, OpenApiParameter("archived", bool)],
    responses=serializers.ProjectsPage,
)
@extend_schema(
    methods=["POST"],
    operation_id="projects_create",
    request=serializers.NewProjectIn,
    responses={201: serializers.ProjectOut},
)
@api_view(["GET", "POST"])
def projects(request: Request) -> Response:
    """GET lists one's projects. POST makes one with its first schema version, owned by the caller."""
    user = current_user(request)
    if request.method == "POST":
        made = services.create_project(by=user, **parsed(serializers.NewProjectIn, request))
        return Response(_project_json([made], {made.pk: Role.OWNER})[0], status=201)
    archived = request.query_params.get("archived", "").lower() in ("1", "true")
    mine = Project.objects.visible_to(user).filter(archived_at__isnull=not archived)
    page = keyset_page(mine, key="id", after=after_of(request), size=PAGE, descending=True)
    roles = selectors.roles_of(user, [p.pk for p in page.rows])
    return Response({"results": _project_json(page.rows, roles), "next": page.next_after})


@extend_schema(methods=["GET"], operation_id="projects_get", responses=serializers.ProjectOut)
@extend_schema(
    methods=["PATCH"],
    operation_id="projects_update",
    request=serializers.ProjectIn(partial=True),
    responses=serializers.ProjectOut,
)
@extend_schema(methods=["DELETE"], operation_id="projects_delete", responses={204: None})
@api_view(["GET", "PATCH", "DELETE"])
def project(request: Request, project_id: int) -> Response:
    """One project: members read it, managers change it, owners delete it."""
    if request.method == "DELETE":
        found, _ = access.can_own(request.user, project_id)
        services.delete_project(project=found)
        return Response(status=204)
    if request.method == "PATCH":
        found, can = access.can_manage(request.user, project_id)
        body = serializers.ProjectIn(found, data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        changes = dict(body.validated_data)
        archived = changes.pop("archived", None)
        services.update_project(project=found, **changes)
        if archived is not None:
            (services.archive_project if archived else services.unarchive_project)(project=found)
        found = Project.objects.get(pk=project_id)
    else:
        found, can = access.can_view(request.user, project_id)
    return Response(_project_json([found], {project_id: can.role})[0])


@extend_schema(
    methods=["GET"], operation_id="schema_get", parameters=[VERSION], responses=serializers.SchemaOut
)
@extend_schema(
    methods=["POST"],
    operation_id="schema_create_version",
    request=serializers.EditIn,
    responses={201: serializers.SchemaOut},
)
@api_view(["GET", "POST"])
def schema(request: Request, project_id: int) -> Response:
    """GET: the classes, also those that were retired, and what each key counts as today. POST: a new version."""
    if request.method == "POST":
        found, _ = access.can_manage(request.user, project_id)
        made = services.create_version(
            project=found, by=current_user(request), **parsed(serializers.EditIn, request)
        )
        return Response(serializers.SchemaOut(made).data, status=201)
    found, _ = access.can_view(request.user, project_id)
    wanted = request.query_params.get("version", "")
    return Response(serializers.SchemaOut(_version(found, wanted) if wanted else found.schema).data)


@extend_schema(operation_id="schema_preview", request=serializers.EditIn, responses=serializers.PreviewOut)
@api_view(["POST"])
def schema_preview(request: Request, project_id: int) -> Response:
    """What an edit would do to the answers and the model. Stores nothing."""
    found, _ = access.can_manage(request.user, project_id)
    values, current = parsed(serializers.EditIn, request), found.schema
    if values["base_version"] != current.version:
        raise services.stale(found, values["base_version"], current.version)
    before = selectors.class_states(current)
    after = services.next_classes(
        before, task=found.task, operations=values.get("operations"), classes=values.get("classes")
    )
    preview = selectors.preview(found, before=before, after=after)
    document = {
        "changes": serializers.ChangeOut(preview.changes, many=True).data,
        "classes": selectors.class_json(after),
        "answers": preview.answers,
    }
    return Response(document)


def _version(project: Project, wanted: str) -> LabelSchema:
    found = None
    if wanted.isdecimal() and len(wanted) < 9:
        found = project.schemas.filter(version=int(wanted)).first()
    if found is None:
        raise NotFound(f"This project has no schema version {wanted!r}.")
    return found


def _project_json(rows: list[Project], roles: dict[int, Role]) -> list[Any]:
    progress = ports.labeling().progress_of([p.pk for p in rows]) if rows else {}
    for row in rows:
        row.role = roles[row.pk]  # type: ignore[attr-defined]
        row.progress = progress.get(row.pk, Progress())  # type: ignore[attr-defined]
    return list(serializers.ProjectOut(rows, many=True).data)
