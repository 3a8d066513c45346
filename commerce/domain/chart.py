"""The chart of accounts, and where each kind of entry of people's accounts (domain/accounts.py) stands in it.

Numbers follow 企业会计准则应用指南's list of accounts, two digits deeper. Money that was paid for what has not left the
shop is a contract liability (CAS 14): it becomes revenue when the goods are handed over. Stored value and points are
liabilities as long as somebody has them. ``MEMO`` kinds are promises inside the shop (budgets, commission of orders
that are not paid) and stand beside the books.
"""

from collections.abc import Mapping
from dataclasses import dataclass

PROVIDER = "1012"
"""Money at payment providers by what they told us, one account each: ``1012.NAME``."""
SETTLED = "1013"
"""Balances at payment providers by their own settlement files: ``1013.NAME``."""
NAMED = (PROVIDER, SETTLED)
"""Accounts with one below them for each provider, by its name."""
BANK_CLEARING, BILLED = "1002.01", "2202.04"
BANK, CONTRACT, PRINCIPAL, BONUS, POINTS = "1002", "2205", "2204.01", "2204.02", "2204.03"
REFUNDS, COMMISSION, TAX, INCOME_TAX = "2241.01", "2241.02", "2221.01", "2221.02"
SUPPLIERS, CHANNELS, SUPPLY_COST, SUPPLIED, KEPT = "2202", "1122", "6401.01", "6001.05", "6301"
CUSTOMERS, BAD_DEBTS = "1122.01", "6701"
GOODS, WORK, PURCHASES, ESTIMATED, OPENING = "1405", "5001", "2202.01", "2202.02", "4104"
GOODS_COST, GIVEN_OVER, DIFFERENCES = "6401.02", "6401.03", "6602.01"
AT_TILLS, DRAWERS, OTHER_TENDERS, CASH_DIFFERENCES = "1406", "1001", "1221", "6602.02"
TILL_SALES, TILL_DISCOUNTS, TILL_RETURNS, TILL_COST = "6001.06", "6001.07", "6001.08", "6401.04"
SALES, SHOP_COUPONS, GUIDE_COUPONS, RETURNS = "6001.01", "6001.02", "6001.03", "6001.04"
FREIGHT, FREIGHT_COST, COURIERS = "6001.09", "6401.05", "2202.03"
SHARES, SHARE_INCOME, SHARE_COST, SHARED_COUPONS = "2241.03", "6051", "6601.04", "6001.10"
BONUS_COST, POINTS_COST, COMMISSION_COST, FEES, OTHER = "6601.01", "6601.02", "6601.03", "6603.01", "6711"


@dataclass(frozen=True, slots=True)
class ChartAccount:
    """One account: ``kind`` is asset, liability, equity, revenue or expense; ``normal`` the side on which it grows."""

    code: str
    name: str
    english: str
    kind: str

    @property
    def normal(self) -> str:
        """debit or credit."""
        return "debit" if self.kind in ("asset", "expense") else "credit"


