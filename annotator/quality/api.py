"""Quality over the API: figures, settings, disagreements, decisions, gold, checks. For reviewers and those above them,
but for what would tell a check from other work: that is for managers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from annotator.accounts.authentication import current_user
from annotator.common.api import KeyField, PageQuery, listed, page_out, page_response, parsed, queried
from annotator.common.errors import Invalid, NotFound
from annotator.common.etag import check_match, edit_lock, tagged
from annotator.common.idempotency import idempotent
from annotator.common.permissions import MANAGE, READ, needs
from annotator.items.models import Item
from annotator.projects.access import can_manage, can_review
from annotator.quality import selectors, services
from annotator.quality.models import Case, Check, Decision, QualitySettings


class QualityData(serializers.ModelSerializer[QualitySettings]):
    class Meta:
        model = QualitySettings
        fields = list(services.FIELDS)


class EstimateOut(serializers.Serializer[Any]):
    value = serializers.FloatField(allow_null=True, help_text="null: nothing can be said yet.")
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField(help_text="What it rests on.")


class PersonOut(serializers.Serializer[Any]):
    user = serializers.IntegerField()
    name = serializers.CharField()
    answers = serializers.IntegerField()
    reliability = EstimateOut(help_text="Share of answers that the others, decisions and gold bear out.")
    gold = EstimateOut(help_text="The same on gold only.")
    bound = serializers.FloatField(help_text="Upper bound of the agreement (IEThresh).")
    chosen = serializers.BooleanField(help_text="Whether this person is asked to check labels.")
    drift = serializers.DictField(help_text="alarm; p: the chance of so large a fall.")
    median_seconds = serializers.FloatField(allow_null=True)


class ReportOut(serializers.Serializer[Any]):
    counted_at = serializers.DateTimeField()
    method = serializers.CharField()
    answers = serializers.IntegerField()
    items = serializers.IntegerField()
    items_shared = serializers.IntegerField(help_text="Items that several people answered.")
    undecided = serializers.IntegerField()
    alpha = EstimateOut(help_text="Krippendorff's alpha, with a bootstrap interval.")
    pairs_agree = serializers.FloatField(allow_null=True, help_text="Share of pairs of answers that agree.")
    people = PersonOut(many=True)
    attributable = serializers.BooleanField(
        help_text="False with two people without gold or decisions for both: who errs cannot be told from agreement."
    )
    confusions = serializers.ListField(child=serializers.DictField())
    cost = serializers.DictField(help_text="seconds a label, labels missing, hours_left.")
    gold_items = serializers.IntegerField()
    chosen = serializers.ListField(child=serializers.IntegerField())


class QualityOut(serializers.Serializer[Any]):
    report = ReportOut(allow_null=True, help_text="null until the first was made.")
    cases = serializers.IntegerField(help_text="Disagreements under the threshold that nobody decided.")
    decisions = serializers.IntegerField()
    gold_items = serializers.IntegerField()
    gold_answers = serializers.IntegerField()
    gold_right = serializers.IntegerField()
    checks = serializers.DictField(child=serializers.IntegerField(), help_text="Open checks by kind.")


class JobStartedOut(serializers.Serializer[Any]):
    job = serializers.IntegerField()


class CaseOut(serializers.Serializer[Any]):
    item = serializers.IntegerField(source="item_id")
    external_id = serializers.CharField(source="item.external_id")
    agreement = serializers.FloatField(help_text="Share of the answers for the commonest one.")
    votes = serializers.IntegerField()
    confidence = serializers.FloatField(help_text="How sure the project's method is.")


class AnswerOfCase(serializers.Serializer[Any]):
    annotator = serializers.IntegerField()
    name = serializers.CharField()
    classes = serializers.ListField(child=serializers.CharField())
    seconds = serializers.FloatField(allow_null=True)
    created_at = serializers.DateTimeField()


class CaseDetail(serializers.Serializer[Any]):
    item = serializers.DictField()
    answers = AnswerOfCase(many=True)
    decision = serializers.DictField(allow_null=True)
    agreement = serializers.FloatField(required=False)
    votes = serializers.IntegerField(required=False)
    confidence = serializers.FloatField(required=False)


class NothingIn(serializers.Serializer[Any]):
    """A body without anything to say, which has to be JSON all the same."""


class NextCaseOut(serializers.Serializer[Any]):
    case = CaseDetail(allow_null=True, help_text="null: nothing waits.")
    left = serializers.IntegerField(help_text="How many wait, this one included.")


class DecisionIn(serializers.Serializer[Any]):
    item = KeyField()
    classes = serializers.ListField(child=serializers.CharField(max_length=100), max_length=1000)
    note = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")
    gold = serializers.BooleanField(default=False, help_text="Check people with it from now on (managers).")
    replaces = KeyField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Id of somebody else's decision that this one takes the place of; without it theirs stays (409).",
    )


class UndoQuery(serializers.Serializer[Any]):
    decision = KeyField(
        required=False,
        help_text="Id of the decision that is meant; without it only one's own goes, somebody else's stays (409).",
    )


class DecisionOut(serializers.ModelSerializer[Decision]):
    item = serializers.IntegerField(source="item_id")
    schema_version = serializers.IntegerField(source="schema.version")
    decided_by = serializers.IntegerField(source="decided_by_id", allow_null=True)
    classes = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Decision
        fields = ("id", "item", "classes", "note", "schema_version", "decided_by", "created_at")


class GoldIn(serializers.Serializer[Any]):
    item = KeyField(required=False)
    external_id = serializers.CharField(required=False, max_length=500, help_text="In place of `item`.")
    classes = serializers.ListField(child=serializers.CharField(max_length=100), max_length=1000)


class GoldOut(serializers.Serializer[Any]):
    item = serializers.IntegerField(source="item_id")
    external_id = serializers.CharField()
    classes = serializers.ListField(child=serializers.CharField())
    answers = serializers.IntegerField(help_text="People who answered it.")
    right = serializers.IntegerField(help_text="…and answered so.")


class CheckOut(serializers.Serializer[Any]):
    item = serializers.IntegerField(source="item_id")
    external_id = serializers.CharField(source="item.external_id")
    kind = serializers.ChoiceField(choices=Check.Kind.choices)
    score = serializers.FloatField(help_text="The smaller, the more it is worth asking again.")
    position = serializers.IntegerField()
    created_at = serializers.DateTimeField()


@extend_schema(methods=["GET"], operation_id="quality_get", responses=QualityOut)
@extend_schema(methods=["POST"], operation_id="quality_renew", request=None, responses={202: JobStartedOut})
@api_view(["GET", "POST"])
@needs(GET=READ, POST=MANAGE)
@idempotent()
def report(request: Request, project_id: int) -> Response:
    """GET: the newest figures. POST counts anew in the background; it also happens by itself after new answers."""
    user = current_user(request)
    project, _ = can_review(user, project_id)
    if request.method == "POST":
        return Response({"job": services.start_report(project.pk, by=user).pk}, status=202)
    settings = selectors.settings_or_default(project)
    document = {"report": selectors.report_of(project), **selectors.figures(project, settings)}
    return Response(QualityOut(document).data)


@extend_schema(methods=["GET"], operation_id="quality_settings_get", responses=QualityData)
@extend_schema(
    methods=["PATCH"],
    operation_id="quality_settings_update",
    request=QualityData(partial=True),
    responses=QualityData,
    examples=[OpenApiExample("A twentieth is gold", {"gold_share": 0.05}, request_only=True)],
)
@api_view(["GET", "PATCH"])
@needs(GET=READ, PATCH=MANAGE, tagged=True)
def settings_view(request: Request, project_id: int) -> Response:
    """How several labels become one, and what share of the work is gold and checks."""
    user = current_user(request)
    if request.method == "GET":
        project, _ = can_review(user, project_id)
        return tagged(request, dict(QualityData(selectors.settings_or_default(project)).data))
    project, _ = can_manage(user, project_id)
    with edit_lock(project_id):
        settings = services.settings_of(project)
        check_match(request, dict(QualityData(settings).data))
        checked = QualityData(settings, data=request.data, partial=True)
        checked.is_valid(raise_exception=True)
        if unknown := set(request.data) - set(services.FIELDS):
            raise Invalid(f"There is no setting '{sorted(unknown)[0]}'.", code="unknown_setting")
        settings = services.update_settings(settings=settings, values=dict(checked.validated_data))
    return tagged(request, dict(QualityData(settings).data))


@extend_schema(
    operation_id="quality_cases_list",
    parameters=[PageQuery],
    responses=page_out("CasesPage", CaseOut),
)
@api_view(["GET"])
@needs(GET=READ)
def cases(request: Request, project_id: int) -> Response:
    """Disagreements under the threshold that nobody decided, by item."""
    project, _ = can_review(current_user(request), project_id)
    rows = services.open_cases(project.pk, selectors.settings_or_default(project).threshold)
    return listed(
        request,
        rows.select_related("item"),
        queried(PageQuery, request),
        lambda found: list(CaseOut(found, many=True).data),
        key="item_id",
        descending=False,
    )


@extend_schema(operation_id="quality_cases_next", request=None, responses=NextCaseOut)
@api_view(["POST"])
@needs(POST=MANAGE)
def next_case(request: Request, project_id: int) -> Response:
    """The worst open disagreement; for five minutes no other reviewer gets it."""
    user = current_user(request)
    project, _ = can_review(user, project_id)
    threshold = selectors.settings_or_default(project).threshold
    taken = services.take_case(project_id=project.pk, user=user, threshold=threshold)
    left = services.open_cases(project.pk, threshold).count()
    document = None if taken is None else selectors.case_document(project, taken)
    return Response(NextCaseOut({"case": document, "left": left}).data)


@extend_schema(operation_id="quality_cases_get", responses=CaseDetail)
@api_view(["GET"])
@needs(GET=READ)
def case(request: Request, project_id: int, item_id: int) -> Response:
    """An item with everybody's answers and the decision, if there is one."""
    project, _ = can_review(current_user(request), project_id)
    document = selectors.item_document(project, selectors.item_in(project, item_id))
    known = Case.objects.filter(project=project, item_id=item_id).first()
    if known is not None:
        document |= {"agreement": known.agreement, "votes": known.votes, "confidence": known.confidence}
    return Response(CaseDetail(document).data)


