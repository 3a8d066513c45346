/** Staff sign-in for the consoles: a form, a token kept for the tab, `#token=…` taken from the address. */

import { Api } from "./api.js";
import { h, put } from "./dom.js";
import { addStrings, explain, onLanguage, t } from "./i18n.js";
import { recall, remember } from "./memory.js";

const STORED = "siyu.staff";

addStrings({
  "login.title": ["登录工作台", "Sign in"],
  "login.hint": ["主播与商家使用同一入口", "One door for hosts and merchants"],
  "login.name": ["账号", "Login"],
  "login.password": ["密码", "Password"],
  "login.submit": ["登录", "Sign in"],
  "login.out": ["退出", "Sign out"],
});

/** A token in the fragment never reaches a server or a log; it is taken out of the address at once. */
function tokenFromAddress() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const token = fragment.get("token");
  if (!token) return;
  remember("session", STORED, { token });
  history.replaceState(null, "", location.pathname + location.search);
}

/** @returns {Api} with the staff token of this tab, if there is one */
export function staffApi() {
  tokenFromAddress();
  return new Api(recall("session", STORED, null)?.token || null);
}

/** Forget the token of this tab. */
export function signOut() {
  remember("session", STORED, null);
  location.reload();
}

/** @param {{status?: number}} error @returns {boolean} whether the token does not open the door any more */
export function mustSignIn(error) {
  return error.status === 401;
}

/**
 * Show the form until someone signs in.
 * @param {HTMLElement} place
 * @param {Api} api gets the token
 * @param {any} [why] the error that ended the last session
 * @returns {Promise<any>} the answer of /auth/login
 */
export function signIn(place, api, why = null) {
  remember("session", STORED, null);
  return new Promise((resolve) => {
    const name = h("input", {
      name: "login",
      autocomplete: "username",
      required: true,
      maxlength: 60,
      "data-testid": "login-name",
    });
    const password = h("input", {
      name: "password",
      type: "password",
      autocomplete: "current-password",
      required: true,
      maxlength: 200,
      "data-testid": "login-password",
    });
    const submit = h("button.primary.wide", { type: "submit", "data-testid": "login-submit" });
    const problem = h("p.form-problem", { role: "alert" }, why ? explain(why) : "");
    const title = h("h1");
    const hint = h("p.faint");
    const labels = [h("span"), h("span")];
    const form = h(
      "form.login-card",
      { "data-testid": "login-form" },
      h("img.login-mark", { src: "/static/icon.svg", alt: "" }),
      title,
      hint,
      h("label.field", {}, labels[0], name),
      h("label.field", {}, labels[1], password),
      problem,
      submit,
    );
    const words = () => {
      title.textContent = t("login.title");
      hint.textContent = t("login.hint");
      labels[0].textContent = t("login.name");
      labels[1].textContent = t("login.password");
      submit.textContent = t("login.submit");
    };
    words();
    onLanguage(words);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      submit.disabled = true;
      try {
        const answer = await api.post("/auth/login", { login: name.value.trim(), password: password.value });
        api.token = answer.token;
        remember("session", STORED, answer);
        put(place);
        resolve(answer);
      } catch (error) {
        problem.textContent = explain(error);
        password.select();
      } finally {
        submit.disabled = false;
      }
    });
    put(place, form);
    name.focus();
  });
}
