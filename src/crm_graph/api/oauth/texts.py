"""What the pages say, in the languages that they speak."""

from __future__ import annotations

from collections.abc import Mapping

ENGLISH: Mapping[str, str] = {
    "language": "en",
    "sign_in": "Sign in",
    "sign_in_to": "Sign in to continue to {app}",
    "email": "E-mail address",
    "password": "Password",
    "workspace": "Workspace, if you have accounts in several",
    "second_factor": "Code of your authenticator app",
    "second_factor_needed": "Your account has a second factor: enter its code, and your password again.",
    "second_factor_wrong": "The code is wrong, or was used before. Enter the next one, and your password again.",
    "sign_in_failed": "The e-mail address or the password is wrong.",
    "other_workspace": "This account belongs to another workspace than {app}.",
    "too_many": "There were too many attempts. Try again in {minutes} minutes.",
    "or": "or",
    "with_provider": "Sign in with {provider}",
    "sign_out": "Sign out",
    "sign_out_of": "{app} asks to sign you out here as well: then no app is let in any more without your password.",
    "signed_out": "You are signed out here. Apps that you let in stay signed in, each for itself.",
    "authorize": "Allow {app}?",
    "wants": "{app} wants to act for you in {workspace}:",
    "signed_in_as": "You are signed in as {name} ({email}).",
    "use_another": "Use another account",
    "allow": "Allow",
    "deny": "Do not allow",
    "device": "Connect a device",
    "device_code": "The code that your device shows",
    "device_check": "Go on only if you have just started this yourself, and your device shows this code: {code}",
    "device_unknown": "No device waits under this code. Look again, or start anew on the device.",
    "device_allowed": "Done: your device is connected. You can close this page.",
    "device_denied": "The device was not connected. You can close this page.",
    "continue": "Continue",
    "scope_crm": "read and change everything that you may read and change",
    "scope_crm.read": "read everything that you may read",
    "scope_openid": "know who you are",
    "scope_profile": "know your name",
    "scope_email": "know your e-mail address",
    "scope_offline_access": "stay signed in when you are away",
    "error": "This does not work",
    "error_help": "The app sent a request that cannot be answered. Tell whoever runs the app:",
    "form_expired": "This form is too old, or was not made for your browser. Go back to the app and start again.",
}
CHINESE: Mapping[str, str] = {
    "language": "zh",
    "sign_in": "登录",
    "sign_in_to": "登录以继续使用 {app}",
    "email": "电子邮箱",
    "password": "密码",
    "workspace": "工作区（如果您在多个工作区有账号）",
    "second_factor": "身份验证器中的验证码",
    "second_factor_needed": "您的账号启用了两步验证：请输入验证码，并再次输入密码。",
    "second_factor_wrong": "验证码错误或已被使用。请输入下一个验证码，并再次输入密码。",
    "sign_in_failed": "电子邮箱或密码错误。",
    "other_workspace": "此账号与 {app} 不属于同一个工作区。",
    "too_many": "尝试次数过多，请在 {minutes} 分钟后重试。",
    "or": "或",
    "with_provider": "使用 {provider} 登录",
    "sign_out": "退出登录",
    "sign_out_of": "{app} 请求您也在此处退出登录：之后任何应用都需要您再次输入密码。",
    "signed_out": "您已在此处退出登录。您已允许的应用仍各自保持登录。",
    "authorize": "允许 {app} 吗？",
    "wants": "{app} 希望在 {workspace} 中代表您：",
    "signed_in_as": "您已登录为 {name}（{email}）。",
    "use_another": "使用其他账号",
    "allow": "允许",
    "deny": "拒绝",
    "device": "连接设备",
    "device_code": "设备上显示的代码",
    "device_check": "只有当您刚刚亲自发起此操作，并且设备上显示的代码是 {code} 时，才继续。",
    "device_unknown": "没有设备在等待此代码。请核对，或在设备上重新开始。",
    "device_allowed": "完成：您的设备已连接，可以关闭此页面。",
    "device_denied": "设备未连接，可以关闭此页面。",
    "continue": "继续",
    "scope_crm": "读取和修改您有权读取和修改的一切",
    "scope_crm.read": "读取您有权读取的一切",
    "scope_openid": "知道您是谁",
    "scope_profile": "知道您的姓名",
    "scope_email": "知道您的电子邮箱",
    "scope_offline_access": "在您离开时保持登录",
    "error": "无法完成",
    "error_help": "应用发送了无法处理的请求。请告知应用的运营者：",
    "form_expired": "此表单已过期，或不属于您的浏览器。请返回应用重新开始。",
}
_LANGUAGES = {"en": ENGLISH, "zh": CHINESE}
MAX_HEADER_LENGTH = 500


def texts_for(accept_language: str | None) -> Mapping[str, str]:
    """Return the texts in the language that `Accept-Language` prefers; English where it names neither."""
    best, best_quality = ENGLISH, 0.0
    for part in (accept_language or "")[:MAX_HEADER_LENGTH].split(","):
        tag, _, parameter = part.strip().partition(";")
        language = _LANGUAGES.get(tag.strip().lower().partition("-")[0])
        quality = _quality(parameter)
        if language is not None and quality > best_quality:
            best, best_quality = language, quality
    return best


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
