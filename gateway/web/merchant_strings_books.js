/** Strings of the merchant's board on goods and books: [Chinese, English]. */

export const BOOKS = {
  "m.g.panel": ["商品与库存", "Goods and stock"],
  "m.g.sheet": ["批量导入导出（CSV）", "Sheet in and out (CSV)"],
  "m.g.export": ["导出商品表", "Export the sheet"],
  "m.g.why": ["原因", "Reason"],
  "m.g.goods": ["商品", "Goods"],
  "m.g.what": ["项目", "Figure"],
  "m.g.change": ["变更", "Change"],
  "m.g.who": ["经手人", "By"],
  "m.g.noChanges": ["还没有人工改动", "Nobody has changed anything by hand"],
  "m.g.price": ["售价", "price"],
  "m.g.list_price": ["划线价", "struck-through price"],
  "m.g.offer": ["限时价", "limited-time price"],
  "m.g.stock": ["库存", "stock"],
  "m.g.created": ["新建", "new"],
  "m.g.changed": ["已改", "changed"],
  "m.g.same": ["未变", "the same"],
  "m.g.fault": ["有误", "fault"],
  "m.g.written": [
    "已导入：新建 {created}，更改 {changed}，未变 {same}",
    "Taken in: {created} new, {changed} changed, {same} the same",
  ],
  "m.g.faulty": ["有 {fault} 行有误，什么都没有写入", "{fault} lines are at fault; nothing was written"],
  "m.g.nothing": [
    "没有写入：将新建 {created}，更改 {changed}，未变 {same}",
    "Nothing written: {created} would be new, {changed} changed, {same} the same",
  ],
};
