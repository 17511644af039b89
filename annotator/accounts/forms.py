from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.password_validation import password_validators_help_texts, validate_password
from django.core.exceptions import ValidationError

from annotator.accounts.models import User
from annotator.common.scopes import ANNOTATE, CHOICES, READ

NEW_PASSWORD = forms.PasswordInput(attrs={"autocomplete": "new-password"})
EXPIRIES = (("30", "30 days"), ("90", "90 days"), ("365", "A year"), ("never", "Never"))


class SignInForm(forms.Form):
    username = forms.CharField(
        label="User name",
        max_length=150,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "username",
                "autofocus": True,
                "autocapitalize": "none",
                "spellcheck": "false",
            }
        ),
    )
    password = forms.CharField(
        strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )


class NewPasswordMixin(forms.Form):
    """Two fields for a new password, checked against the site's rules."""

    password1 = forms.CharField(
        label="New password",
        strip=False,
        widget=NEW_PASSWORD,
        help_text=" ".join(password_validators_help_texts()[1:2]),
    )
    password2 = forms.CharField(label="The same again", strip=False, widget=NEW_PASSWORD)

    def person(self) -> User:
        """Whose password it will be: it must not resemble their name."""
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        first, second = values.get("password1"), values.get("password2")
        if first and second and first != second:
            self.add_error("password2", "The two passwords differ.")
        elif first:
            try:
                validate_password(first, self.person())
            except ValidationError as error:
                self.add_error("password1", error)
        return values


class ChangePasswordForm(NewPasswordMixin):
    field_order = ("old_password", "password1", "password2")
    old_password = forms.CharField(
        label="Current password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        self.user = user
        super().__init__(*args, **kwargs)

    def person(self) -> User:
        return self.user

    def clean_old_password(self) -> str:
        old: str = self.cleaned_data["old_password"]
        if not self.user.check_password(old):
            raise ValidationError("This is not your current password.")
        return old

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        if values.get("old_password") and values.get("old_password") == values.get("password1"):
            self.add_error("password1", "This is your current password: choose another.")
        return values


class PersonFields(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields: tuple[str, ...] = ("username", "first_name", "last_name", "email")
        labels = {"username": "User name"}
        help_texts = {"username": "Letters, digits and @ . + - _"}

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=name).exclude(pk=self.instance.pk).exists():
            raise ValidationError("This name is taken.")
        return name


class NewPersonForm(PersonFields):
    administrator = forms.BooleanField(
        required=False, help_text="Manages people and sees every project.", label="Administrator"
    )


class SignUpForm(NewPasswordMixin, PersonFields):
    """A new person who follows an invitation; stores nothing by itself."""

    field_order = ("username", "first_name", "last_name", "password1", "password2")

    class Meta(PersonFields.Meta):
        fields = ("username", "first_name", "last_name")

    def person(self) -> User:
        return User(username=self.cleaned_data.get("username", ""))


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("first_name", "last_name", "email")


class TokenForm(forms.Form):
    name = forms.CharField(
        max_length=100, label="Name", widget=forms.TextInput(attrs={"placeholder": "What it is for"})
    )
    scopes = forms.MultipleChoiceField(
        choices=CHOICES,
        initial=[READ, ANNOTATE],
        label="May",
        widget=forms.CheckboxSelectMultiple,
    )
    days = forms.TypedChoiceField(
        choices=EXPIRIES,
        coerce=lambda days: None if days == "never" else int(days),
        initial="90",
        label="Expires after",
    )