@extend_schema(operation_id="quality_cases_leave", request=None, responses={204: None})
@api_view(["POST"])
@needs(POST=MANAGE)
def leave(request: Request, project_id: int, item_id: int) -> Response:
    """Put a disagreement behind the others."""
    user = current_user(request)
    project, _ = can_review(user, project_id)
    parsed(NothingIn, request)
    selectors.item_in(project, item_id)
    services.leave_case(project_id=project.pk, item_id=item_id, user=user)
    return Response(status=204)


@extend_schema(
    methods=["GET"],
    operation_id="quality_decisions_list",
    parameters=[PageQuery],
    responses=page_out("DecisionsPage", DecisionOut),
)
@extend_schema(
    methods=["POST"],
    operation_id="quality_decisions_make",
    request=DecisionIn,
    responses={201: DecisionOut},
    examples=[OpenApiExample("It is a cat", {"item": 17, "classes": ["cat"]}, request_only=True)],
)
@api_view(["GET", "POST"])
@needs(GET=READ, POST=MANAGE)
@idempotent()
def decisions(request: Request, project_id: int) -> Response:
    """Reviewers' words on items, newest first. POST decides one, or decides it anew; 409 where somebody else did before."""
    user = current_user(request)
    project, can = can_review(user, project_id)
    if request.method == "POST":
        values = parsed(DecisionIn, request)
        if values["gold"] and not can.manage:
            can_manage(user, project_id)
        made = services.decide(
            project=project,
            item_id=values["item"],
            classes=values["classes"],
            by=user,
            note=values["note"],
            gold=values["gold"],
            replaces=values["replaces"],
        )
        return Response(DecisionOut(made).data, status=201)
    return listed(
        request,
        Decision.objects.filter(project=project).select_related("schema"),
        queried(PageQuery, request),
        lambda found: list(DecisionOut(found, many=True).data),
    )


