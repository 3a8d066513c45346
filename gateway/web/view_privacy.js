/** My data: what I agreed to, who looked at it, all of it as a file, and to be forgotten. */

import { h, put, toast } from "./dom.js";
import { doer } from "./forms.js";
import { addStrings, knows, t, when } from "./i18n.js";

addStrings({
  "mydata.open": ["我的个人信息", "My personal data"],
  "mydata.hint": ["随时可以同意或撤回，撤回和同意一样方便", "Agree or take it back at any time: one is as easy as the other"],
  "mydata.purpose.member": ["会员服务", "Membership"],
  "mydata.purpose.marketing": ["接收营销消息", "Being written to"],
  "mydata.purpose.profile": ["根据我的行为推荐", "Being recommended things by what I do"],
  "mydata.yes": ["已同意，点此撤回", "Agreed: take it back"],
  "mydata.no": ["未同意，点此同意", "Not agreed: agree"],
  "mydata.export": ["下载我的全部信息", "Download all of it"],
  "mydata.erase": ["删除我的信息", "Forget me"],
  "mydata.sure": [
    "姓名、手机号、地址和登录方式会被删除；订单按法律保留，但不再有你的姓名。确定？",
    "Your name, phone, addresses and ways to sign in go; orders stay, as the law wants, without your name. Sure?",
  ],
  "mydata.erased": ["已删除", "Forgotten"],
  "mydata.log": ["谁查看过", "Who looked"],
  "mydata.noLog": ["没有记录", "Nobody"],
  "mydata.action.phone": ["查看完整手机号", "saw the whole number"],
  "mydata.action.open": ["打开客户页面", "opened your page"],
  "mydata.action.export": ["导出", "exported"],
  "mydata.action.forget": ["删除部分信息", "forgot a part"],
  "mydata.action.guardian": ["查看监护人", "saw the guardian"],
});

const PURPOSES = ["member", "marketing", "profile"];
const action = (name) => (knows(`mydata.action.${name}`) ? t(`mydata.action.${name}`) : name);

/**
 * A button that shows the part below it.
 * @param {import("./api.js").Api} api
 */
export function privacy(api) {
  const place = h("div", { "data-testid": "mydata" });
  const load = async () => {
    const [consents, log] = await Promise.all([api.get("/me/consents"), api.get("/me/privacy-log?limit=20")]);
    put(place, drawn(api, consents, log.items, load));
  };
  return h("section", {}, doer(t("mydata.open"), load, { className: "quiet", "data-testid": "mydata-open" }), place);
}

function drawn(api, consents, log, again) {
  const turn = (purpose) =>
    doer(
      t(consents[purpose] ? "mydata.yes" : "mydata.no"),
      async () => {
        await api.post("/me/consents", { purpose, granted: !consents[purpose], source: "my page" });
        await again();
      },
      { "data-testid": `consent-${purpose}`, data: { granted: String(Boolean(consents[purpose])) } },
    );
  return [
    h("p.faint", {}, t("mydata.hint")),
    PURPOSES.map((purpose) =>
      h("article.mine-order", {}, h("strong", {}, t(`mydata.purpose.${purpose}`)), turn(purpose)),
    ),
    h(
      "p",
      {},
      doer(t("mydata.export"), () => download(api), { "data-testid": "mydata-export" }),
      " ",
      doer(t("mydata.erase"), () => erase(api), { className: "small.quiet", "data-testid": "mydata-erase" }),
    ),
    h("h4", {}, t("mydata.log")),
    log.length
      ? log.map((row) =>
          h(
            "p.faint",
            { "data-testid": "mydata-log" },
            `${when(row.at_ms)} · ${action(row.action)}${row.reason ? ` · ${row.reason}` : ""}`,
          ),
        )
      : h("p.empty", {}, t("mydata.noLog")),
  ].flat();
}

async function download(api) {
  const text = JSON.stringify(await api.get("/me/data"), null, 2);
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const anchor = h("a", { href: address, download: "my-data.json" });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
  // The browser has begun to read it by the next turn.
  setTimeout(() => URL.revokeObjectURL(address), 0);
}

async function erase(api) {
  if (!confirm(t("mydata.sure"))) return;
  await api.delete("/me/data");
  toast(t("mydata.erased"), "good");
}
