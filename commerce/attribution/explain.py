"""A stored decision in plain sentences, Chinese or English, for somebody who disputes it. Pure.

Nothing is judged again: the sentences say what was written down when the order was made.
"""

from collections.abc import Callable, Mapping
from typing import Any

from commerce.attribution.decision import DAY_MS

Names = Callable[[str | None, str | None], str]
"""Gives what to call an issuer of a role."""
When = Callable[[int], str]
"""Gives a time in the shop's zone."""
LANGUAGES = ("zh", "en")
LOSERS_MAX = 50

_RULES = {
    "valid binding inside its protection": (
        "客户处于保护期内的绑定",
        "the customer was bound and inside the protection",
    ),
    "valid binding": ("客户的有效绑定", "the customer was bound"),
    "surviving binding": (
        "窗口期内没有有效触点，按仍然有效的绑定",
        "no touch counted in the window; the binding was still valid",
    ),
    "last valid touch": ("窗口期内最后一次有效触点", "the last valid touch in the window"),
    "first valid touch": ("窗口期内第一次有效触点", "the first valid touch in the window"),
    "no valid candidate": ("没有有效的线索", "there was no valid candidate"),
}
_REASONS = {
    "bad_link": ("链接当时无效", "its link was not valid then"),
    "after_order": ("发生在下单之后", "it came after the order"),
    "outside_window": ("超出归因窗口", "it lay outside the window"),
    "self_referral": ("是买家自己的链接", "the buyer issued it"),
    "later_touch_won": ("之后还有一次触点", "a later touch counted"),
    "earlier_touch_won": ("更早的触点优先", "an earlier touch counted"),
    "binding_protected": ("客户的绑定还在保护期", "the customer's binding was inside its protection"),
    "binding_won": ("按绑定优先", "the binding came first"),
    "binding_expired": ("绑定已过有效期", "the binding was no longer valid"),
    "binding_invalid": ("绑定不计入", "the binding did not count"),
    "newer_binding": ("已被新的绑定取代", "a newer binding had replaced it"),
    "touch_won": ("已过保护期，以有效触点为准", "it was past its protection and a valid touch counted"),
    "model_ignores_bindings": ("该口径只看触点", "this model looks at touches alone"),
}
_ROLES = {
    "merchant": ("商家", "shop"),
    "host": ("主播", "host"),
    "assistant": ("助理", "staff"),
    "guide": ("导购", "guide"),
    "distributor": ("分销员", "distributor"),
    "viewer": ("观众", "viewer"),
    "partner": ("合作商家", "partner"),
}
_CREDITS = {
    "distributor": ("分销佣金", "commission"),
    "guide": ("导购业绩", "the guide's performance"),
    "partner": ("异业合作分成", "a partner's share"),
}
_ALWAYS = ("distributor", "guide")
"""Roles of which it is said that nobody is credited; most shops have no partners."""
_SHARES = {
    "no_contract": ("下单时没有生效的合作合同", "no contract stood when the order was made"),
    "own": ("买家就是合作商家本人", "the buyer runs the partner's business"),
    "not_first": ("合同只计首单，而客户之前已经买过", "the contract pays for a first purchase, and this was not it"),
    "no_rate": ("合同没有约定这些商品的分成比例", "the contract has no rate for these goods"),
    "order_cap": ("已到合同的单笔上限", "the contract's cap for an order was reached"),
    "month_cap": ("已到合同的当月上限", "the contract's cap for the month was reached"),
    "cap": ("已到店铺的单笔佣金总上限", "the shop's cap for all that is earned of an order was reached"),
}