CHART = (
    ChartAccount(DRAWERS, "库存现金—门店", "cash in drawers", "asset"),
    ChartAccount(BANK, "银行存款", "bank", "asset"),
    ChartAccount(BANK_CLEARING, "银行存款—待清算", "on its way to or from the bank", "asset"),
    ChartAccount(PROVIDER, "其他货币资金—支付平台", "at payment providers", "asset"),
    ChartAccount(SETTLED, "其他货币资金—平台已入账", "at payment providers by their settlement files", "asset"),
    ChartAccount(CHANNELS, "应收账款—渠道商", "owed by those who sell our goods", "asset"),
    ChartAccount(CUSTOMERS, "应收账款—客户赊销", "owed by customers who buy on account", "asset"),
    ChartAccount(GOODS, "库存商品", "goods on hand", "asset"),
    ChartAccount(AT_TILLS, "发出商品—门店收银", "goods sold at tills, whose takings are not told yet", "asset"),
    ChartAccount(OTHER_TENDERS, "其他应收款—门店其他收款", "taken at tills in other ways", "asset"),
    ChartAccount(WORK, "生产成本", "goods being processed", "asset"),
    ChartAccount(SUPPLIERS, "应付账款—供货商", "owed for others' goods that we sold", "liability"),
    ChartAccount(PURCHASES, "应付账款—采购", "owed to suppliers", "liability"),
    ChartAccount(ESTIMATED, "应付账款—暂估", "goods taken in without a purchase order", "liability"),
    ChartAccount(COURIERS, "应付账款—配送", "owed to couriers", "liability"),
    ChartAccount(BILLED, "应付账款—配送账单", "billed by couriers", "liability"),
    ChartAccount(PRINCIPAL, "预收—储值本金", "stored value, principal", "liability"),
    ChartAccount(BONUS, "预收—储值赠送", "stored value, bonus", "liability"),
    ChartAccount(POINTS, "预收—会员积分", "points", "liability"),
    ChartAccount(CONTRACT, "合同负债", "paid, not handed over", "liability"),
    ChartAccount(TAX, "应交税费—增值税（销项）", "value added tax on sales", "liability"),
    ChartAccount(INCOME_TAX, "应交税费—代扣个人所得税", "income tax withheld from commission", "liability"),
    ChartAccount(REFUNDS, "其他应付款—应退货款", "refunds booked, not yet given", "liability"),
    ChartAccount(COMMISSION, "其他应付款—应付佣金", "commission owed", "liability"),
    ChartAccount(SHARES, "其他应付款—异业合作分成", "shares owed to partners of another trade", "liability"),
    ChartAccount(OPENING, "利润分配—期初库存", "cost of opening stock", "equity"),
    ChartAccount(SALES, "主营业务收入", "sales", "revenue"),
    ChartAccount(SHOP_COUPONS, "主营业务收入—商家优惠券", "coupons at the shop's cost", "revenue"),
    ChartAccount(GUIDE_COUPONS, "主营业务收入—导购预算优惠券", "coupons out of guides' budgets", "revenue"),
    ChartAccount(RETURNS, "主营业务收入—销售退回", "sales given back", "revenue"),
    ChartAccount(SUPPLIED, "主营业务收入—供货", "goods sold through others", "revenue"),
    ChartAccount(TILL_SALES, "主营业务收入—门店", "sales at tills", "revenue"),
    ChartAccount(TILL_DISCOUNTS, "主营业务收入—门店折扣", "discounts at tills", "revenue"),
    ChartAccount(TILL_RETURNS, "主营业务收入—门店退货", "sales at tills given back", "revenue"),
    ChartAccount(FREIGHT, "主营业务收入—配送费", "paid for bringing goods", "revenue"),
    ChartAccount(SHARED_COUPONS, "主营业务收入—合作商家承担的优惠券", "what partners bear of coupons", "revenue"),
    ChartAccount(SHARE_INCOME, "其他业务收入—异业合作分成", "shares got from partners of another trade", "revenue"),
    ChartAccount(KEPT, "营业外收入—没收定金", "deposits kept", "revenue"),
    ChartAccount(SUPPLY_COST, "主营业务成本—供货", "others' goods that were sold", "expense"),
    ChartAccount(GOODS_COST, "主营业务成本—商品", "cost of goods sold", "expense"),
    ChartAccount(GIVEN_OVER, "主营业务成本—铺货", "cost of goods given to those who sell them", "expense"),
    ChartAccount(FREIGHT_COST, "主营业务成本—配送", "what couriers charge", "expense"),
    ChartAccount(TILL_COST, "主营业务成本—门店", "cost of goods sold at tills", "expense"),
    ChartAccount(CASH_DIFFERENCES, "管理费用—现金长短款", "cash counted less or more than there was", "expense"),
    ChartAccount(DIFFERENCES, "管理费用—盘盈盘亏", "counted more or less than there was", "expense"),
    ChartAccount(BONUS_COST, "销售费用—储值赠送", "bonus on stored value", "expense"),
    ChartAccount(POINTS_COST, "销售费用—积分", "points given", "expense"),
    ChartAccount(COMMISSION_COST, "销售费用—分销佣金", "commission", "expense"),
    ChartAccount(SHARE_COST, "销售费用—异业合作分成", "shares of partners of another trade", "expense"),
    ChartAccount(FEES, "财务费用—支付手续费", "providers' fees", "expense"),
    ChartAccount(BAD_DEBTS, "信用减值损失", "debts of customers given up", "expense"),
    ChartAccount(OTHER, "营业外支出", "other", "expense"),
)
CODES = frozenset(account.code for account in CHART)

