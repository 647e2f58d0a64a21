"""Views over a ModelSerializer: one object, or many of them in one request."""

from django.db import transaction
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from tests.bench.handwritten.models import Message, MessageEvent
from tests.bench.handwritten.tasks import send_message


class MessageSerializer(serializers.ModelSerializer):
    class Meta:
        model = Message
        fields = ["id", "to", "name", "subject", "body", "text", "status", "created_at", "sent_at"]
        read_only_fields = ["status", "sent_at"]

    def create(self, validated_data):
        message = super().create(validated_data)
        MessageEvent.objects.create(message=message, status=message.status)
        transaction.on_commit(lambda: send_message.delay(message.pk))
        return message


class MessageView(generics.CreateAPIView):
    """Takes one message."""

    serializer_class = MessageSerializer

    @transaction.atomic
    def create(self, request: Request, *args, **kwargs) -> Response:
        response = super().create(request, *args, **kwargs)
        response.status_code = status.HTTP_202_ACCEPTED
        return response


class BatchView(generics.GenericAPIView):
    """Takes the same content for many recipients."""

    serializer_class = MessageSerializer

    @transaction.atomic
    def post(self, request: Request) -> Response:
        shared = {name: request.data[name] for name in ("subject", "body", "text")}
        rows = [{**shared, **recipient} for recipient in request.data["recipients"]]
        serializer = self.get_serializer(data=rows, many=True)
        serializer.is_valid(raise_exception=True)
        messages = serializer.save()
        return Response({"ids": [message.pk for message in messages]}, status=status.HTTP_202_ACCEPTED)
