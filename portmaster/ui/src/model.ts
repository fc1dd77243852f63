// The connections that the page knows, newest first, and which of them the
// reader wants to see.

import { application, country } from "./format";
import type { Connection, Delta } from "./types";

export interface Query {
  words: string[];
  verdict: string; // empty for all
}

export interface Totals {
  all: number;
  tunnel: number;
  permit: number;
  deny: number;
}

/** What changed in one step, for a view that keeps its place. */
export interface Change {
  order: boolean; // rows came, went or changed their visibility
}

export class Model {
  private readonly byID = new Map<number, Connection>();
  private readonly haystacks = new Map<number, string>();
  private visible: number[] = []; // descending
  private query: Query = { words: [], verdict: "" };

  /** Takes over one step of the stream. */
  apply(d: Delta): Change {
    let order = d.reset;
    if (d.reset) {
      this.byID.clear();
      this.haystacks.clear();
    }
    for (const id of d.removed) {
      this.haystacks.delete(id);
      order = this.byID.delete(id) || order;
    }
    for (const c of d.connections) {
      const known = this.byID.has(c.id);
      const before = known && this.matches(c.id);
      this.byID.set(c.id, c);
      this.haystacks.delete(c.id);
      order ||= !known || before !== this.matches(c.id);
    }
    for (const n of d.counters) {
      const c = this.byID.get(n.id);
      if (c !== undefined) {
        c.sent = n.sent;
        c.received = n.received;
      }
    }
    if (order) this.select();
    return { order };
  }

  /** Shows only what the query matches. */
  filter(q: Query): void {
    this.query = q;
    this.select();
  }

  /** The number of connections that the query matches. */
  get length(): number {
    return this.visible.length;
  }

  /** The number of connections known. */
  get size(): number {
    return this.byID.size;
  }

  /** The connection in a row, counted from the newest. */
  at(row: number): Connection | undefined {
    const id = this.visible[row];
    return id === undefined ? undefined : this.byID.get(id);
  }

  get(id: number): Connection | undefined {
    return this.byID.get(id);
  }

  /** The row of a connection, or -1. */
  row(id: number): number {
    let low = 0;
    let high = this.visible.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const there = this.visible[middle] ?? 0;
      if (there === id) return middle;
      if (there > id) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  /** How many connections of each verdict match the words. */
  totals(): Totals {
    const t: Totals = { all: 0, tunnel: 0, permit: 0, deny: 0 };
    for (const [id, c] of this.byID) {
      if (!this.matchesWords(id)) continue;
      t.all++;
      if (c.verdict === "tunnel" || c.verdict === "permit" || c.verdict === "deny") t[c.verdict]++;
    }
    return t;
  }

  private select(): void {
    this.visible = [];
    for (const id of this.byID.keys()) if (this.matches(id)) this.visible.push(id);
    this.visible.sort((a, b) => b - a);
  }

  private matches(id: number): boolean {
    const wanted = this.query.verdict;
    return (wanted === "" || this.byID.get(id)?.verdict === wanted) && this.matchesWords(id);
  }

  private matchesWords(id: number): boolean {
    if (this.query.words.length === 0) return true;
    const text = this.haystack(id);
    return this.query.words.every((w) => text.includes(w));
  }

  private haystack(id: number): string {
    const known = this.haystacks.get(id);
    if (known !== undefined) return known;
    const c = this.byID.get(id);
    if (c === undefined) return "";
    const d = c.destination;
    const text = [
      application(c), c.app.id, c.process.path, String(c.process.pid), d.domain, d.address, `:${d.port}`,
      d.country, country(d.country), c.protocol, c.verdict, c.reason, c.rule, c.error, c.tls, c.server_name,
      ...c.route.flatMap((h) => [h.name, h.owner, h.country]),
    ].join("\n").toLowerCase();
    this.haystacks.set(id, text);
    return text;
  }
}

/** The words of a filter's text. */
export function words(text: string): string[] {
  return text.toLowerCase().split(/\s+/).filter((w) => w !== "");
}
