"""Members and their roles, and links that invite new ones."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotator.accounts import services as accounts
from annotator.accounts.models import User
from annotator.common.errors import Conflict, Forbidden, Invalid, NotFound
from annotator.projects import membership, selectors, services
from annotator.projects.models import Invitation, Membership, Project, Role
from tests.factories import join, make_project, make_user

OWN = "a new and longer one"

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def owner(project) -> User:
    return project.created_by


def link_of(project, owner, **more) -> str:
    values = {"role": Role.ANNOTATOR, "days": 7} | more
    _, plain = membership.invite(project=project, by=owner, **values)
    return reverse("projects:accept_invitation", args=[plain])


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_person_is_added_by_name_once(project, owner):
    person = make_user("Lena")
    member = membership.add_member(project=project, username=" lena ", role=Role.REVIEWER, by=owner)
    assert (member.user, member.role) == (person, "reviewer")
    with pytest.raises(Conflict, match="already"):
        membership.add_member(project=project, username="lena", role=Role.VIEWER, by=owner)


@pytest.mark.parametrize("active", [True, False])
def test_strangers_and_deactivated_people_cannot_be_added(project, owner, active):
    name = "nobody" if active else make_user(is_active=False).username
    with pytest.raises(Invalid, match="no active person"):
        membership.add_member(project=project, username=name, role=Role.VIEWER, by=owner)


def test_managers_give_every_role_but_the_owners(project, owner):
    manager, person = join(project, Role.MANAGER), join(project)
    membership.change_role(project=project, user_id=person.pk, role=Role.MANAGER, by=manager)
    with pytest.raises(Forbidden):
        membership.change_role(project=project, user_id=person.pk, role=Role.OWNER, by=manager)
    with pytest.raises(Forbidden):
        membership.change_role(project=project, user_id=owner.pk, role=Role.VIEWER, by=manager)
    with pytest.raises(Forbidden):
        membership.remove_member(project=project, user_id=owner.pk, by=manager)
    with pytest.raises(Forbidden):
        membership.add_member(project=project, username=make_user().username, role=Role.OWNER, by=manager)
    assert project.memberships.get(user=owner).role == Role.OWNER


def test_members_without_the_right_change_nobody(project):
    reviewer, person = join(project, Role.REVIEWER), join(project)
    with pytest.raises(Forbidden):
        membership.remove_member(project=project, user_id=person.pk, by=reviewer)


def test_a_project_keeps_an_owner(project, owner):
    with pytest.raises(Conflict, match="needs an owner"):
        membership.change_role(project=project, user_id=owner.pk, role=Role.MANAGER, by=owner)
    with pytest.raises(Conflict, match="needs an owner"):
        membership.remove_member(project=project, user_id=owner.pk, by=owner)
    second = join(project, Role.OWNER)
    membership.remove_member(project=project, user_id=owner.pk, by=second)
    assert [m.user for m in project.memberships.all()] == [second]


def test_a_deactivated_owner_does_not_count(project, owner):
    join(project, Role.OWNER, make_user(is_active=False))
    with pytest.raises(Conflict, match="needs an owner"):
        membership.remove_member(project=project, user_id=owner.pk, by=owner)


def test_who_is_no_member_cannot_be_changed(project, owner):
    with pytest.raises(NotFound):
        membership.change_role(project=project, user_id=make_user().pk, role=Role.VIEWER, by=owner)


def test_a_new_person_joins_by_the_link(project, owner):
    link = link_of(project, owner, role=Role.REVIEWER)
    client = Client()
    page = client.get(link)
    assert project.name in page.content.decode()
    assert "as reviewer" in page.content.decode()
    values = {"username": "lena", "first_name": "Lena", "password1": OWN, "password2": OWN}
    assert client.post(link, values).status_code == 302
    member = project.memberships.get(user__username="lena")
    assert member.role == Role.REVIEWER
    assert client.session["_auth_user_id"] == str(member.user.pk)
    assert not member.user.must_change_password
    assert not member.user.is_superuser
    assert Invitation.objects.get().accepted_by == member.user


def test_a_signed_in_person_joins_by_a_click_and_not_before(project, owner):
    person, link = make_user(), link_of(project, owner)
    client = client_of(person)
    assert f"Join as {person.username}" in client.get(link).content.decode()
    assert not project.memberships.filter(user=person).exists()
    assert client.post(link).status_code == 302
    assert project.memberships.get(user=person).role == Role.ANNOTATOR


def test_a_member_does_not_use_the_link_up_and_keeps_the_role(project, owner):
    link = link_of(project, owner)
    client = client_of(owner)
    assert "member already" in client.get(link).content.decode()
    client.post(link)
    assert project.memberships.get(user=owner).role == Role.OWNER
    assert selectors.open_invitations(project).count() == 1


def test_a_link_serves_one_person(project, owner):
    link = link_of(project, owner)
    client_of(make_user()).post(link)
    answer = client_of(make_user()).post(link)
    assert answer.status_code == 410
    assert "used already" in answer.content.decode()
    assert project.memberships.count() == 2


def test_of_two_people_who_follow_one_link_at_once_one_joins(project, owner):
    invitation, plain = membership.invite(project=project, role=Role.VIEWER, days=1, by=owner)
    seen_by_both = membership.find_invitation(plain)
    membership.accept_invitation(token=plain, user=make_user())
    with pytest.raises(membership.Gone):
        membership._use(seen_by_both, make_user())
    assert Invitation.objects.get(pk=invitation.pk).accepted_by is not None


def test_a_link_runs_out(project, owner):
    link = link_of(project, owner)
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    answer = Client().get(link)
    assert answer.status_code == 410
    assert "has run out" in answer.content.decode()
    assert not selectors.open_invitations(project).exists()
    assert selectors.past_invitations(project).exists()


def test_a_revoked_link_opens_nothing(project, owner):
    link = link_of(project, owner)
    invitation = Invitation.objects.get()
    page = client_of(owner)
    page.post(reverse("projects:revoke_invitation", args=[project.pk, invitation.pk]))
    assert Client().get(link).status_code == 404
    assert (
        page.post(reverse("projects:revoke_invitation", args=[project.pk, invitation.pk])).status_code == 404
    )


def test_links_of_another_project_cannot_be_revoked_here(project, owner):
    other = make_project()
    link_of(other, other.created_by)
    with pytest.raises(NotFound):
        membership.revoke_invitation(project=project, invitation_id=Invitation.objects.get().pk)


def test_links_die_with_their_project_and_with_the_account_behind_them(project, owner):
    manager = join(project, Role.MANAGER)
    theirs, mine = link_of(project, manager), link_of(project, owner)
    accounts.deactivate(user=manager, by=make_user(is_superuser=True))
    assert Client().get(theirs).status_code == 404
    assert Client().get(mine).status_code == 200
    services.delete_project(project=project)
    assert Client().get(mine).status_code == 404


def test_a_taken_name_makes_no_account_and_leaves_the_link_good(project, owner):
    link = link_of(project, owner)
    values = {"username": owner.username.upper(), "password1": OWN, "password2": OWN}
    answer = Client().post(link, values)
    assert answer.status_code == 422
    assert "taken" in answer.content.decode()
    assert Client().get(link).status_code == 200
    assert User.objects.count() == 1


def test_an_owner_is_not_invited_by_link(project, owner):
    with pytest.raises(Invalid):
        membership.invite(project=project, role=Role.OWNER, days=1, by=owner)


@pytest.mark.parametrize("days", [0, 91])
def test_a_link_lives_between_a_day_and_three_months(project, owner, days):
    with pytest.raises(Invalid):
        membership.invite(project=project, role=Role.VIEWER, days=days, by=owner)


def test_the_page_shows_a_link_once(project, owner):
    page = client_of(owner)
    values = {"role": "annotator", "days": "7", "note": "Lena"}
    answer = page.post(reverse("projects:invite", args=[project.pk]), values)
    shown = answer.content.decode()
    assert "http://testserver/invitations/" in shown
    assert "no-store" in answer["Cache-Control"]
    later = page.get(reverse("projects:members", args=[project.pk])).content.decode()
    assert "http://testserver/invitations/" not in later
    assert "Lena" in later


def test_the_page_adds_changes_and_removes(project, owner):
    page, person = client_of(owner), make_user()
    url = reverse("projects:members", args=[project.pk])
    page.post(url, {"username": person.username, "role": "viewer"})
    page.post(reverse("projects:change_role", args=[project.pk, person.pk]), {"role": "manager"})
    assert Membership.objects.get(user=person).role == Role.MANAGER
    page.post(reverse("projects:remove_member", args=[project.pk, person.pk]))
    assert not Membership.objects.filter(user=person).exists()
    assert page.post(url, {"username": "nobody", "role": "viewer"}).status_code == 422


def test_a_manager_does_not_read_everybodys_name(project):
    stranger = make_user("unrelated")
    page = client_of(join(project, Role.MANAGER)).get(reverse("projects:members", args=[project.pk]))
    assert stranger.username not in page.content.decode()


@pytest.mark.parametrize("lost", ["membership", "role"])
def test_a_link_ends_with_its_senders_right_to_invite(project, owner, lost):
    manager = join(project, Role.MANAGER)
    link = link_of(project, manager)
    assert client_of(make_user()).get(link).status_code == 200
    if lost == "membership":
        membership.remove_member(project=project, user_id=manager.pk, by=owner)
    else:
        membership.change_role(project=project, user_id=manager.pk, role=Role.ANNOTATOR, by=owner)
    assert client_of(manager).get(link).status_code == 404
    assert client_of(make_user()).post(link).status_code == 404
