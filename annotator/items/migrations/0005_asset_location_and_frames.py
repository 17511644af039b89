from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("items", "0004_imported_predictions")]

    operations = [
        migrations.AddField("asset", "frames", models.PositiveIntegerField(default=1)),
        migrations.AddField("asset", "location", models.TextField(default="")),
    ]