@extend_schema(operation_id="quality_decisions_undo", parameters=[UndoQuery], responses={204: None})
@api_view(["DELETE"])
@needs(DELETE=MANAGE)
def decision(request: Request, project_id: int, item_id: int) -> Response:
    """Take a decision back; the answers count again. 409 where it is somebody else's, or not the one that is named."""
    user = current_user(request)
    project, _ = can_review(user, project_id)
    selectors.item_in(project, item_id)
    known = queried(UndoQuery, request).get("decision")
    services.undo_decision(project_id=project.pk, item_id=item_id, by=user, known=known)
    return Response(status=204)


@extend_schema(
    methods=["GET"],
    operation_id="quality_gold_list",
    parameters=[PageQuery],
    responses=page_out("GoldPage", GoldOut),
)
@extend_schema(
    methods=["POST"],
    operation_id="quality_gold_add",
    request=GoldIn,
    responses={201: GoldOut},
    examples=[OpenApiExample("By id", {"external_id": "a.png", "classes": ["cat"]}, request_only=True)],
)
@api_view(["GET", "POST"])
@needs(GET=READ, POST=MANAGE)
@idempotent()
def gold(request: Request, project_id: int) -> Response:
    """Items whose answer is known, and how people did on them. For managers only: annotators must not know them."""
    user = current_user(request)
    project, _ = can_manage(user, project_id)
    if request.method == "GET":
        values = queried(PageQuery, request)
        rows, following = selectors.gold_rows(project, after=values.get("after", 0), size=values["limit"])
        return page_response(request, list(GoldOut(rows, many=True).data), following)
    values = parsed(GoldIn, request)
    item = _named_item(project.pk, values)
    made = services.add_gold(project=project, item_id=item.pk, classes=values["classes"], by=user)
    row = selectors.GoldRow(item.pk, item.external_id, made.classes, [], 0, 0)
    return Response(GoldOut(row).data, status=201)


