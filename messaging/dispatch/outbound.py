"""Makes a claimed message into what an adapter sends."""

from __future__ import annotations

from channels_app.types import Channel, OutboundMessage
from messaging.content import contents, exits
from messaging.content.sealing import own_of
from messaging.dispatch.carrying import NOTHING, Carried
from messaging.dispatch.queue import Lane
from messaging.dispatch.transitions import Claimed


def render(lane: Lane, message: Claimed, carried: Carried = NOTHING) -> OutboundMessage:
    """The message as it goes out.

    Raises:
        RenderFailed: what it says cannot be made of its data.
        TemplateRefused: nor can it be compiled.
        EncryptionFailed: it cannot be opened; KeyMissing where this process lacks the key.
        Content.DoesNotExist: its content is gone.
    """
    if carried.problem is not None:
        raise carried.problem
    content = contents.load(message.content_id, html=lane.channel is Channel.EMAIL)
    own = own_of(message)
    html, text = content.render(
        data=own.data,
        name=own.name,
        to=message.recipient,
        now=message.sending_at,
        exits=exits.of(message, lane.channel, content.exits),
    )
    return OutboundMessage(
        id=message.id,
        workspace_id=message.workspace_id,
        channel=lane.channel,
        address=message.recipient,
        name=own.name,
        subject=own.subject,
        html=html,
        text=text,
        shared=content.shared,
        data=own.data or {},
        metadata=message.metadata,
        headers={**exits.headers(message, lane.channel, content.shared.headers), **carried.headers},
        credentials=carried.credentials,
        document=carried.document,
        devices=carried.devices,
        priority=lane.priority.word,
        expires_at=message.expires_at,
        attempt=message.attempts,
        throttles=message.throttles,
    )
