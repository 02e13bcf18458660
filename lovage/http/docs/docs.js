"use strict";

/** An element with attributes and children; text children are never read as markup. */
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

/** The schema a reference stands for. */
function resolve(document_, schema) {
  const name = schema && schema.$ref && schema.$ref.split("/").pop();
  return name ? document_.components.schemas[name] : schema || {};
}

/** One short line about a schema: "integer, 1 to 100", "list of integer", "a | b". */
function describe(document_, raw) {
  const schema = resolve(document_, raw);
  if (schema.anyOf) return schema.anyOf.map((one) => describe(document_, one)).join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  let text = schema.type === "array" ? "list of " + describe(document_, schema.items || {}) : schema.type || "any value";
  if (schema.format) text += ` (${schema.format})`;
  const bounds = [];
  if (schema.minimum != null) bounds.push(`≥ ${schema.minimum}`);
  if (schema.exclusiveMinimum != null) bounds.push(`> ${schema.exclusiveMinimum}`);
  if (schema.maximum != null) bounds.push(`≤ ${schema.maximum}`);
  if (schema.exclusiveMaximum != null) bounds.push(`< ${schema.exclusiveMaximum}`);
  if (bounds.length) text += " " + bounds.join(", ");
  if (schema.default !== undefined) text += `, default ${JSON.stringify(schema.default)}`;
  return text;
}

/** A value to start typing from. */
function example(document_, raw, depth = 0) {
  const schema = resolve(document_, raw);
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return example(document_, schema.anyOf[0], depth);
  if (depth > 4) return null;
  switch (schema.type) {
    case "object":
      return Object.fromEntries(
        Object.entries(schema.properties || {}).map(([name, one]) => [name, example(document_, one, depth + 1)]));
    case "array": return [example(document_, schema.items || {}, depth + 1)];
    case "integer": case "number": return schema.minimum ?? 1;
    case "boolean": return true;
    case "string": return schema.format === "date-time" ? "2026-01-01T00:00:00Z" : "text";
    default: return null;
  }
}

function isList(document_, schema) {
  return resolve(document_, schema).type === "array";
}

function parameterField(document_, parameter) {
  const list = isList(document_, parameter.schema);
  const id = `p${parameterField.count++}`;
  const label = element("label", { for: id },
    element("code", { class: parameter.required ? "required" : null }, parameter.name), ` ${parameter.in}`,
    element("small", {}, describe(document_, parameter.schema)));
  const input = list
    ? element("textarea", { id, placeholder: "one value a line", spellcheck: "false" })
    : element("input", { id, required: parameter.in === "path", spellcheck: "false", autocomplete: "off" });
  const box = element("div", {}, input,
    parameter.description ? element("small", {}, parameter.description) : null);
  return { node: element("div", { class: "field" }, label, box), input, list, parameter };
}
parameterField.count = 0;

/** JSON indented by hand, so that integers of any size keep their digits. */
function indented(text) {
  let out = "", depth = 0, inString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (inString) {
      out += c;
      if (c === "\\") out += text[++i] ?? "";
      else if (c === '"') inString = false;
      continue;
    }
    const newline = () => "\n" + "  ".repeat(depth);
    if (c === '"') { inString = true; out += c; }
    else if (c === "{" || c === "[") {
      if (text[i + 1] === "}" || text[i + 1] === "]") { out += c + text[++i]; continue; }
      depth++; out += c + newline();
    } else if (c === "}" || c === "]") { depth--; out += newline() + c; }
    else if (c === ",") out += c + newline();
    else if (c === ":") out += ": ";
    else if (!/\s/.test(c)) out += c;
  }
  return out;
}

