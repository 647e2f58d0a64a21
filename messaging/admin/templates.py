"""Templates and everything they ever said. New versions are made through the API, which checks and counts them."""

# mypy: disallow-any-generics=False
# Django's admin classes take no parameters at run time.

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from messaging.admin.base import ReadOnlyAdmin, link, list_link, preformatted
from messaging.models import Template, TemplateVersion


class VersionInline(admin.TabularInline):
    """The versions of a template, the newest first; what each said is a page away."""

    model = TemplateVersion
    fields = readonly_fields = ("number", "subject", "reads", "author", "created_at")
    ordering = ("-version",)
    extra = 0
    max_num = 0
    can_delete = False
    verbose_name_plural = "versions"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("author").defer("body", "text")

    @admin.display(description="version")
    def number(self, said: TemplateVersion) -> SafeString:
        return link("templateversion", said.pk, said.version)

    @admin.display(description="variables")
    def reads(self, said: TemplateVersion) -> str:
        return ", ".join(said.variables) or "-"

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.has_perm("messaging.view_template")


@admin.register(Template)
class TemplateAdmin(ReadOnlyAdmin):
    inlines = (VersionInline,)
    list_display = ("key", "channel", "language", "version", "name", "action_type", "workspace", "updated_at", "in_use")
    list_filter = ("channel", "language", ("deleted_at", admin.EmptyFieldListFilter))
    list_select_related = ("workspace",)
    ordering = ("-id",)
    search_fields = ("=id", "key__startswith", "name__istartswith")
    search_help_text = "An id, or how a key or a name begins."
    fields = (
        *("key", "channel", "language", "name", "action_type", "version"),
        *("workspace", "created_at", "updated_at", "deleted_at", "its_messages"),
    )
    readonly_fields = ("its_messages",)

    @admin.display(description="in use", boolean=True)
    def in_use(self, template: Template) -> bool:
        return template.deleted_at is None

    @admin.display(description="messages")
    def its_messages(self, template: Template) -> SafeString:
        return list_link("message", f"template__id__exact={template.pk}", "show")


@admin.register(TemplateVersion)
class TemplateVersionAdmin(ReadOnlyAdmin):
    """One version; found through its template."""

    fields = ("of_template", "version", "subject", "source", "plain", "reads", "author", "created_at")
    readonly_fields = ("of_template", "source", "plain", "reads")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description="template")
    def of_template(self, said: TemplateVersion) -> SafeString:
        return link("template", said.template_id, said.template)

    @admin.display(description="body")
    def source(self, said: TemplateVersion) -> SafeString | str:
        return preformatted(said.body) if said.body else "-"

    @admin.display(description="text")
    def plain(self, said: TemplateVersion) -> SafeString | str:
        return preformatted(said.text) if said.text else "-"

    @admin.display(description="variables")
    def reads(self, said: TemplateVersion) -> str:
        return ", ".join(said.variables) or "-"
