"""Reloads, lost connections, ended sessions: no answer is lost and none counts twice."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from annotator.labeling.models import Annotation, ItemLease
from annotator.projects import services
from tests.e2e.person import text_project
from tests.e2e.test_labelling import number
from tests.factories import join, make_project

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_reload_keeps_the_item(people):
    project = text_project()
    anna = people(join(project))
    anna.label(project)
    anna.press("1")
    expect(anna.text).to_have_text(number(1))
    anna.page.reload()
    expect(anna.text).to_have_text(number(1))


def test_a_choice_that_was_not_submitted_survives_a_reload(people):
    project = text_project(task="multi")
    anna = people(join(project))
    anna.label(project)
    with anna.page.expect_response("**/drafts/*/"):
        anna.press("2")
    anna.page.reload()
    expect(anna.choice("Dog")).to_be_checked()


def test_answers_are_kept_while_the_server_is_away_and_sent_when_it_is_back(people):
    project = text_project()
    anna = people(join(project))
    anna.label_ahead(project)
    anna.cut_off()
    anna.press("1")
    expect(anna.text).to_have_text(number(1))
    expect(anna.banner).to_contain_text("The server does not answer. 1 answer kept here")
    anna.press("2")
    expect(anna.banner).to_contain_text("2 answers kept here")
    assert anna.answers() == []
    anna.reconnect()
    expect(anna.banner).to_be_hidden()
    expect(anna.saved).to_have_text("Saved, revision 1")
    assert anna.answers() == [("text-0", ["cat"]), ("text-1", ["dog"])]


def test_answers_that_wait_survive_a_reload(people):
    project = text_project()
    anna = people(join(project))
    anna.label(project)
    anna.cut_off()
    anna.press("1")
    expect(anna.banner).to_contain_text("1 answer kept here")
    anna.page.reload()
    expect(anna.banner).to_contain_text("1 answer kept here")
    anna.reconnect()
    expect(anna.saved).to_have_text("Saved, revision 1")
    expect(anna.banner).to_be_hidden()
    assert anna.answers() == [("text-0", ["cat"])]


def test_an_answer_that_arrived_but_was_not_acknowledged_counts_once(people):
    project = text_project()
    anna = people(join(project))
    anna.label(project)
    anna.expected.append("net::ERR_FAILED")
    lost = []

    def lose_the_answer(route):
        lost.append(route.fetch().status)
        route.abort()

    anna.page.route("**/annotations/", lose_the_answer, times=1)
    anna.press("1")
    anna.until(lambda: lost == [201])
    expect(anna.saved).to_have_text("Saved, revision 1")
    expect(anna.banner).to_be_hidden()
    assert Annotation.objects.count() == 1


def test_undo_without_a_connection_brings_back_what_was_not_sent(people):
    project = text_project()
    anna = people(join(project))
    anna.label_ahead(project)
    anna.cut_off()
    anna.press("1")
    expect(anna.banner).to_contain_text("1 answer kept here")
    anna.press("2")
    expect(anna.banner).to_contain_text("2 answers kept here")
    anna.press("Backspace")
    expect(anna.text).to_have_text(number(1))
    expect(anna.choice("Dog")).to_be_checked()
    expect(anna.banner).to_contain_text("1 answer kept here")
    anna.press("1")
    expect(anna.banner).to_contain_text("2 answers kept here")
    anna.reconnect()
    expect(anna.saved).to_have_text("Saved, revision 1")
    expect(anna.banner).to_be_hidden()
    assert anna.answers() == [("text-0", ["cat"]), ("text-1", ["cat"])]


def test_work_goes_on_by_itself_where_it_stopped_for_want_of_a_connection(people):
    project = text_project(3)
    anna = people(join(project))
    anna.label_ahead(project)
    anna.cut_off()
    for n in range(3):
        expect(anna.text).to_have_text(number(n))
        anna.press("1")
    expect(anna.stage).to_contain_text("The server cannot be reached.")
    anna.reconnect()
    expect(anna.stage).to_contain_text("Every item has all its labels.")
    expect(anna.saved).to_have_text("Saved, revision 1")
    assert len(anna.answers()) == 3


def test_an_ended_session_keeps_the_answers_and_says_so(people):
    project = text_project()
    anna = people(join(project))
    anna.label(project)
    expect(anna.text).to_have_text(number(0))
    anna.expected.append("401")
    anna.session.delete()
    anna.press("1")
    expect(anna.banner).to_contain_text("You are signed out. 1 answer kept here until you sign in again.")
    expect(anna.banner.get_by_role("link", name="Sign in")).to_be_visible()
    assert anna.answers() == []
    # An answer to the old session that is still under way would take the new one's cookie away.
    anna.page.wait_for_load_state("networkidle")
    anna.sign_in()
    anna.banner.get_by_role("button", name="Try now").click()
    expect(anna.saved).to_have_text("Saved, revision 1")
    expect(anna.banner).to_be_hidden()
    assert anna.answers() == [("text-0", ["cat"])]


def test_a_refused_answer_is_shown_with_the_reason_and_kept_until_it_is_discarded(people):
    project = text_project()
    anna = people(join(project))
    anna.label(project)
    expect(anna.text).to_have_text(number(0))
    services.archive_project(project=project)
    anna.expected.append("409")
    anna.press("1")
    expect(anna.banner).to_contain_text("1 answer refused by the server.")
    expect(anna.banner).to_contain_text("This project is archived.")
    anna.banner.get_by_role("button", name="Discard").click()
    expect(anna.banner).to_be_hidden()


def test_the_screen_works_without_https_in_a_local_network(people):
    project = text_project()
    anna = people(join(project), plain=True)
    anna.expected.append("Cross-Origin-Opener-Policy")  # browsers heed it on https only, and say so
    anna.label(project)
    assert not anna.page.evaluate("isSecureContext")
    anna.press("1")
    expect(anna.text).to_have_text(number(1))
    expect(anna.saved).to_have_text("Saved, revision 1")
    anna.press("Backspace")
    expect(anna.text).to_have_text(number(0))
    assert anna.answers() == []


def test_a_project_without_items_says_so(people):
    project = make_project()
    anna = people(join(project))
    anna.label(project)
    expect(anna.stage).to_contain_text("There is nothing to label yet.")
    expect(anna.page.locator("#submit")).to_be_disabled()


def test_items_in_other_hands_are_worth_waiting_for(people):
    project = text_project(1)
    anna, ben = people(join(project)), people(join(project))
    anna.label(project)
    ben.label(project)
    expect(ben.stage).to_contain_text("The last open items are in other people's hands.")
    anna.press(".")
    expect(anna.stage).to_contain_text("You have labelled or skipped everything that is open.")
    ben.page.get_by_role("button", name="Look again").click()
    expect(ben.text).to_have_text(number(0))


def test_a_new_ranking_ends_the_waiting(people):
    project = text_project(1)
    anna, ben = people(join(project)), people(join(project))
    anna.label(project)
    ben.label(project)
    expect(ben.stage).to_contain_text("in other people's hands")
    anna.open("projects:list")
    anna.until(lambda: not ItemLease.objects.exists())
    ben.hear({"type": "ranking"})
    expect(ben.text).to_have_text(number(0))
