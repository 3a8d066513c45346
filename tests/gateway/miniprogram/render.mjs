/**
 * A page's WXML with its data as HTML, by j-component, the web stand-in for the mini-program's component system.
 *
 *     node render.mjs J_COMPONENT JSDOM      folders of the two npm packages
 *
 * Standard input has {"wxml": "…", "data": {…}}, standard output the body's HTML. Each component becomes wx-NAME; what
 * shows by its attributes in WeChat (image, input, switch …) gets an element of HTML inside that shows the same.
 */

import { createRequire } from "node:module";
import { join } from "node:path";
import { text } from "node:stream/consumers";

const [jComponentFolder, jsdomFolder] = process.argv.slice(2);
const { JSDOM } = createRequire(join(jsdomFolder, "package.json"))("jsdom");
const { window } = new JSDOM("<!DOCTYPE html><body></body>");
Object.assign(globalThis, { window, document: window.document, CustomEvent: window.CustomEvent, Event: window.Event });
Object.assign(globalThis, { UIEvent: window.UIEvent, TouchEvent: window.TouchEvent, Node: window.Node });
const jComponent = createRequire(join(jComponentFolder, "package.json"))("j-component");

const any = (names) => Object.fromEntries(names.split(" ").map((name) => [name, { type: null, value: "" }]));
const shows = {
  image: ["src mode", '<img data-src="{{src}}" class="m-{{mode}}"/>'],
  input: ["value placeholder", '<span class="v">{{value || placeholder}}</span>'],
  textarea: ["value placeholder", '<span class="v">{{value || placeholder}}</span>'],
  switch: ["checked", '<span class="knob-{{checked ? 1 : 0}}"></span>'],
  button: ["size disabled loading open-type", '<span class="b b-{{size}} d-{{disabled ? 1 : 0}}"><slot/></span>'],
  "live-player": ["src", '<span class="v"></span>'],
};
for (const name of ["view", "text", "scroll-view", "picker", ...Object.keys(shows)]) {
  const [names, template] = shows[name] ?? ["x", "<slot/>"];
  jComponent.register({ id: name, tagName: `wx-${name}`, template, properties: any(names) });
}

const { wxml, data } = JSON.parse(await text(process.stdin));
const page = jComponent.create(jComponent.register({ template: wxml, data, tagName: "wx-page" }));
page.attach(document.body);
process.stdout.write(document.body.innerHTML);
