"""One task for each message."""

from celery import shared_task
from django.core.mail import EmailMultiAlternatives
from django.template import Context, Template
from django.utils import timezone

from tests.bench.handwritten.models import Message, MessageEvent


@shared_task(bind=True, max_retries=3, default_retry_delay=5)
def send_message(self, message_id: int) -> None:
    message = Message.objects.filter(pk=message_id, status=Message.Status.QUEUED).first()
    if message is None:
        return
    message.attempts += 1
    _enter(message, Message.Status.SENDING)
    email = EmailMultiAlternatives(
        _rendered(message.subject, message), _rendered(message.text, message), to=[f"{message.name} <{message.to}>"]
    )
    email.attach_alternative(_rendered(message.body, message), "text/html")
    try:
        email.send()
    except OSError as error:
        _enter(message, Message.Status.QUEUED)
        raise self.retry(exc=error) from error
    message.sent_at = timezone.now()
    _enter(message, Message.Status.SENT)


def _enter(message: Message, status: str) -> None:
    message.status = status
    message.save()
    MessageEvent.objects.create(message=message, status=status)


def _rendered(source: str, message: Message) -> str:
    return Template(source).render(Context({"name": message.name})) if "{{" in source else source
