from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "annotator.accounts"
    label = "accounts"

    def ready(self) -> None:
        from annotator.accounts import openapi  # noqa: F401 - registers itself
