/** What WeChat asks a person for on our behalf: their consent, a place, an address, messages later. Each may say no. */

/** They said no, or closed the sheet: nothing to complain about. */
const REFUSED = /cancel|deny|denied|refuse|disagree/i;

/** A refusal by the person or by WeChat; `code` is "cancelled" or "wechat". */
export class AskingError extends Error {
  /** @param {string} message the `errMsg` */
  constructor(message) {
    super(message);
    this.name = "AskingError";
    this.code = REFUSED.test(message) ? "cancelled" : "wechat";
  }
}

/**
 * A `wx` call as a promise. These are called in the tap itself: WeChat shows its sheets after nothing else.
 * @template T
 * @param {(callbacks: {success: (answer: T) => void, fail: (failure: {errMsg: string}) => void}) => void} call
 * @returns {Promise<T>} rejects with AskingError
 */
function asked(call) {
  return new Promise((resolve, reject) => {
    call({ success: resolve, fail: (failure) => reject(new AskingError(failure.errMsg)) });
  });
}

/**
 * The privacy guideline (用户隐私保护指引) is agreed to, before anything personal is asked for.
 * @returns {Promise<unknown>}
 */
export function privacy() {
  // Phones below 2.32.3 have no such question.
  if (!wx.requirePrivacyAuthorize) return Promise.resolve();
  return asked((callbacks) => wx.requirePrivacyAuthorize(callbacks));
}

/**
 * One of a few things, at most six.
 * @param {string[]} list
 * @returns {Promise<number>} its place in the list; rejects with AskingError
 */
export async function picked(list) {
  /** @type {WechatMiniprogram.ShowActionSheetSuccessCallbackResult} */
  const { tapIndex } = await asked((callbacks) => wx.showActionSheet({ itemList: list, ...callbacks }));
  return tapIndex;
}

/** @returns {Promise<{name: string, phone: string, address: string}>} one of the addresses kept in WeChat */
export async function chosenAddress() {
  await privacy();
  /** @type {WechatMiniprogram.ChooseAddressSuccessCallbackResult} */
  const chosen = await asked((callbacks) => wx.chooseAddress(callbacks));
  const { userName, telNumber, provinceName, cityName, countyName, detailInfo } = chosen;
  return { name: userName, phone: telNumber, address: `${provinceName}${cityName}${countyName}${detailInfo}` };
}

/** @returns {Promise<{lat: number, lng: number, address: string}>} a point on the map; six decimals are 11 cm */
export async function chosenPlace() {
  await privacy();
  /** @type {WechatMiniprogram.ChooseLocationSuccessCallbackResult} */
  const place = await asked((callbacks) => wx.chooseLocation(callbacks));
  const six = (/** @type {number|string} */ degrees) => Number(Number(degrees).toFixed(6));
  return { lat: six(place.latitude), lng: six(place.longitude), address: `${place.address}${place.name}` };
}

/** Above it a photograph is made smaller before it is sent. */
const PICTURE_BYTES_FINE = 1024 * 1024;
const PICTURE_SIDE = 1600;

/**
 * Pictures of the album or the camera, as they can be sent.
 * @param {number} count how many at most
 * @returns {Promise<{path: string, data: ArrayBuffer}[]>} rejects with AskingError
 */
export async function chosenPictures(count) {
  await privacy();
  /** @type {WechatMiniprogram.ChooseMediaSuccessCallbackResult} */
  const chosen = await asked((callbacks) => wx.chooseMedia({ count, mediaType: ["image"], sizeType: ["compressed"], ...callbacks }));
  return Promise.all(
    chosen.tempFiles.map(async ({ tempFilePath, size }) => {
      const path = size > PICTURE_BYTES_FINE ? await smaller(tempFilePath) : tempFilePath;
      /** @type {WechatMiniprogram.ReadFileSuccessCallbackResult} */
      const { data } = await asked((callbacks) => wx.getFileSystemManager().readFile({ filePath: path, ...callbacks }));
      return { path, data: /** @type {ArrayBuffer} */ (data) };
    }),
  );
}

/** @param {string} src */
async function smaller(src) {
  /** @type {WechatMiniprogram.CompressImageSuccessCallbackResult} */
  const made = await asked((callbacks) => wx.compressImage({ src, quality: 80, compressedWidth: PICTURE_SIDE, ...callbacks }));
  return made.tempFilePath;
}

/**
 * Ask whether the shop may write later, and tell it of each yes. One yes is one message.
 * @param {import("../lib/siyu.js").Api} api
 * @param {string[]} wanted template ids; empty ones are not asked for
 * @returns {Promise<boolean>} whether one was granted; rejects with ApiError or AskingError
 */
export async function mayWrite(api, wanted) {
  const tmplIds = wanted.filter(Boolean);
  if (!tmplIds.length) return false;
  /** @type {Record<string, any>} */
  const answer = await asked((callbacks) => wx.requestSubscribeMessage({ tmplIds, ...callbacks }));
  const templates = tmplIds.filter((id) => answer[id] === "accept");
  if (templates.length) await api.post("/me/message-grants", { templates });
  return templates.length > 0;
}

/**
 * Let the person pay in WeChat's own sheet.
 * @param {Record<string, string>} fields `payment.fields` of the server
 * @returns {Promise<unknown>} it says nothing of whether the money came: the order does. Rejects with AskingError
 */
export function walletSheet({ timeStamp, nonceStr, package: prepared, signType, paySign }) {
  const signed = { timeStamp, nonceStr, package: prepared, paySign, signType: /** @type {"RSA"} */ (signType) };
  return asked((callbacks) => wx.requestPayment({ ...signed, ...callbacks }));
}

/**
 * A question with a line to write.
 * @param {string} title
 * @param {string} placeholder
 * @returns {Promise<string|null>} what was written, null when they thought better of it
 */
export async function written(title, placeholder) {
  /** @type {WechatMiniprogram.ShowModalSuccessCallbackResult} */
  const { confirm, content } = await asked((callbacks) =>
    wx.showModal({ title, editable: true, placeholderText: placeholder, ...callbacks }),
  );
  return confirm ? (content || "").trim() : null;
}

/**
 * @param {string} title
 * @param {string} [content]
 * @returns {Promise<boolean>}
 */
export async function agreed(title, content = "") {
  /** @type {WechatMiniprogram.ShowModalSuccessCallbackResult} */
  const { confirm } = await asked((callbacks) => wx.showModal({ title, content, ...callbacks }));
  return confirm;
}
