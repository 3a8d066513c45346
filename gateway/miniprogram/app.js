/** The mini-program: one page, a room. */

App({});
