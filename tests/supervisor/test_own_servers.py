"""The own PostgreSQL and Redis, as the test run itself uses them."""

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection


@pytest.mark.django_db
def test_the_database_is_the_own_postgresql_in_utc_and_utf8() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_encoding'), current_setting('TimeZone'), 'ß' < 'z'")
        assert cursor.fetchone() == ("UTF8", "UTC", False)


@pytest.mark.django_db
def test_the_database_listens_on_no_network_address() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('listen_addresses')")
        assert cursor.fetchone() == ("",)


def test_the_cache_keeps_what_it_is_given() -> None:
    cache.set("word", {"n": 1}, 60)
    assert cache.get("word") == {"n": 1}


def test_tests_hash_passwords_fast() -> None:
    assert settings.PASSWORD_HASHERS == ["django.contrib.auth.hashers.MD5PasswordHasher"]
