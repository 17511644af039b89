"""The API of projects and their classes."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers as fields
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.common.api import PageQuery, listed, page_out, parsed, queried
from annotator.common.errors import NotFound
from annotator.common.etag import check_match, edit_lock, tagged
from annotator.common.idempotency import idempotent
from annotator.common.permissions import ANNOTATE, MANAGE, READ, needs
from annotator.projects import access, ports, selectors, serializers, services
from annotator.projects.models import LabelSchema, Project, Role
from annotator.projects.ports import Progress

# Nobody edits these: they do not make an edit outdated.
COUNTED = ("role", "progress")


class ProjectsQuery(PageQuery):
    archived = fields.BooleanField(default=False, help_text="Archived ones in place of the others.")


class VersionQuery(fields.Serializer[Any]):
    version = fields.IntegerField(
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text="An older version; the newest when left out.",
    )


@extend_schema(
    methods=["GET"],
    operation_id="projects_list",
    parameters=[ProjectsQuery],
    responses=page_out("ProjectsPage", serializers.ProjectOut),
)
@extend_schema(
    methods=["POST"],
    operation_id="projects_create",
    request=serializers.NewProjectIn,
    responses={201: serializers.ProjectOut},
    examples=[
        OpenApiExample(
            "Two classes",
            {
                "name": "Pets",
                "modality": "text",
                "task": "single",
                "classes": [{"name": "cat"}, {"name": "dog"}],
            },
            request_only=True,
        )
    ],
)
@api_view(["GET", "POST"])
@needs(GET=(READ, ANNOTATE), POST=MANAGE)
@idempotent()
def projects(request: Request) -> Response:
    """GET lists one's projects. POST makes one with its first schema version, owned by the caller."""
    user = current_user(request)
    if request.method == "POST":
        made = services.create_project(by=user, **parsed(serializers.NewProjectIn, request))
        return Response(_project_json([made], {made.pk: Role.OWNER})[0], status=201)
    values = queried(ProjectsQuery, request)
    mine = Project.objects.visible_to(user).filter(archived_at__isnull=not values["archived"])
    return listed(
        request,
        mine,
        values,
        lambda rows: _project_json(rows, selectors.roles_of(user, [p.pk for p in rows])),
    )


@extend_schema(methods=["GET"], operation_id="projects_get", responses=serializers.ProjectOut)
@extend_schema(
    methods=["PATCH"],
    operation_id="projects_update",
    request=serializers.ProjectIn(partial=True),
    responses=serializers.ProjectOut,
    examples=[OpenApiExample("Archive", {"archived": True}, request_only=True)],
)
@extend_schema(methods=["DELETE"], operation_id="projects_delete", responses={204: None})
@api_view(["GET", "PATCH", "DELETE"])
@needs(GET=(READ, ANNOTATE), PATCH=MANAGE, DELETE=MANAGE, tagged=True)
def project(request: Request, project_id: int) -> Response:
    """One project: members read it, managers change, archive and restore it, owners delete it."""
    if request.method == "GET":
        found, can = access.can_view(request.user, project_id)
        return tagged(request, _project_json([found], {project_id: can.role})[0], rest=COUNTED)
    asked = access.can_own if request.method == "DELETE" else access.can_manage
    asked(request.user, project_id)
    with edit_lock(project_id):
        found, can = asked(request.user, project_id)
        check_match(request, _project_json([found], {project_id: can.role})[0], rest=COUNTED)
        if request.method == "DELETE":
            services.delete_project(project=found)
            return Response(status=204)
        body = serializers.ProjectIn(found, data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        changes = dict(body.validated_data)
        archived = changes.pop("archived", None)
        services.update_project(project=found, **changes)
        if archived is not None:
            (services.archive_project if archived else services.unarchive_project)(project=found)
    found = Project.objects.get(pk=project_id)
    return tagged(request, _project_json([found], {project_id: can.role})[0], rest=COUNTED)


@extend_schema(
    methods=["GET"], operation_id="schema_get", parameters=[VersionQuery], responses=serializers.SchemaOut
)
@extend_schema(
    methods=["POST"],
    operation_id="schema_create_version",
    request=serializers.EditIn,
    responses={201: serializers.SchemaOut},
    examples=[
        OpenApiExample(
            "One more class",
            {"base_version": 1, "operations": [{"op": "add", "name": "bird"}], "note": "Birds came up"},
            request_only=True,
        )
    ],
)
@api_view(["GET", "POST"])
@needs(GET=(READ, ANNOTATE), POST=MANAGE, tagged=True)
@idempotent()
def schema(request: Request, project_id: int) -> Response:
    """GET: the classes, also those that were retired, and what each key counts as today. POST: a new version."""
    if request.method == "POST":
        found, _ = access.can_manage(request.user, project_id)
        values = parsed(serializers.EditIn, request)
        with edit_lock(project_id):
            check_match(request, dict(serializers.SchemaOut(found.schema).data))
            made = services.create_version(project=found, by=current_user(request), **values)
        return tagged(request, dict(serializers.SchemaOut(made).data), status=201)
    found, _ = access.can_view(request.user, project_id)
    wanted = queried(VersionQuery, request).get("version")
    return tagged(
        request, dict(serializers.SchemaOut(_version(found, wanted) if wanted else found.schema).data)
    )


@extend_schema(
    operation_id="schema_versions",
    parameters=[PageQuery],
    responses=page_out("SchemaVersionsPage", serializers.VersionOut),
)
@api_view(["GET"])
@needs(GET=READ)
def schema_versions(request: Request, project_id: int) -> Response:
    """The versions of the classes, newest first: who made each, when and why."""
    found, _ = access.can_manage(request.user, project_id)
    return listed(
        request,
        selectors.versions(found),
        queried(PageQuery, request),
        lambda rows: list(serializers.VersionOut(rows, many=True).data),
        key="version",
    )


@extend_schema(operation_id="schema_preview", request=serializers.EditIn, responses=serializers.PreviewOut)
@api_view(["POST"])
@needs(POST=MANAGE)
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


def _version(project: Project, wanted: int) -> LabelSchema:
    found = project.schemas.filter(version=wanted).first()
    if found is None:
        raise NotFound(f"This project has no schema version {wanted}.")
    return found


def _project_json(rows: list[Project], roles: dict[int, Role]) -> list[Any]:
    progress = ports.labeling().progress_of([p.pk for p in rows]) if rows else {}
    for row in rows:
        row.role = roles[row.pk]  # type: ignore[attr-defined]
        row.progress = progress.get(row.pk, Progress())  # type: ignore[attr-defined]
    return [dict(each) for each in serializers.ProjectOut(rows, many=True).data]
