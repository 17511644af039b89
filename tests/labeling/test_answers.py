"""Answers, undo, skips and drafts: idempotent, revisioned, never lost."""

from __future__ import annotations

import uuid

import pytest

from annotator.accounts.models import User
from annotator.common.errors import Conflict, Invalid, NotFound
from annotator.items.models import Item
from annotator.labeling import queue, selectors, services
from annotator.labeling.models import Annotation, Draft, ItemLease
from annotator.projects.models import Project
from tests.factories import choice, join, make_items, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def user(project: Project) -> User:
    return join(project)


@pytest.fixture
def item(project: Project, user: User) -> Item:
    """An item in the user's hands."""
    [item] = make_items(project, 1)
    served = {"rank": 0, "propensity": 0.5, "exploration": True, "round": 3}
    suggestion = {"model": 1, "classes": {"cat": 0.9}}
    queue.publish(project_id=project.pk, candidates=[queue.Candidate(item.pk, served, suggestion)])
    queue.claim(project_id=project.pk, user_id=user.pk, holder=uuid.uuid4(), count=1)
    return item


def submit(
    project: Project, user: User, item: Item, *classes: str, **fields: object
) -> tuple[services.Answer, bool]:
    values = {
        "annotation_id": uuid.uuid4(),
        "schema_version": 1,
        "regions": choice(*(classes or ("cat",))),
    } | fields
    return services.submit_annotation(project_id=project.pk, user_id=user.pk, item_id=item.pk, **values)  # type: ignore[arg-type]


def test_an_answer_keeps_how_its_item_was_chosen_and_what_was_suggested(
    project: Project, user: User, item: Item
) -> None:
    answer, created = submit(project, user, item, "dog", seconds=2.5)
    assert created
    annotation = Annotation.objects.get(pk=answer.id)
    assert annotation.served == {"rank": 0, "propensity": 0.5, "exploration": True, "round": 3}
    assert annotation.suggestion == {"model": 1, "classes": {"cat": 0.9}}
    assert (annotation.regions, annotation.seconds, annotation.revision) == (choice("dog"), 2.5, 1)
    assert not ItemLease.objects.exists()


def test_sending_an_answer_twice_stores_it_once(project: Project, user: User, item: Item) -> None:
    same = uuid.uuid4()
    submit(project, user, item, annotation_id=same)
    annotation, created = submit(project, user, item, annotation_id=same)
    assert (annotation.id, created) == (same, False)
    assert Annotation.objects.count() == 1


def test_an_id_used_for_another_item_is_refused(project: Project, user: User, item: Item) -> None:
    same = uuid.uuid4()
    submit(project, user, item, annotation_id=same)
    [other] = make_items(project, 1)
    with pytest.raises(Conflict) as caught:
        submit(project, user, other, annotation_id=same)
    assert caught.value.code == "id_reused"


def test_answering_again_makes_a_revision_and_one_of_them_counts(
    project: Project, user: User, item: Item
) -> None:
    submit(project, user, item, "cat")
    second, _ = submit(project, user, item, "dog")
    assert second.revision == 2
    assert [a.regions for a in Annotation.objects.valid()] == [choice("dog")]
    assert Annotation.objects.count() == 2


def test_an_item_one_was_never_given_cannot_be_answered(project: Project, item: Item) -> None:
    with pytest.raises(NotFound) as caught:
        submit(project, join(project), item)
    assert caught.value.code == "no_lease"


@pytest.mark.parametrize(
    "regions",
    [
        [],
        choice("cat", "dog"),
        choice("bird"),
        [{"kind": "choice", "classes": "cat"}],
        [{"kind": "choice", "classes": ["cat", "cat"]}],
        [{"kind": "choice", "classes": ["cat"], "extra": 1}],
        [{"kind": "box"}],
        ["cat"],
        [*choice("cat"), *choice("dog")],
    ],
)
def test_regions_that_do_not_fit_are_refused_and_nothing_is_lost(
    project: Project, user: User, item: Item, regions: list[object]
) -> None:
    with pytest.raises(Invalid):
        submit(project, user, item, regions=regions)
    assert not Annotation.objects.exists()
    assert ItemLease.objects.filter(item=item).exists()


def test_an_unknown_schema_version_is_refused(project: Project, user: User, item: Item) -> None:
    with pytest.raises(Invalid) as caught:
        submit(project, user, item, schema_version=9)
    assert caught.value.code == "unknown_schema"


def test_a_multi_class_task_takes_none_or_many() -> None:
    project = make_project(task="multi", classes=("a", "b", "c"))
    user = join(project)
    items = make_items(project, 2)
    queue.publish(project_id=project.pk, candidates=[queue.Candidate(i.pk, {}) for i in items])
    queue.claim(project_id=project.pk, user_id=user.pk, holder=uuid.uuid4(), count=2)
    submit(project, user, items[0], regions=choice("c", "a"))
    submit(project, user, items[1], regions=choice())
    assert [a.regions[0]["classes"] for a in Annotation.objects.order_by("item_id")] == [["a", "c"], []]