@extend_schema(operation_id="quality_gold_remove", responses={204: None})
@api_view(["DELETE"])
@needs(DELETE=MANAGE)
def gold_item(request: Request, project_id: int, item_id: int) -> Response:
    """An item like any other again."""
    project, _ = can_manage(current_user(request), project_id)
    selectors.item_in(project, item_id)
    services.remove_gold(project_id=project.pk, item_id=item_id)
    return Response(status=204)


@extend_schema(
    operation_id="quality_checks_list",
    parameters=[PageQuery],
    responses=page_out("ChecksPage", CheckOut),
)
@api_view(["GET"])
@needs(GET=READ)
def checks(request: Request, project_id: int) -> Response:
    """Labels that are worth another opinion, most urgent first, and why. For managers only: reviewers label too."""
    project, _ = can_manage(current_user(request), project_id)
    return listed(
        request,
        selectors.checks(project.pk),
        queried(PageQuery, request),
        lambda found: list(CheckOut(found, many=True).data),
        key="position",
        descending=False,
    )


def _named_item(project_id: int, values: dict[str, Any]) -> Item:
    """The item that `item` or `external_id` names."""
    if "item" not in values and "external_id" not in values:
        raise Invalid("Name the item by `item` or `external_id`.", code="no_item")
    key = {"pk": values["item"]} if "item" in values else {"external_id": values["external_id"]}
    found = Item.objects.live().filter(project_id=project_id, **key).first()
    if found is None:
        raise NotFound("There is no such item in this project.")
    return found
