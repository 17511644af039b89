import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("learning", "0002_encodings_and_cursors")]

    operations = [
        migrations.AddField(
            model_name="learningsettings",
            name="preset",
            field=models.CharField(
                blank=True, default="", help_text="Empty: one's own choice.", max_length=100
            ),
        ),
        migrations.AddField(
            model_name="learningsettings",
            name="preset_params",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="learningsettings",
            name="composition",
            field=models.JSONField(
                default=dict,
                help_text="What the strategy is combined with: further `terms` and `options`.",
            ),
        ),
        migrations.AddField(
            model_name="learningsettings",
            name="cold_labels",
            field=models.PositiveIntegerField(
                default=0,
                help_text="Labels per class until which this goes on. 0: only until there is a model.",
                validators=[django.core.validators.MaxValueValidator(1000)],
            ),
        ),
        migrations.AddField(
            model_name="learningsettings",
            name="item_filter",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Items whose metadata say so come before all others: language=de|fr, source!=web. Random draws "
                "are of all items.",
                max_length=500,
            ),
        ),
        migrations.AddField(
            model_name="learningsettings",
            name="favourite",
            field=models.JSONField(
                default=dict,
                editable=False,
                help_text="What a comparison on the project's own labels favours.",
            ),
        ),
    ]
