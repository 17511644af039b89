from django.apps import AppConfig


class TransferConfig(AppConfig):
    name = "annotator.transfer"
    label = "transfer"
