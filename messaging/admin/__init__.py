"""The pages of operators, on Django's own admin site."""

from django.contrib import admin

from messaging.admin import campaigns, figures, messages, people, templates, tenancy, traffic, webhooks
from messaging.admin.entrance import SignInForm
from messaging.admin.guard import guarded

__all__ = ["campaigns", "figures", "messages", "people", "templates", "tenancy", "traffic", "webhooks"]

admin.site.site_header = admin.site.site_title = "Dispatch"
admin.site.index_title = "Operations"
admin.site.index_template = "messaging/index.html"
admin.site.site_url = "/api/docs/"
admin.site.login_form = SignInForm
admin.site.admin_view = guarded(admin.site.admin_view)  # type: ignore[assignment,method-assign]
