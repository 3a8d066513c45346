/** The mini-program: a room in the main package, the shop and what is one's own in two packages beside it. */

App({});
