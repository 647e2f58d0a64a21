"""A Bot API server, from the published description of it. It shares no code with the adapter.

Whom a message is for tells what becomes of it (see `TRICKS`); any other chat takes it. As a process of its own:

    python -m tests.peers.telegram --port 8098 --record received.jsonl

It tells of what people write to the bot once `setWebhook` named a URL for it; `POST /say` with `{"chat": 99, "text":
"/start …"}` writes as a person does, and answers with the status of the bot's own answer.

Within a test:

    with running() as bot:
        adapter = ... base=bot.peer.url(""), token=TOKEN ...
        assert bot.messages[0].fields["text"] == "Good morning"
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP

from tests.peers import http
from tests.peers.http import Asked, Manner, Peer, Reply

TOKEN = "4711:AAE-peer_token_0123456789"

TRICKS = """
@blocked        403, the user blocked the bot            @kicked       403, the bot was kicked from the group
@deactivated    403, the user is no more                 @unlinked     403, the user never spoke to the bot
@missing        400, there is no such chat               @moved        400, the group became a supergroup
@bad_markup     400, the entities cannot be parsed       @status_502   that status, and a page of HTML
@throttled_3    429, wait so many seconds                @revoked      401
@no_media       400, a URL of media that leads nowhere
@not_json       200, and a page of HTML                  @deep         200, and JSON of 100,000 brackets
@odd            200, and a result that is no message     @wide         200, and numbers beyond any bound
@stall @drip @hangs_up @garbage @endless @endless_body   as the names say
"""

_PATH = re.compile(r"/bot([^/]+)/([A-Za-z]+)\Z")
_REFUSED = {
    "@blocked": (403, "Forbidden: bot was blocked by the user"),
    "@kicked": (403, "Forbidden: bot was kicked from the supergroup chat"),
    "@deactivated": (403, "Forbidden: user is deactivated"),
    "@unlinked": (403, "Forbidden: bot can't initiate conversation with a user"),
    "@missing": (400, "Bad Request: chat not found"),
    "@moved": (400, "Bad Request: group chat was upgraded to a supergroup chat"),
    "@bad_markup": (400, 'Bad Request: can\'t parse entities: Unsupported start tag "h1" at byte offset 0'),
    "@no_media": (400, "Bad Request: failed to get HTTP URL content"),
    "@revoked": (401, "Unauthorized"),
}
_MANNERS = {
    "@stall": Manner.STALL,
    "@drip": Manner.DRIP,
    "@hangs_up": Manner.CUT,
    "@garbage": Manner.GARBAGE,
    "@endless": Manner.ENDLESS,
    "@endless_body": Manner.ENDLESS_BODY,
}
_ODD = {
    "@not_json": b"<html>It works!</html>",
    "@deep": b"[" * 100_000,
    "@odd": b'{"ok":true,"result":true}',
    "@wide": b'{"ok":true,"result":{"message_id":' + b"9" * 4_000 + b',"chat":{"id":1e999}}}',
}
_NEEDED = {
    "sendMessage": {"chat_id", "text"},
    "sendPhoto": {"chat_id", "photo"},
    "sendDocument": {"chat_id", "document"},
    "sendVideo": {"chat_id", "video"},
    "sendAudio": {"chat_id", "audio"},
}
_KNOWN = {"chat_id", "text", "photo", "document", "video", "audio", "caption", "parse_mode"}


@dataclass(frozen=True, kw_only=True)
class Posted:
    """A message that was posted by the bot."""

    method: str
    fields: Mapping[str, str]
    files: Mapping[str, tuple[str, str, bytes]]
    """Field → name, type and content."""


@dataclass
class Bot:
    """What a running server has seen."""

    messages: list[Posted] = field(default_factory=list)
    peer: Peer = field(default_factory=Peer)
    webhook: Mapping[str, str] = field(default_factory=dict)
    """What `setWebhook` was given."""
    updates: int = 0
    most: int = 0
    """Messages that a chat takes before it is told to wait; 0 is any number."""

    def answer(self, asked: Asked) -> Reply:
        """Answer one request."""
        if asked.path == "/say":
            told = json.loads(asked.body)
            return Reply(status=self.say(told["chat"], told["text"]))
        found = _PATH.match(asked.path)
        if found is None or found[1] != TOKEN:
            return _error(404, "Not Found") if found is None else _error(401, "Unauthorized")
        if found[2] == "getMe":
            return _ok({"id": 4711, "is_bot": True, "first_name": "Peer"})
        if found[2] == "setWebhook":
            self.webhook = json.loads(asked.body)
            return _ok(True)
        if found[2] not in _NEEDED:
            return _error(404, "Not Found: method not found")
        posted = _posted(found[2], asked)
        missing = _NEEDED[posted.method] - set(posted.fields) - set(posted.files)
        unknown = {*posted.fields, *posted.files} - _KNOWN
        if missing or unknown:
            return _error(400, f"Bad Request: missing {missing}, unknown {unknown}")
        return self.treat(posted)

    def say(self, chat: int, text: str) -> int:
        """Write to the bot as a person does; give the status of what it answers."""
        person = {"id": chat, "is_bot": False, "first_name": "Ann"}
        talk = {"id": chat, "type": "private", "first_name": "Ann"}
        return self.tell(
            {"message": {"message_id": 1, "date": 1_700_000_000, "from": person, "chat": talk, "text": text}}
        )

    def tell(self, update: Mapping[str, object]) -> int:
        """Post an update to the webhook that was set."""
        self.updates += 1
        headers = {"Content-Type": "application/json"}
        if self.webhook.get("secret_token"):
            headers["X-Telegram-Bot-Api-Secret-Token"] = self.webhook["secret_token"]
        body = json.dumps({"update_id": self.updates, **update}).encode()
        return http.post(self.webhook["url"], body, headers)

    def treat(self, posted: Posted) -> Reply:
        chat = posted.fields["chat_id"]
        if chat in _REFUSED:
            return _error(*_REFUSED[chat], {"migrate_to_chat_id": -1001234567890} if chat == "@moved" else None)
        if chat.startswith("@status_"):
            return Reply(status=int(chat.removeprefix("@status_")), body=b"<html>Bad Gateway</html>")
        if chat.startswith("@throttled_"):
            seconds = int(chat.removeprefix("@throttled_"))
            return _error(429, f"Too Many Requests: retry after {seconds}", {"retry_after": seconds})
        if len(posted.fields.get("text", "").encode("utf-16-le")) > 2 * 4_096:
            return _error(400, "Bad Request: message is too long")
        if self.most and sum(other.fields["chat_id"] == chat for other in self.messages) >= self.most:
            return _error(429, "Too Many Requests: retry after 9", {"retry_after": 9})
        self.messages.append(posted)
        if chat in _ODD:
            return Reply(body=_ODD[chat])
        chat_id = int(chat) if chat.lstrip("-").isdigit() else 99
        result = {"message_id": len(self.messages), "date": 1_700_000_000, "chat": {"id": chat_id, "type": "private"}}
        return Reply(body=_ok(result).body, manner=_MANNERS.get(chat, Manner.WHOLE))


def _ok(result: object) -> Reply:
    return Reply(body=json.dumps({"ok": True, "result": result}).encode())


def _error(status: int, description: str, parameters: Mapping[str, int] | None = None) -> Reply:
    said = {"ok": False, "error_code": status, "description": description}
    if parameters:
        said["parameters"] = dict(parameters)
    return Reply(status=status, headers={"content-type": "application/json"}, body=json.dumps(said).encode())


def _posted(method: str, asked: Asked) -> Posted:
    kind = asked.header("content-type")
    if kind == "application/json":
        return Posted(method=method, fields=json.loads(asked.body), files={})
    whole = BytesParser(policy=HTTP).parsebytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + asked.body)
    fields: dict[str, str] = {}
    files: dict[str, tuple[str, str, bytes]] = {}
    for part in whole.iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        if part.get_filename() is None:
            fields[name] = content.decode()
        else:
            files[name] = (str(part.get_filename()), part.get_content_type(), content)
    return Posted(method=method, fields=fields, files=files)


@contextmanager
def running(*, port: int = 0) -> Iterator[Bot]:
    """Serve in threads of this process while the block runs."""
    bot = Bot()
    with http.running(bot.answer, port=port) as peer:
        bot.peer = peer
        yield bot


if __name__ == "__main__":
    http.serve(http.parser(__doc__).parse_args(), Bot().answer)
