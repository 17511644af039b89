"""What a person's names in exports are made from is a secret of theirs, no name itself."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_token_scopes")]

    operations = [migrations.RenameField("user", "pseudonym", "pseudonym_secret")]