def explain(decision: Mapping[str, Any], language: str, names: Names, when: When) -> list[str]:
    """Say who was credited, by which rule, and why everybody else was not."""
    pick = LANGUAGES.index(language)
    zh = pick == 0
    days = f"{decision['window_ms'] / DAY_MS:g}"
    made = when(decision["decided_ms"])
    said = [
        f"本单于 {made} 下单时判定，之后不再改变；归因窗口为 {days} 天。"
        if zh
        else f"Decided at {made}, when the order was made, and never again; the window is {days} days."
    ]
    winner = decision.get("winner")
    rule = _words(_RULES, str(decision["rule"]), pick)
    if winner is None:
        said.append(f"没有归属任何人：{rule}。" if zh else f"Nobody is credited: {rule}.")
    else:
        who, at = names(winner["issuer"], winner["role"]), when(winner["ms"])
        how = _source(winner, pick)
        said.append(f"归属：{who}，依据{rule}（{at}，{how}）。" if zh else f"Credited: {who}, as {rule} ({at}, {how}).")
    said += _credits(decision, pick, names)
    losers = decision.get("losers") or []
    for loser in losers[:LOSERS_MAX]:
        who, at = names(loser["issuer"], loser["role"]), when(loser["ms"])
        why = _words(_REASONS, str(loser["reason"]), pick)
        how = _source(loser, pick)
        said.append(
            f"未计入：{who}（{at}，{how}），因为{why}。" if zh else f"Not counted: {who} ({at}, {how}), because {why}."
        )
    left = len(losers) - LOSERS_MAX + int(decision.get("omitted") or 0)
    if left > 0:
        said.append(f"另有更早的 {left} 条线索未列出。" if zh else f"{left} older candidates are not listed.")
    return said


def _credits(decision: Mapping[str, Any], pick: int, names: Names) -> list[str]:
    said = []
    for role, label in _CREDITS.items():
        credit = (decision.get("credits") or {}).get(role)
        if credit is None and role not in _ALWAYS:
            continue
        if credit is None:
            said.append((f"{label[0]}：无人。", f"For {label[1]}: nobody.")[pick])
            continue
        who, rule = names(credit["issuer"], role), _words({**_RULES_OF_CREDITS, **_RULES}, str(credit["rule"]), pick)
        said.append((f"{label[0]}：{who}，依据{rule}。", f"For {label[1]}: {who}, as {rule}.")[pick])
    host = (decision.get("credits") or {}).get("host")
    if host is not None:
        said.append((f"直播间主播：{host['issuer']}。", f"The room's host: {host['issuer']}.")[pick])
    return said


def share_words(share: Mapping[str, Any], language: str, money: Callable[[int], str]) -> str:
    """What a sale gave its partner, and why that is not what the rates say: ``amount``, ``reversed``, ``base`` (分),
    ``why`` and ``held`` of the sale.
    """
    pick = LANGUAGES.index(language)
    amount, left = money(share["amount"]), money(share["amount"] - share["reversed"])
    base, why = money(share["base"]), _words(_SHARES, str(share["why"]), pick) if share["why"] else ""
    if pick == 0:
        said = f"合作分成：计算基数 {base} 元，分成 {amount} 元" + (f"（{why}）" if why else "")
        said += f"；退款后剩 {left} 元" if share["reversed"] else ""
        return said + ("；待人工核查。" if share["held"] else "。")
    said = f"The partner's share: {amount} yuan of {base}" + (f" ({why})" if why else "")
    said += f"; {left} are left after refunds" if share["reversed"] else ""
    return said + ("; somebody is to look at it." if share["held"] else ".")


_RULES_OF_CREDITS = {
    "station": ("自提点团长", "who leads the pickup station"),
    "till": ("收银小票上的员工码", "the seller's code on the receipt"),
}


def _words(table: Mapping[str, tuple[str, str]], text: str, pick: int) -> str:
    """The words for a code, or for the sentence that begins or ends with a known one."""
    for key, words in table.items():
        if key in text:
            return words[pick]
    return text


def _source(credit: Mapping[str, Any], pick: int) -> str:
    channel = f" · {credit['channel']}" if credit.get("channel") else ""
    if credit["source"] == "binding":
        return ("绑定", "a binding")[pick] + channel
    return ("触点", "a touch")[pick] + channel


def role_word(role: str | None, language: str) -> str:
    """What a role is called."""
    words = _ROLES.get(role or "")
    return (role or "") if words is None else words[LANGUAGES.index(language)]


def candidates(decision: Mapping[str, Any]) -> set[str]:
    """Everybody whom a decision weighed."""
    found = [decision.get("winner"), *(decision.get("losers") or []), *(decision.get("credits") or {}).values()]
    return {str(one["issuer"]) for one in found if one}
