"""More than one label for a share of the items: which ones is a fixed function of project and row."""

import django.core.validators
from django.db import migrations, models

# How many labels an item wants. A multiplicative hash with one round of mixing: deterministic, so that the queue, the pool
# and the figures agree without a column to keep, and spread evenly over the rows whatever their order means.
FORWARD = """
CREATE FUNCTION labels_wanted(overlap integer, share double precision, project bigint, item_row bigint)
RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN share >= 1 OR overlap = 1 THEN overlap
    WHEN (((((item_row * 2654435761 + project * 1640531527) % 4294967296)
            # (((item_row * 2654435761 + project * 1640531527) % 4294967296) >> 15)) * 73244475) % 4294967296)
         < share * 4294967296 THEN overlap
    ELSE 1
  END
$$
"""
BACKWARD = "DROP FUNCTION labels_wanted(integer, double precision, bigint, bigint)"


class Migration(migrations.Migration):
    dependencies = [("projects", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="project",
            name="overlap_share",
            field=models.FloatField(
                default=1.0,
                help_text="Share of the items, drawn by a fixed hash, that so many people label; the others get one label.",
                validators=[
                    django.core.validators.MinValueValidator(0.0),
                    django.core.validators.MaxValueValidator(1.0),
                ],
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
