"""What mails say, in English and Chinese, as plain text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from crm_graph.kernel.settings import Settings


class Language(Enum):
    """A language that mails are written in."""

    EN = "EN"
    ZH = "ZH"


@dataclass(frozen=True, slots=True)
class Text:
    """A mail without its addresses."""

    kind: str
    subject: str
    body: str


_INVITATION = {
    Language.EN: (
        "You are invited to {workspace}",
        """Hello {name},

you are invited to work in {workspace}. Choose a password here:

{url}

The link is good once, for {days} days. If you expected nothing of the kind, you can forget about this mail.
""",
    ),
    Language.ZH: (
        "邀请您加入{workspace}",
        """{name}，您好：

您被邀请加入{workspace}。请打开以下链接设置密码：

{url}

该链接只能使用一次，{days}天内有效。如果您不知道此事，请忽略本邮件。
""",
    ),
}
_RESET = {
    Language.EN: (
        "Set a new password for {workspace}",
        """Hello {name},

somebody, we hope you, wants to set a new password for {workspace}. It is done here:

{url}

The link is good once, for {minutes} minutes. If it was not you, nothing has happened and there is nothing to do.
""",
    ),
    Language.ZH: (
        "重设您在{workspace}的密码",
        """{name}，您好：

我们收到了重设您在{workspace}密码的请求。请打开以下链接设置新密码：

{url}

该链接只能使用一次，{minutes}分钟内有效。如果不是您本人操作，您的密码没有改变，请忽略本邮件。
""",
    ),
}


def invitation(language: Language, name: str, workspace: str, url: str, settings: Settings) -> Text:
    """Return the mail that invites a member."""
    subject, body = _INVITATION[language]
    days = settings.invitation_days
    return Text(
        "invitation",
        subject.format(workspace=_line(workspace)),
        body.format(name=_line(name), workspace=_line(workspace), url=url, days=days),
    )


def reset(language: Language, name: str, workspace: str, url: str, settings: Settings) -> Text:
    """Return the mail with the link to set a new password."""
    subject, body = _RESET[language]
    minutes = settings.reset_minutes
    return Text(
        "reset",
        subject.format(workspace=_line(workspace)),
        body.format(name=_line(name), workspace=_line(workspace), url=url, minutes=minutes),
    )


_MAX_LINE = 100


def _line(text: str) -> str:
    """Return what a member or an administrator wrote as one short line: no paragraph of theirs in a mail of ours."""
    return " ".join(text.split())[:_MAX_LINE]
