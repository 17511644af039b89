from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("items", "0005_asset_location_and_frames")]

    operations = [
        migrations.AlterField(
            model_name="item",
            name="split",
            field=models.CharField(
                choices=[
                    ("pool", "Pool"),
                    ("test", "Held-out test"),
                    ("gold", "Gold: the answer is known"),
                ],
                default="pool",
                max_length=10,
            ),
        ),
    ]
