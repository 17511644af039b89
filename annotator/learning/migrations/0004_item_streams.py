import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("learning", "0003_presets_and_composition"),
        ("projects", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="ItemStream",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("enabled", models.BooleanField(default=False, help_text="Take offers of items.")),
                ("manager", models.CharField(default="split", max_length=100)),
                ("params", models.JSONField(default=dict)),
                (
                    "budget",
                    models.FloatField(
                        default=0.1,
                        help_text="Share of the offered items that people are to label.",
                        validators=[
                            django.core.validators.MinValueValidator(0.0),
                            django.core.validators.MaxValueValidator(1.0),
                        ],
                    ),
                ),
                ("state", models.JSONField(default=dict)),
                ("alarmed_at", models.DateTimeField(help_text="When drift was last noticed.", null=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "project",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="stream",
                        to="projects.project",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Offer",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("external_id", models.CharField(db_collation="C", max_length=500)),
                ("text", models.TextField(null=True)),
                ("meta", models.JSONField(default=dict)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Waits to be scored"),
                            ("kept", "Kept"),
                            ("passed", "Passed over"),
                            ("failed", "Could not be scored"),
                        ],
                        default="pending",
                        max_length=10,
                    ),
                ),
                (
                    "confidence",
                    models.FloatField(help_text="Probability of the best guess.", null=True),
                ),
                (
                    "predicted",
                    models.CharField(blank=True, help_text="Key of the most probable class.", max_length=100),
                ),
                ("threshold", models.FloatField(null=True)),
                ("at_random", models.BooleanField(default=False)),
                ("why", models.CharField(blank=True, max_length=100)),
                (
                    "wrong",
                    models.BooleanField(
                        help_text="Whether people said otherwise than was predicted.", null=True
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("decided_at", models.DateTimeField(null=True)),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="offers",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "indexes": [models.Index(fields=["project", "state", "id"], name="offer_state")],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "external_id"), name="offer_once")
                ],
            },
        ),
    ]
