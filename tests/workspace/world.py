"""A project with one of everything that an address can name."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from annotator.accounts.models import User
from annotator.accounts.services import create_token
from annotator.common.scopes import SCOPES
from annotator.hooks.models import Delivery, Webhook
from annotator.items.models import Item
from annotator.jobs.models import Job
from annotator.labeling import queue
from annotator.labeling.models import Annotation, Draft, ItemLease, Skip
from annotator.learning.models import Backtest, ModelVersion, Offer, Round
from annotator.projects.membership import invite
from annotator.projects.models import Project, Role
from annotator.quality.models import Case, Check, Decision, GoldItem
from annotator.transfer.models import Export, Import, Snapshot
from tests.factories import choice, join, make_items, make_project, make_user
from tests.items.makers import add_image
from tests.modalities.images import image_bytes


@dataclass
class World:
    """A project, its people by role, and for each argument of a route an object of this project."""

    project: Project
    people: dict[str, User]
    items: list[Item]
    lease: ItemLease
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def owner(self) -> User:
        return self.people[Role.OWNER]


def make_world(*, numbers: int = 1) -> World:
    """`numbers` is the number of its model and round, which are counted within a project."""
    project = make_project(modality="image")
    people = {str(role): join(project, role) for role in Role if role != Role.OWNER}
    people[Role.OWNER] = project.created_by
    annotator = people[Role.ANNOTATOR]
    picture = add_image(project, external_id="picture.png")
    items = make_items(project, 6)
    queue.publish(project_id=project.pk, candidates=[queue.Candidate(item.pk, {}) for item in items])
    queue.claim(project_id=project.pk, user_id=annotator.pk, holder=uuid.uuid4(), count=1)
    skip = Skip.objects.create(
        id=uuid.uuid4(), project=project, item=items[-1], annotator=annotator, policy="others"
    )
    answer = Annotation.objects.create(
        id=uuid.uuid4(), project=project, item=items[4], annotator=project.created_by,
        schema=project.schema, regions=choice("cat"),
    )  # fmt: skip
    lease = ItemLease.objects.get(project=project)
    Draft.objects.create(item=lease.item, annotator=annotator, regions=choice("dog"))
    webhook = Webhook.objects.create(
        project=project, url="https://example.org/hook", events=["job.finished"], secret="whsec_x"
    )
    delivery = Delivery.objects.create(
        webhook=webhook, kind="job.finished", payload={}, state="failed", next_try_at=None
    )
    job = Job.objects.create(kind="import", project=project, created_by=project.created_by)
    record = Import.objects.create(project=project, format="csv", job=job, created_by=project.created_by)
    record.errors_path.parent.mkdir(parents=True, exist_ok=True)
    record.errors_path.write_text("file,line,reason,excerpt\n", encoding="utf-8")
    record.check_path.write_text("file,line,reason,excerpt\n", encoding="utf-8")
    record.picture_path(0).write_bytes(image_bytes(kind="WEBP"))
    export = Export.objects.create(
        project=project,
        format="label_studio",
        files=[{"name": "records.jsonl", "size": 3, "sha256": "0" * 64}],
    )
    (export.folder / "files").mkdir(parents=True, exist_ok=True)
    (export.folder / "files" / "records.jsonl").write_text("{}\n", encoding="utf-8")
    snapshot = Snapshot.objects.create(project=project, name="v1")
    ModelVersion.objects.create(
        project=project, number=numbers, schema=project.schema, n_labels=4, metrics={"state": "few"}
    )
    Round.objects.create(project=project, number=numbers, trigger="manual", seed=1, job=job)
    backtest = Backtest.objects.create(
        project=project, seed=1, data=b"", settings={"strategies": [], "budget": 1, "batch": 1, "seeds": 3}
    )
    Decision.objects.create(project=project, item=items[0], schema=project.schema, classes=["cat"])
    GoldItem.objects.create(project=project, item=items[0], classes=["cat"])
    Case.objects.create(project=project, item=items[1], agreement=0.5, votes=2, confidence=0.5)
    Check.objects.create(project=project, item=items[2], kind="suspect", position=0, score=0.1)
    invitation, _ = invite(project=project, role=Role.VIEWER, days=1, by=project.created_by)
    return World(
        project=project,
        people=people,
        items=items,
        lease=lease,
        arguments={
            "item_id": items[0].pk,
            "asset_id": picture.asset_id,
            "job_id": job.pk,
            "import_id": record.pk,
            "export_id": export.pk,
            "snapshot_id": snapshot.pk,
            "user_id": annotator.pk,
            "invitation_id": invitation.pk,
            "number": numbers,
            "backtest_id": backtest.pk,
            "skip_id": skip.pk,
            "annotation_id": answer.pk,
            "webhook_id": webhook.pk,
            "delivery_id": delivery.pk,
            "offer_id": Offer.objects.create(project=project, external_id="offered").pk,
        },
    )


def make_stranger() -> User:
    """Somebody with a project of their own and no part in any other."""
    user = make_user()
    make_project(owner=user, name="Elsewhere")
    return user


def token_of(user: User, *scopes: str) -> dict[str, str]:
    """The header of a program that acts for this person."""
    _, plain = create_token(user=user, name=f"at {timezone.now()}", scopes=scopes or SCOPES)
    return {"Authorization": f"Bearer {plain}"}
