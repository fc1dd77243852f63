// The table: of thousands of rows only those in sight are in the page. The
// newest is on top; who scrolls down keeps the place while new rows come.

import { setAttribute } from "./dom";
import type { Model } from "./model";
import { Row } from "./row";

const spare = 4; // rows filled above and below what is in sight

export class Table {
  private readonly rows: Row[] = [];
  private height = 0; // of one row
  private current = -1; // ID of the row with the keyboard's focus
  private anchor = -1; // ID of the topmost row in sight

  constructor(
    private readonly scroller: HTMLElement, // scrolls
    private readonly head: HTMLElement, // stays in sight
    private readonly body: HTMLElement, // as tall as all rows together
    private readonly grid: HTMLElement, // says how many rows there are
    private readonly model: Model,
    private readonly opened: (id: number) => void,
  ) {
    scroller.addEventListener("scroll", () => this.render(), { passive: true });
    new ResizeObserver(() => this.measure()).observe(scroller);
    body.addEventListener("click", (e) => this.click(e));
    grid.addEventListener("keydown", (e) => this.key(e));
    this.measure();
  }

  /** Rows came or went: keep the place and draw. */
  reorder(): void {
    const top = this.scroller.scrollTop;
    const before = this.anchor;
    this.body.style.height = `${this.model.length * this.height}px`;
    setAttribute(this.grid, "aria-rowcount", String(this.model.length + 1));
    if (top > this.height && before >= 0) {
      const row = this.model.row(before);
      if (row >= 0) this.scroller.scrollTop = row * this.height + (top % this.height);
    }
    this.render();
  }

  /** Draws the rows in sight. */
  render(): void {
    const top = this.scroller.scrollTop;
    const first = Math.max(0, Math.floor(top / this.height) - spare);
    const count = Math.ceil(this.scroller.clientHeight / this.height) + 2 * spare;
    this.anchor = this.model.at(Math.floor(top / this.height))?.id ?? -1;
    this.provide(count);
    this.rows.forEach((row, i) => this.draw(row, i < count ? first + i : -1));
    if (this.model.row(this.current) >= 0) setAttribute(this.grid, "aria-activedescendant", `row-${this.current}`);
    else this.grid.removeAttribute("aria-activedescendant");
  }

  private draw(row: Row, n: number): void {
    const c = this.model.at(n);
    row.element.hidden = c === undefined;
    if (c === undefined) {
      row.element.removeAttribute("id");
      return;
    }
    row.fill(c);
    row.element.style.transform = `translateY(${n * this.height}px)`;
    row.element.dataset["id"] = String(c.id);
    row.element.id = `row-${c.id}`;
    setAttribute(row.element, "aria-rowindex", String(n + 2));
    setAttribute(row.element, "aria-selected", String(c.id === this.current));
  }

  /** Marks a row as the current one. */
  select(id: number): void {
    this.current = id;
    this.render();
  }

  private provide(count: number): void {
    while (this.rows.length < count) {
      const row = new Row();
      this.rows.push(row);
      this.body.append(row.element);
    }
  }

  /** The height of a row is the stylesheet's: it differs on narrow screens. */
  private measure(): void {
    const height = parseFloat(getComputedStyle(this.body).getPropertyValue("--row-height"));
    this.height = height > 0 ? height : 48;
    this.reorder();
  }

  private click(e: MouseEvent): void {
    const row = e.target instanceof Element ? e.target.closest<HTMLElement>("[data-id]") : null;
    if (row !== null) this.open(Number(row.dataset["id"]));
  }

  private open(id: number): void {
    this.select(id);
    this.opened(id);
  }

  private key(e: KeyboardEvent): void {
    const page = Math.max(1, Math.floor(this.room() / this.height) - 1);
    const row = this.model.row(this.current);
    const last = this.model.length - 1;
    const to: Record<string, number> = {
      ArrowDown: row + 1, ArrowUp: row - 1, PageDown: row + page, PageUp: row - page, Home: 0, End: last,
    };
    if (e.key === "Enter" && row >= 0) {
      this.open(this.current);
    } else {
      const next = to[e.key];
      if (next === undefined || e.altKey || e.ctrlKey || e.metaKey) return;
      this.moveTo(Math.min(Math.max(next, 0), last));
    }
    e.preventDefault();
  }

  /** How much of the scroller shows rows: the head stays on top of it. */
  private room(): number {
    return Math.max(this.height, this.scroller.clientHeight - this.head.clientHeight);
  }

  private moveTo(row: number): void {
    const c = this.model.at(row);
    if (c === undefined) return;
    const top = row * this.height;
    const below = top + this.height - this.room();
    if (this.scroller.scrollTop > top) this.scroller.scrollTop = top;
    else if (this.scroller.scrollTop < below) this.scroller.scrollTop = below;
    this.select(c.id);
  }
}