def test_undo_withdraws_and_gives_the_item_back_to_its_author(
    project: Project, user: User, item: Item
) -> None:
    submit(project, user, item, "dog")
    holder, same = uuid.uuid4(), uuid.uuid4()
    for _ in range(2):
        withdrawn = services.withdraw_annotation(
            project_id=project.pk, user_id=user.pk, item_id=item.pk, annotation_id=same, holder=holder
        )
    assert (withdrawn.state, withdrawn.revision) == ("withdrawn", 2)
    assert not Annotation.objects.valid().exists()
    [lease] = queue.claim(project_id=project.pk, user_id=user.pk, holder=holder, count=1)
    assert (lease.item_id, lease.draft) == (item.pk, choice("dog"))
    assert lease.served["round"] == 3
    submit(project, user, item, "cat")
    assert [a.revision for a in Annotation.objects.order_by("revision")] == [1, 2, 3]


def test_after_undo_the_item_is_nobody_elses_until_it_is_given_back(
    project: Project, user: User, item: Item
) -> None:
    submit(project, user, item)
    services.withdraw_annotation(
        project_id=project.pk,
        user_id=user.pk,
        item_id=item.pk,
        annotation_id=uuid.uuid4(),
        holder=uuid.uuid4(),
    )
    other = join(project)
    assert queue.claim(project_id=project.pk, user_id=other.pk, holder=uuid.uuid4(), count=1) == []
    services.release_leases(project_id=project.pk, user_id=user.pk, tokens=[ItemLease.objects.get().token])
    [lease] = queue.claim(project_id=project.pk, user_id=other.pk, holder=uuid.uuid4(), count=1)
    assert lease.item_id == item.pk


def test_there_is_nothing_to_undo_on_other_peoples_answers(project: Project, user: User, item: Item) -> None:
    submit(project, user, item)
    with pytest.raises(NotFound):
        services.withdraw_annotation(
            project_id=project.pk,
            user_id=join(project).pk,
            item_id=item.pk,
            annotation_id=uuid.uuid4(),
            holder=uuid.uuid4(),
        )


def test_a_skip_twice_is_one_skip_and_can_be_undone(project: Project, user: User, item: Item) -> None:
    same, holder = uuid.uuid4(), uuid.uuid4()
    for _ in range(2):
        services.skip_item(
            project_id=project.pk, user_id=user.pk, skip_id=same, item_id=item.pk, reason="blurred"
        )
    other = join(project)
    for _ in range(2):
        services.withdraw_skip(project_id=project.pk, user_id=user.pk, skip_id=same, holder=holder)
    assert queue.claim(project_id=project.pk, user_id=other.pk, holder=uuid.uuid4(), count=1) == []
    [lease] = queue.claim(project_id=project.pk, user_id=user.pk, holder=holder, count=1)
    assert lease.item_id == item.pk


def test_a_draft_is_kept_shown_again_and_gone_after_the_answer(
    project: Project, user: User, item: Item
) -> None:
    services.save_draft(project_id=project.pk, user_id=user.pk, item_id=item.pk, regions=choice("dog"))
    services.save_draft(project_id=project.pk, user_id=user.pk, item_id=item.pk, regions=choice("cat"))
    assert Draft.objects.get().regions == choice("cat")
    submit(project, user, item)
    assert not Draft.objects.exists()
    with pytest.raises(NotFound):
        services.save_draft(project_id=project.pk, user_id=join(project).pk, item_id=item.pk, regions=[])


def test_recent_work_lists_answers_and_skips_newest_first(project: Project, user: User, item: Item) -> None:
    submit(project, user, item, "dog")
    [second] = make_items(project, 1)
    queue.publish(project_id=project.pk, candidates=[queue.Candidate(second.pk, {})])
    queue.claim(project_id=project.pk, user_id=user.pk, holder=uuid.uuid4(), count=1)
    services.skip_item(project_id=project.pk, user_id=user.pk, skip_id=uuid.uuid4(), item_id=second.pk)
    recent = selectors.recent_work(project_id=project.pk, user_id=user.pk)
    assert [(r.kind, r.classes, r.item_id) for r in recent] == [
        ("skip", [], second.pk),
        ("annotation", ["dog"], item.pk),
    ]


def reason(project: Project, user: User) -> str:
    return selectors.why_nothing(project_id=project.pk, user_id=user.pk).code


def test_an_empty_queue_says_why(project: Project, user: User) -> None:
    assert reason(project, user) == "no_items"
    [item] = make_items(project, 1)
    assert reason(project, user) == "preparing"
    queue.publish(project_id=project.pk, candidates=[queue.Candidate(item.pk, {})])
    queue.claim(project_id=project.pk, user_id=user.pk, holder=uuid.uuid4(), count=1)
    other = join(project)
    assert reason(project, other) == "others_busy"
    services.skip_item(project_id=project.pk, user_id=user.pk, skip_id=uuid.uuid4(), item_id=item.pk)
    assert reason(project, user) == "yours_done"
    queue.claim(project_id=project.pk, user_id=other.pk, holder=uuid.uuid4(), count=1)
    submit(project, other, item)
    assert reason(project, user) == "all_done"
