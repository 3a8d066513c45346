/** Where the server is, and the room that opens when the address names none. */

/** An address under 服务器域名, without a slash at its end. */
export const BASE = "https://HOST";
/** A room's id. A code's scene holds only the share token, so a code of one room needs this. */
export const ROOM = "";
/** Template ids of 订阅消息 that a viewer may ask for; empty: the page does not offer it. */
export const TEMPLATES = { show: "", sale: "", order: "", due: "", late: "" };
