import django.contrib.postgres.fields
from django.db import migrations, models

import annotator.accounts.models

ALL = ["read", "annotate", "import", "export", "manage"]


def split(apps, schema_editor):
    """A token that could only read still can only that; one that could write may everything."""
    token = apps.get_model("accounts", "ApiToken")
    token.objects.filter(scope="read").update(scopes=["read"])
    token.objects.exclude(scope="read").update(scopes=ALL)


def join(apps, schema_editor):
    """Back to two kinds: whatever may change something wrote."""
    token = apps.get_model("accounts", "ApiToken")
    token.objects.filter(scopes__contained_by=["read", "export"]).update(scope="read")


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.AddField(
            "apitoken",
            "scopes",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[
                        ("read", "Read"),
                        ("annotate", "Label: next item, answers, skips, drafts"),
                        ("import", "Bring items and predictions in"),
                        ("export", "Take data out"),
                        ("manage", "Everything, settings and members included"),
                    ],
                    max_length=20,
                ),
                default=annotator.accounts.models.every_scope,
                size=None,
            ),
        ),
        migrations.RunPython(split, join),
        migrations.RemoveField("apitoken", "scope"),
    ]