PLACES: Mapping[str, str] = {
    "points": POINTS,
    "points_pending": POINTS,
    "points_held": POINTS,
    "points_owed": POINTS,
    "points_issued": POINTS_COST,
    "points_expired": POINTS_COST,
    "points_spent": CONTRACT,
    "principal": PRINCIPAL,
    "principal_held": PRINCIPAL,
    "bonus": BONUS,
    "bonus_held": BONUS,
    "stored_cash": CONTRACT,
    "stored_bonus": BONUS_COST,
    "stored_spent": CONTRACT,
    "bonus_spent": CONTRACT,
    "commission_pending": COMMISSION_COST,
    "commission_cost": COMMISSION_COST,
    "commission_frozen": COMMISSION,
    "commission_available": COMMISSION,
    "commission_leaving": COMMISSION,
    "commission_paid": BANK,
    "commission_tax": INCOME_TAX,
    "share_pending": SHARE_COST,
    "share_cost": SHARE_COST,
    "share_frozen": SHARES,
    "share_available": SHARES,
    "share_leaving": SHARES,
    "share_paid": BANK,
    "share_income": SHARE_INCOME,
    "share_received": BANK,
    "share_coupon": SHARED_COUPONS,
    "supply_owed": SUPPLIERS,
    "supply_cost": SUPPLY_COST,
    "supply_paid": BANK,
    "supply_due": CHANNELS,
    "supply_income": SUPPLIED,
    "supply_received": BANK,
    # What is sold, refunded and repaid through a provider is booked with its payment: here both sides are one account.
    "credit_owed": CUSTOMERS,
    "credit_spare": CUSTOMERS,
    "credit_sold": CUSTOMERS,
    "credit_cleared": CUSTOMERS,
    "credit_received": BANK,
    "credit_lost": BAD_DEBTS,
}
"""Kind of entry → account; what comes to it is credited. Both sides of a transfer are here, so each adds up to 0."""
STOCK_PLACES: Mapping[str, str] = {
    "purchased": PURCHASES,
    "sent_back": GOODS_COST,
    "received": ESTIMATED,
    "adjusted": DIFFERENCES,
    "allotted": GIVEN_OVER,
    "shipped": GOODS_COST,
    "till": AT_TILLS,
    "returned": GOODS_COST,
    "processed": WORK,
    "yielded": WORK,
    "valued": OPENING,
}
"""Kind of movement of stock → the other side of what it changes in the cost of goods on hand.

What goes back to a supplier leaves at the average and is no longer owed at what it was bought for: the difference stays
in the cost of goods sold. Goods given over to who sells them cost their owner when they are given. What a till sold
waits in ``AT_TILLS`` until its takings are told: without them it must not lower the gross margin.
What moves between the shop's own places (``moved``) stays where it is in the books.
"""
TENDER_PLACES: Mapping[str, str] = {
    "cash": DRAWERS,
    "wechat": f"{PROVIDER}.till_wechat",
    "alipay": f"{PROVIDER}.till_alipay",
    "card": f"{PROVIDER}.till_card",
    "stored": CONTRACT,
    "other": OTHER_TENDERS,
}
"""How it was paid at a till → where the money is. Stored value came before: its entries book it to ``CONTRACT``."""
TILL_ACCOUNTS = (TILL_SALES, TILL_DISCOUNTS, TILL_RETURNS, TILL_COST)
"""Revenue and cost of tills, which are told apart from what was sold online."""
REVENUE_HEAD, COST_HEAD = "6001", "6401"
"""Gross margin is what was sold less what it cost: the accounts that begin so."""
CLAIMS = frozenset(
    {
        *("supply_due", "supply_income", "supply_received"),
        *("share_income", "share_received"),
        *("credit_owed", "credit_spare", "credit_sold", "credit_received", "credit_cleared", "credit_lost"),
    }
)
"""Kinds that count what others owe the shop: there what comes is debited."""
MEMO = frozenset({"budget", "budget_reserved", "budget_source", "coupon_cost"})
LIABILITIES: Mapping[str, tuple[str, ...]] = {
    code: tuple(kind for kind, place in PLACES.items() if place == code) for code in (PRINCIPAL, BONUS, POINTS)
}
"""Accounts whose balance is what people have of these kinds."""
TAX_BASIS_POINTS_MAX = 2_000
"""20 %: the highest rate of value added tax is 13 %; more is a slip of the finger."""


def account_fault(code: str) -> str | None:
    """Why nothing can be booked to an account, as a sentence, or None."""
    if code in CODES and code not in NAMED:
        return None
    head, dot, provider = code.partition(".")
    if head in NAMED and dot and provider.isascii() and provider.replace("_", "").isalnum() and len(provider) <= 20:
        return None
    return f"there is no account {code[:24]!r}: GET /api/v1/books/chart lists them; {PROVIDER} takes a provider's name"
