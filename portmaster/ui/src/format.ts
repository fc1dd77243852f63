// How values read.

import type { Connection } from "./types";

const regions = new Intl.DisplayNames(["en"], { type: "region", fallback: "code" });

/** The name of a country, or its code when it has none. */
export function country(code: string): string {
  if (!/^[A-Z]{2}$/.test(code)) return code;
  return regions.of(code) ?? code;
}

/** Bytes with three digits and a unit. */
export function bytes(n: number): string {
  if (n < 1000) return `${n} B`;
  const units = ["kB", "MB", "GB", "TB", "PB"];
  let value = n;
  let unit = -1;
  do {
    value /= 1000;
    unit++;
  } while (value >= 999.5 && unit < units.length - 1);
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ${units[unit]}`;
}

/** A time span in one unit: 42s, 7m, 3h, 5d. */
export function span(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m`;
  if (s < 86400) return `${Math.floor(s / 3600)}h`;
  return `${Math.floor(s / 86400)}d`;
}

const moments = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });

/** A moment in the reader's own time. */
export function moment(iso: string): string {
  return moments.format(new Date(iso));
}

/** The place that a connection goes to, by name where there is one. */
export function host(c: Connection): string {
  return c.destination.domain !== "" ? c.destination.domain : c.destination.address;
}

/** The port as it is shown behind a host; DNS entries have none. */
export function port(c: Connection): string {
  return c.destination.port === 0 ? "" : `:${c.destination.port}`;
}

/** Host and port, unambiguous for IPv6 addresses too. */
export function endpoint(c: Connection): string {
  const h = host(c);
  const p = port(c);
  return p !== "" && h.includes(":") ? `[${h}]${p}` : h + p;
}

/** The name under which people know the application. */
export function application(c: Connection): string {
  if (c.app.name !== "") return c.app.name;
  const name = c.process.path.split("/").pop() ?? "";
  return name !== "" ? name : "unknown";
}

/** What is known of the place behind the name: address, country, protocol. */
export function place(c: Connection): string {
  const d = c.destination;
  const parts = [d.domain !== "" ? d.address : "", country(d.country), c.kind === "dns" ? "DNS question" : c.protocol.toUpperCase()];
  return parts.filter((p) => p !== "").join(" · ");
}

const clocks = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });

/** The time of day in the reader's own time. */
export function clock(iso: string): string {
  return clocks.format(new Date(iso));
}
