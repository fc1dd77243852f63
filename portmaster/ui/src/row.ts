// One row of the table. Rows are made once and filled again and again while
// the table scrolls.

import { make, setAttribute, setText } from "./dom";
import { application, bytes, clock, country, host, moment, place, port } from "./format";
import type { Connection, Hop } from "./types";

function cell(className: string, ...children: HTMLElement[]): HTMLElement {
  const e = make("td", `cell ${className}`, ...children);
  e.setAttribute("role", "gridcell");
  return e;
}

export class Row {
  readonly element = make("tr", "row");
  private readonly app = make("span", "line application");
  private readonly path = make("span", "line second");
  private readonly host = make("span", "");
  private readonly port = make("span", "port");
  private readonly place = make("span", "line second");
  private readonly badge = make("span", "badge");
  private readonly reason = make("span", "line");
  private readonly rule = make("span", "line second rule");
  private readonly route = make("span", "hops");
  private readonly sent = make("span", "line");
  private readonly received = make("span", "line");
  private readonly started = make("time", "");
  private routeKey = "";

  constructor() {
    this.element.setAttribute("role", "row");
    this.element.append(
      cell("app", this.app, this.path),
      cell("destination", make("span", "line endpoint", this.host, this.port), this.place),
      cell("verdict", this.badge),
      cell("why", this.reason, this.rule),
      cell("route", this.route),
      cell("bytes right", this.sent, this.received),
      cell("started right", this.started),
    );
  }

  fill(c: Connection): void {
    setText(this.app, application(c));
    setText(this.path, c.process.path);
    setText(this.host, host(c));
    setText(this.port, port(c));
    setText(this.place, place(c));
    setText(this.badge, c.verdict);
    setAttribute(this.badge, "class", `badge ${c.verdict}`);
    setText(this.reason, c.error !== "" ? c.error : c.reason);
    setAttribute(this.reason, "title", c.error !== "" ? c.error : c.reason);
    this.reason.classList.toggle("failed", c.error !== "");
    setText(this.rule, c.rule);
    this.fillRoute(c.route);
    const quiet = c.sent === 0 && c.received === 0;
    setText(this.sent, quiet ? "" : `↑ ${bytes(c.sent)}`);
    setText(this.received, quiet ? "" : `↓ ${bytes(c.received)}`);
    setText(this.started, clock(c.started));
    setAttribute(this.started, "datetime", c.started);
    setAttribute(this.started, "title", moment(c.started));
    this.element.classList.toggle("ended", c.ended !== null);
  }

  private fillRoute(hops: Hop[]): void {
    const key = hops.map((h) => h.id).join(" ");
    if (key === this.routeKey) return;
    this.routeKey = key;
    this.route.replaceChildren(...hops.map(hop));
  }
}

/** A node of a route: its name and its country. */
function hop(h: Hop): HTMLElement {
  const e = make("span", "hop", make("span", "", h.name));
  if (h.country !== "") e.append(make("span", "country", h.country));
  e.title = `${h.name}, run by ${h.owner}${h.country === "" ? "" : `, ${country(h.country)}`}`;
  return e;
}
