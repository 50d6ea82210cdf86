"""Sends a mail by SMTP, as `CRM_SMTP_URL` says."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib

from crm_graph.kernel.addresses import is_address
from crm_graph.kernel.errors import CrmError, OperatorError

TIMEOUT_S = 20
_STARTTLS = {"required": True, "offered": None, "never": False}
_FIX = "write it as smtp://user:password@mail.example.com:587 or smtps://user:password@mail.example.com"


class MailRefused(CrmError):
    """Raised when a mail could not be handed over; `for_good` says that trying again is of no use.

    `reason` says what the server answered by its code, and nothing that it quoted.
    """

    def __init__(self, reason: str, *, for_good: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.for_good = for_good


@dataclass(frozen=True, slots=True)
class Mailer:
    """A mail server, and in whose name mails are sent."""

    host: str
    port: int
    sender: str
    use_tls: bool
    start_tls: bool | None
    """None: where the server offers it."""
    user: str | None
    password: str | None = field(repr=False)

    @classmethod
    def of(cls, url: str, sender: str) -> Mailer:
        """Return the mailer of `CRM_SMTP_URL` and `CRM_MAIL_FROM`. Raises OperatorError for what is none."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise OperatorError("CRM_SMTP_URL is not an address", _FIX) from None
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
            raise OperatorError("CRM_SMTP_URL is not an address of a mail server", _FIX)
        start_tls = parse_qs(parts.query).get("starttls", ["offered"])[0]
        if start_tls not in _STARTTLS:
            raise OperatorError(
                f"CRM_SMTP_URL has starttls={start_tls}", f"set it to one of {', '.join(_STARTTLS)}, or leave it out"
            )
        if not is_address(parseaddr(sender)[1]):
            raise OperatorError(
                f"CRM_MAIL_FROM={sender!r} is not an e-mail address", "set it to the sender: `CRM <crm@example.com>`"
            )
        use_tls = parts.scheme == "smtps"
        return cls(
            parts.hostname,
            port or (465 if use_tls else 587),
            sender,
            use_tls,
            False if use_tls else _STARTTLS[start_tls],
            None if parts.username is None else unquote(parts.username),
            None if parts.password is None else unquote(parts.password),
        )

    async def send(self, recipient: str, subject: str, body: str) -> None:
        """Hand a mail over to the server. Raises MailRefused."""
        if not is_address(recipient):
            raise MailRefused("the recipient is no e-mail address", for_good=True)
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, recipient, subject
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=parseaddr(self.sender)[1].rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(body)
        try:
            await aiosmtplib.send(
                message,
                sender=parseaddr(self.sender)[1],
                recipients=[recipient],
                hostname=self.host,
                port=self.port,
                username=self.user,
                password=self.password,
                use_tls=self.use_tls,
                start_tls=self.start_tls,
                timeout=TIMEOUT_S,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refused.code for refused in error.recipients]
            for_good = all(_is_permanent(code) for code in codes)
            raise MailRefused(f"the server refused the recipient: {codes}", for_good=for_good) from None
        except (aiosmtplib.SMTPAuthenticationError, aiosmtplib.SMTPSenderRefused) as error:
            # The configuration is wrong, not the mail: it waits for that to be put right.
            raise MailRefused(f"the server refused us: {error.code}", for_good=False) from None
        except aiosmtplib.SMTPResponseException as error:
            raise MailRefused(f"the server answered {error.code}", for_good=_is_permanent(error.code)) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailRefused(f"no mail can be sent: {type(error).__name__}", for_good=False) from None


def _is_permanent(code: int) -> bool:
    return 500 <= code < 600
