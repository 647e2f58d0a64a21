"""Two paths."""

from django.urls import path

from tests.bench.handwritten.api import BatchView, MessageView

urlpatterns = [path("messages", MessageView.as_view()), path("messages/batch", BatchView.as_view())]