async function send(method, path, fields, body, reply) {
  const query = new URLSearchParams();
  const headers = {};
  let target = path;
  for (const { input, list, parameter } of fields) {
    if (input.value === "") continue;
    const values = list ? input.value.split("\n").filter((line) => line !== "") : [input.value];
    for (const value of values) {
      if (parameter.in === "query") query.append(parameter.name, value);
      else if (parameter.in === "header") headers[parameter.name] = value;
      else target = target.replace(`{${parameter.name}}`, encodeURIComponent(value));
    }
  }
  if (query.size || String(query)) target += "?" + query;
  const options = { method, headers };
  if (body && body.value.trim() !== "") {
    options.body = body.value;
    headers["Content-Type"] = "application/json";
  }
  const began = performance.now();
  try {
    const response = await fetch(target, options);
    const text = await response.text();
    const type = response.headers.get("content-type") || "";
    const shown = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    reply.replaceChildren(
      element("div", {}, element("code", {}, `${method} ${target}`)),
      element("div", { class: response.ok ? "ok" : "bad" },
        element("b", {}, `${response.status} ${response.statusText}`),
        ` in ${(performance.now() - began).toFixed(0)} ms`),
      element("pre", {}, type.includes("json") ? indented(text) : text),
      element("details", {}, element("summary", {}, "Headers"), element("pre", {}, shown)));
  } catch (error) {
    reply.replaceChildren(element("div", { class: "bad" }, `No reply: ${error.message}`));
  }
}

function operationForm(document_, method, path, operation) {
  const fields = (operation.parameters || []).map((parameter) => parameterField(document_, parameter));
  const content = operation.requestBody && operation.requestBody.content["application/json"];
  const body = content ? element("textarea", { "aria-label": "JSON body", spellcheck: "false" }) : null;
  if (body && operation.requestBody.required) {
    body.value = JSON.stringify(example(document_, content.schema), null, 2);
  } else if (body) {
    body.placeholder = "optional, e.g. " + JSON.stringify(example(document_, content.schema));
  }
  const replies = element("ul", { class: "replies" },
    ...Object.entries(operation.responses).map(([status, one]) =>
      element("li", {}, element("b", {}, status), ` ${one.description}`)));
  const reply = element("div", { class: "reply", "aria-live": "polite" });
  const button = element("button", { type: "submit" }, "Try it out");
  const form = element("form", { autocomplete: "off" },
    operation.description ? element("p", {}, operation.description) : null,
    ...fields.map((field) => field.node),
    body ? element("div", { class: "field" }, element("span", {}, "JSON body"), body) : null,
    replies, button, reply);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    await send(method.toUpperCase(), path, fields, body, reply);
    button.disabled = false;
  });
  return form;
}

function operationNode(document_, method, path, operation) {
  const node = element("details", { id: operation.operationId },
    element("summary", {},
      element("span", { class: `method ${method}` }, method.toUpperCase()),
      element("code", { class: operation.deprecated ? "path gone" : "path" }, path),
      element("span", { class: "what" }, operation.summary || "")));
  // Made when it is first opened: a long API shows at once.
  const build = () => {
    if (node.open && !node.querySelector("form")) node.append(operationForm(document_, method, path, operation));
  };
  node.addEventListener("toggle", build);
  if (location.hash === "#" + operation.operationId) node.open = true;
  return node;
}

async function main() {
  const place = document.getElementById("operations");
  const response = await fetch("openapi.json");
  if (!response.ok) throw new Error(`openapi.json: ${response.status} ${response.statusText}`);
  const api = await response.json();
  document.title = `${api.info.title} – documentation`;
  document.getElementById("title").textContent = api.info.title;
  document.getElementById("about").append(
    `Version ${api.info.version} · OpenAPI ${api.openapi} · `, element("a", { href: "openapi.json" }, "openapi.json"));
  document.getElementById("description").textContent = api.info.description || "";

  const groups = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = (operation.tags || ["default"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operationNode(api, method, path, operation));
    }
  }
  place.replaceChildren();
  for (const [tag, nodes] of groups) place.append(element("section", {}, element("h2", {}, tag), ...nodes));
}

main().catch((error) => {
  document.getElementById("operations").replaceChildren(
    element("p", { class: "bad" }, `The API's description cannot be shown: ${error.message}`));
});
