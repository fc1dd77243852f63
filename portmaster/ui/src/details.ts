// Everything about one connection, beside the table.

import { make } from "./dom";
import { application, bytes, country, endpoint, moment, span } from "./format";
import type { Connection, Hop } from "./types";
import { ask } from "./why";

export class Details {
  private shown = "";
  private asked = -1; // ID of the connection that why is about
  private readonly facts = make("div", "");
  private readonly why = make("section", "");

  constructor(
    private readonly panel: HTMLElement,
    private readonly title: HTMLElement,
    body: HTMLElement,
  ) {
    body.append(this.facts, this.why);
  }

  /** Shows a connection; the same one again costs nothing. */
  show(c: Connection, now: number): void {
    const key = JSON.stringify(c) + (c.ended === null ? String(Math.floor(now / 1000)) : "");
    this.panel.hidden = false;
    if (key === this.shown) return;
    this.shown = key;
    this.title.textContent = application(c);
    this.facts.replaceChildren(...sections(c, now));
    if (this.asked !== c.id) void this.explain(c);
  }

  hide(): void {
    this.panel.hidden = true;
    this.shown = "";
    this.asked = -1;
  }

  get open(): boolean {
    return !this.panel.hidden;
  }

  /** Adds what each layer of the rules says now. */
  private async explain(c: Connection): Promise<void> {
    this.asked = c.id;
    this.why.replaceChildren();
    const steps = await ask(c);
    if (steps === null || this.asked !== c.id) return;
    this.why.replaceChildren(make("h3", "", "What the rules say now, in their order"), steps);
  }
}

function sections(c: Connection, now: number): HTMLElement[] {
  const out = [decision(c)];
  if (c.route.length > 0) out.push(section("Route", route(c)));
  out.push(section("Destination", facts(destination(c))), section("Traffic", facts(traffic(c, now))), section("Process", facts(process(c))));
  return out;
}

function section(title: string, content: HTMLElement): HTMLElement {
  return make("section", "", make("h3", "", title), content);
}

function decision(c: Connection): HTMLElement {
  const box = make("section", "decision", make("span", `badge ${c.verdict}`, c.verdict), make("p", "", c.reason));
  if (c.rule !== "") box.append(make("code", "", c.rule));
  if (c.error !== "") box.append(make("p", "failed", c.error));
  return box;
}

type Fact = [name: string, value: string | HTMLElement];

/** A list of names and values; empty values are left out. */
function facts(list: Fact[]): HTMLElement {
  const dl = make("dl", "facts");
  for (const [name, value] of list) {
    if (value !== "") dl.append(make("dt", "", name), make("dd", "", value));
  }
  return dl;
}

function destination(c: Connection): Fact[] {
  const d = c.destination;
  const where = d.country === "" ? "" : `${country(d.country)} (${d.country})`;
  return [
    [c.kind === "dns" ? "Name" : "Asked for", endpoint(c)],
    ["Address", d.domain === "" ? "" : d.address],
    ["Protocol", c.kind === "dns" ? "DNS question" : c.protocol.toUpperCase()],
    ["Country", where],
    ["Encryption", encryption(c)],
    ["Server named", c.server_name],
  ];
}

function encryption(c: Connection): string | HTMLElement {
  switch (c.tls) {
    case "tls":
      return "TLS, by the application";
    case "plaintext":
      return make("span", "warning", "None by the application: the exit node and the network behind it can read this");
    default:
      return "";
  }
}

function traffic(c: Connection, now: number): Fact[] {
  const counted = c.verdict === "tunnel" || c.sent > 0 || c.received > 0;
  const end = c.ended === null ? now : Date.parse(c.ended);
  return [
    ["Sent", counted ? bytes(c.sent) : ""],
    ["Received", counted ? bytes(c.received) : ""],
    ["Started", moment(c.started)],
    ["Ended", c.ended === null ? "still open" : moment(c.ended)],
    ["Lasted", span(end - Date.parse(c.started))],
  ];
}

function process(c: Connection): Fact[] {
  const p = c.process;
  return [
    ["Profile", c.app.id === "" ? "none: the defaults decide" : c.app.id],
    ["Program", p.path === "" ? "" : make("code", "", p.path)],
    ["Command", p.args.length === 0 ? "" : make("code", "", p.args.join(" "))],
    ["Process", String(p.pid)],
    ["User", String(p.uid)],
    ["Control group", p.cgroup === "" ? "" : make("code", "", p.cgroup)],
  ];
}

function route(c: Connection): HTMLElement {
  const list = make("ol", "path", make("li", "end", "this machine"));
  c.route.forEach((h, i) => list.append(node(h, role(i, c.route.length))));
  list.append(make("li", "end", endpoint(c)));
  return list;
}

function role(place: number, all: number): string {
  if (place === 0) return "entry";
  return place === all - 1 ? "exit" : "middle";
}

function node(h: Hop, role: string): HTMLElement {
  const where = h.country === "" ? "" : ` · ${country(h.country)}`;
  return make("li", "", make("span", "name", h.name), make("span", "second", `${role} · run by ${h.owner}${where}`));
}
